# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Nothing in the package reads what may run code, and no file that does is ever opened as one."""

import ast
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from emotion_perception.cli import app
from emotion_perception.faces.model_files import ModelError, sha256_of
from emotion_perception.models import find_model

PACKAGE = Path(__file__).parents[1] / "emotion_perception"
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {
    "eval": "runs text", "exec": "runs text", "compile": "runs text", "__import__": "runs text",
    "read_pickle": "pickle", "to_pickle": "pickle", "mktemp": "names a file that others may make",
    "extractall": "unpacks wherever the archive says", "unpack_archive": "as extractall",
    "system": "runs a shell", "popen": "runs a shell", "getoutput": "runs a shell",
    "unsafe_load": "yaml", "full_load": "yaml", "load_from_checkpoint": "pickle",
}  # fmt: skip
METHODS = {"compile": {"re"}, "eval": None}  # re.compile; network.eval() is a method


def faults(source):
    """What a source text does that it must not, as (line, what)."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").split(".")[0]}
            names |= {a.name for a in node.names} & (CALLS.keys() - METHODS.keys())
        else:
            names = set()
        found += [(node.lineno, f"import {name}") for name in names & (MODULES | CALLS.keys())]
        if not isinstance(node, ast.Call):
            continue
        options = {
            k.arg: k.value.value if isinstance(k.value, ast.Constant) else ast.unparse(k.value)
            for k in node.keywords
        }
        method = isinstance(node.func, ast.Attribute)
        name = node.func.attr if method else getattr(node.func, "id", "")
        owner = ast.unparse(node.func.value) if method else ""
        if name in CALLS and not (method and name in METHODS):
            found.append((node.lineno, f"{name}: {CALLS[name]}"))
        if owner == "torch" and name == "load" and options.get("weights_only") is not True:
            found.append((node.lineno, "torch.load without weights_only=True"))
        if owner in ("torch.jit", "torch.package"):
            found.append((node.lineno, f"{owner}.{name}"))
        if options.get("allow_pickle", False) is not False:
            found.append((node.lineno, "allow_pickle"))
        if owner in ("np", "numpy") and name == "load" and options.get("allow_pickle") is not False:
            found.append((node.lineno, "np.load without allow_pickle=False"))
        if owner == "yaml" and name in ("load", "load_all"):
            loader = options.get("Loader") or (ast.dump(node.args[1]) if node.args[1:] else "")
            if "SafeLoader" not in str(loader):
                found.append((node.lineno, "yaml.load without SafeLoader"))
        if options.get("shell", False) is not False:
            found.append((node.lineno, "shell=True"))
        if name == "fit" and "ckpt_path" in options and options.get("weights_only") is not True:
            found.append((node.lineno, "Trainer.fit without weights_only=True"))
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "import joblib.numpy_pickle", "import marshal",
        "torch.load(p)", "torch.load(p, weights_only=False)", "torch.load(p, weights_only=flag)",
        "torch.jit.load(p)", "np.load(p)", "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=choice)", "pd.read_pickle(p)", "yaml.load(t)",
        "yaml.load(t, yaml.Loader)", "yaml.unsafe_load(t)", "eval(t)", "exec(t)",
        "subprocess.run(c, shell=True)", "os.system(c)", "tempfile.mktemp()",
        "from tempfile import mktemp", "archive.extractall()", "trainer.fit(m, ckpt_path=p)",
        "Module.load_from_checkpoint(p)",
    ],
)  # fmt: skip
def test_each_fault_would_be_found(source):
    assert faults(source)


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(p, map_location='cpu', weights_only=True)", "np.load(p, allow_pickle=False)",
        "network.eval()", "re.compile(p)", "yaml.load(t, Loader=yaml.SafeLoader)",
        "yaml.safe_load(t)", "subprocess.run([c])",
        "trainer.fit(m, ckpt_path=p, weights_only=True)",
    ],
)  # fmt: skip
def test_what_is_safe_is_left_alone(source):
    assert not faults(source)


def test_package_reads_nothing_that_may_run():
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 150
    found = {
        f"{file.relative_to(PACKAGE)}:{line}": what
        for file in files
        for line, what in faults(file.read_text(encoding="utf-8"))
    }
    assert not found


class Trap:
    """An object whose pickle makes a file when it is loaded."""

    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "the-trap-was-sprung"


def as_pickle(path, trap):
    path.write_bytes(pickle.dumps({"state_dict": trap, "hyper_parameters": {}, "epoch": 1}))


def as_torch(path, trap):
    import torch

    torch.save({"state_dict": {"w": trap}, "hyper_parameters": trap, "epoch": 1}, path)


def as_old_torch(path, trap):
    import torch

    torch.save({"state_dict": {"w": trap}}, path, _use_new_zipfile_serialization=False)


def as_arrays(path, trap):
    with zipfile.ZipFile(path, "w") as archive, archive.open("key.npy", "w") as file:
        np.lib.format.write_array(file, np.array([trap], object), allow_pickle=True)


WAYS = [as_pickle, as_torch, as_old_torch, as_arrays]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def trap(request, tmp_path, marker):
    """A function that writes the trap to a path."""
    if "torch" in request.param.__name__:
        pytest.importorskip("torch")
    return lambda path: request.param(path, Trap(marker))


def test_the_traps_work(tmp_path, marker):
    as_pickle(tmp_path / "x.pkl", Trap(marker))
    pickle.loads((tmp_path / "x.pkl").read_bytes())
    assert marker.is_dir()


def command(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def model(tmp_path):
    """A copy of the shipped model, to be changed."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in find_model("valence-base").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def put(trap, folder, name):
    """Put the trap in the place of a file, and its hash into the card."""
    import json

    trap(folder / name)
    card = json.loads((folder / "card.json").read_text())
    card["files"][name] = sha256_of(folder / name)
    if name == "card.json":
        return
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_checkpoint_with_a_pickle_inside_is_refused(trap, marker, model, name):
    from emotion_perception.valence.backends import OnnxBackend, load_network
    from emotion_perception.valence.checkpoint import load_checkpoint

    pytest.importorskip("safetensors")
    put(trap, model, name)
    checkpoint = load_checkpoint(model)
    load = {
        "model.onnx": lambda: OnnxBackend(checkpoint),
        "model.safetensors": lambda: load_network(checkpoint.weights_file, checkpoint),
    }
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        load[name]()
    assert not marker.exists()


def test_card_that_is_a_pickle_is_refused(trap, marker, model):
    from emotion_perception.valence.model import load_model

    trap(model / "card.json")
    with pytest.raises(ModelError, match=r"card\.json"):
        load_model(model)
    assert not marker.exists()


def test_import_refuses_a_pickle(trap, marker, tmp_path):
    for name in ("net.onnx", "net.pth", "net.pt", "net.ckpt"):
        trap(tmp_path / name)
        done = command(
            "models", "import", "rmn", tmp_path / name, "--output", tmp_path / "made"
        )  # fmt: skip
        assert isinstance(done.exception, ModelError), done.output
        assert "not an ONNX network" in str(done.exception)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["model.pth", "model.pt", "model.ckpt"])
def test_commands_that_take_a_model_refuse_a_file(trap, marker, tmp_path, name):
    """They take folders; a .pth is refused before any of it is read."""
    pytest.importorskip("lightning")
    file = tmp_path / name
    trap(file)
    fer = f"folders:{tmp_path}"
    for words in (
        ("evaluate", "--data", fer, "--model", file, "--report", tmp_path / "r"),
        ("calibrate", "--data", fer, "--model", file),
        ("quantise", "--data", fer, "--model", file),
        ("finetune", "P-001", "--data", tmp_path, "--base-model", file, "--models", tmp_path / "m"),
        ("train", "--data", fer, "--output", tmp_path / "o", "--teacher", file),
    ):
        done = command(*words)
        assert isinstance(done.exception, ModelError), words
        assert f"{name}/card.json: cannot read" in str(done.exception)
    assert not marker.exists()


def test_states_of_training_are_read_as_weights_only(trap, marker, tmp_path):
    pytest.importorskip("lightning")
    from test_readme_commands_run import write_fer_plus

    from emotion_perception.training.faces import DataError
    from emotion_perception.training.state import read_state
    from emotion_perception.training.train import load_best

    file = tmp_path / "last.ckpt"
    trap(file)
    for read in (read_state, load_best):
        with pytest.raises(DataError, match=r"last\.ckpt: (not|expected) a state") as got:
            read(file)
        assert "\n" not in str(got.value)
    # Faces to train on: without them nobody looks at the state.
    write_fer_plus(tmp_path / "faces", 24, np.random.default_rng(0))
    for option in ("--resume", "--start-from"):
        done = command(
            "train", "--data", f"fer-plus:{tmp_path / 'faces'}", "--output", tmp_path / "o",
            "--runs", tmp_path / "runs", option, file,
        )  # fmt: skip
        assert isinstance(done.exception, DataError), done.output
        assert str(done.exception).startswith(f"{file}: "), done.exception
    assert not marker.exists()


def test_lightning_itself_refuses_a_trap_when_it_resumes(marker, tmp_path):
    """What train does with --resume, without our look at the file before."""
    torch = pytest.importorskip("torch")
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch, _):
            return self.layer(batch).sum()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    file = tmp_path / "last.ckpt"
    as_torch(file, Trap(marker))
    trainer = lightning.Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        accelerator="cpu",
    )  # fmt: skip
    data = torch.utils.data.DataLoader(torch.zeros(2, 1))
    with pytest.raises(pickle.UnpicklingError, match="Weights only"):
        trainer.fit(Module(), data, ckpt_path=file, weights_only=True)
    assert not marker.exists()


def test_arrays_with_objects_are_refused(trap, marker, tmp_path):
    from emotion_perception.limited_arrays import read_array, read_arrays

    trap(tmp_path / "x.npz")
    with pytest.raises(ValueError, match=r"."):
        read_arrays(tmp_path / "x.npz", most=1 << 20)
    with pytest.raises(ValueError, match=r"."):
        read_array(tmp_path / "x.npz", most=1 << 20)
    assert not marker.exists()

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import csv
import json
import resource
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from drawn import drawn_faces, with_features
from typer.testing import CliRunner

from emotion_perception.faces.model_files import ModelError
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training import finetune as module
from emotion_perception.training import registry
from emotion_perception.training.adapt import Adaptation
from emotion_perception.training.export import export_checkpoint
from emotion_perception.training.faces import DataError
from emotion_perception.training.finetune import FineTuneOptions, finetune
from emotion_perception.training.patients import DiskFullError
from emotion_perception.training.promotion import HELD_OUT_FILE, HeldOut
from emotion_perception.valence.backends import OnnxBackend
from emotion_perception.valence.checkpoint import load_checkpoint
from emotion_perception.valence.network import ValenceNet

LEARN = FineTuneOptions(
    adaptation=Adaptation(epochs=20, batch_size=12, lr=0.01, gamma=0.9, base_percentage=25,
                          look_percentage=0, stages="all", loss="cross-entropy"),
    folds=2, device="cpu", results_per_person=True,
)  # fmt: skip
QUICK = replace(
    LEARN, adaptation=replace(LEARN.adaptation, epochs=1, look_percentage=50, look_images=64)
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A network that does not know yet what these faces mean."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("base") / "net"
    card = {"name": "base", "version": "1", "temperature": 1.0, "confidence_threshold": 0.5}
    network = with_features(ValenceNet((8, 16, 24), (1, 1), dropout=0.0))
    export_checkpoint(network, folder, FacePreprocessing(), card)
    return load_checkpoint(folder)


@pytest.fixture(scope="module")
def own():
    return drawn_faces(72, recordings=6)


@pytest.fixture(scope="module")
def replay():
    return drawn_faces(60, seed=1, recordings=0, person="")


@pytest.fixture(scope="module")
def others():
    return drawn_faces(60, seed=2, recordings=0, person="")


@pytest.fixture(scope="module")
def learned(base, own, replay, others, tmp_path_factory):
    root = tmp_path_factory.mktemp("patients")
    result = finetune(base, "P-1", own, replay, root, LEARN, base_test=others)
    return root, result


def test_it_learns_and_may_be_promoted(learned, base):
    root, result = learned
    assert result.decision.allowed, result.decision.reasons
    assert registry.promote(root, "P-1", result.version)
    checkpoint = load_checkpoint(registry.find_patient_model("P-1", root))
    fresh = drawn_faces(30, seed=9)
    batch = checkpoint.preprocessing.batch(list(fresh.images))
    right = OnnxBackend(checkpoint).logits(batch).argmax(axis=1) == fresh.labels
    assert right.mean() > 0.8  # drawn smiles are easy; chance is a third
    assert checkpoint.training["base_model"] == base.model_id
    assert checkpoint.training["images"] == {"negative": 24, "neutral": 24, "positive": 24}


def test_figures_are_of_held_out_images_only(learned):
    _, result = learned
    answers = HeldOut.load(result.directory / HELD_OUT_FILE)
    assert len(answers.labels) == 72  # each once
    for fold in np.unique(answers.folds):
        here = set(answers.recordings[answers.folds == fold])
        assert here.isdisjoint(answers.recordings[answers.folds != fold])
    assert [row["images"] for row in result.folds] == [36, 36]
    with (result.directory / "persons.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["person"] for row in rows] == ["P-1"]
    right = (answers.tuned.argmax(axis=1) == answers.labels).mean()
    assert float(rows[0]["accuracy"]) == pytest.approx(right, abs=1e-4)


def test_no_picture_is_stored(learned, own):
    root, result = learned
    assert {path.name for path in result.directory.iterdir()} == {
        "model.onnx", "model.safetensors", "card.json", "held_out.npz", "folds.csv", "persons.csv",
    }  # fmt: skip
    stored = (result.directory / HELD_OUT_FILE).stat().st_size
    assert stored < 72 * 256  # a picture takes 2304 bytes
    assert not list((root / "P-1").glob(".*"))  # nothing is left of the run


def test_without_base_test_it_may_not_be_promoted(base, own, replay, tmp_path):
    result = finetune(base, "P-1", own, replay, tmp_path, QUICK)
    assert any("no base data" in reason for reason in result.decision.reasons)
    with pytest.raises(registry.RefusedError, match="no base data"):
        registry.promote(tmp_path, "P-1", result.version)


def interrupted_at(monkeypatch, number):
    calls = []
    adapt = module.adapt

    def counted(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return adapt(*arguments, **options)

    monkeypatch.setattr(module, "adapt", counted)
    return calls


def test_a_killed_run_goes_on_to_the_same_figures(base, own, replay, others, tmp_path, monkeypatch):
    whole = finetune(base, "P-1", own, replay, tmp_path / "a", QUICK, base_test=others)
    with monkeypatch.context() as patch:
        interrupted_at(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            finetune(base, "P-1", own, replay, tmp_path / "b", QUICK, base_test=others)
    assert registry.versions(tmp_path / "b", "P-1") == []
    with monkeypatch.context() as patch:
        calls = interrupted_at(patch, 0)
        resumed = finetune(
            base, "P-1", own, replay, tmp_path / "b", QUICK, base_test=others, resume=True
        )
    assert len(calls) == 2  # of three; the first was finished
    one, two = (load_checkpoint(result.directory) for result in (whole, resumed))
    assert one.files == two.files | {"held_out.npz": one.files["held_out.npz"]}
    assert one.figures == two.figures
    first, second = (HeldOut.load(r.directory / HELD_OUT_FILE) for r in (whole, resumed))
    np.testing.assert_array_equal(first.tuned, second.tuned)


@pytest.mark.parametrize(
    ("changed", "times"),
    [({}, 1), ({"look_images": 0}, 0), ({"look_percentage": 0}, 0), ({"base_percentage": 0}, 0)],
)
def test_the_look_is_learned_once_and_all_folds_start_from_it(
    base, own, replay, tmp_path, monkeypatch, changed, times
):
    learned, started = [], []
    look, adapt = module.adapt_to_look, module.adapt

    def looked(*arguments, **options):
        learned.append(look(*arguments, **options))
        return learned[-1]

    def adapted(network, *arguments, **options):
        started.append(network)
        return adapt(network, *arguments, **options)

    monkeypatch.setattr(module, "adapt_to_look", looked)
    monkeypatch.setattr(module, "adapt", adapted)
    options = replace(QUICK, adaptation=replace(QUICK.adaptation, **changed))
    finetune(base, "P-1", own, replay, tmp_path, options)
    assert len(learned) == times
    assert len(started) == 3  # two folds and all images
    assert all((network in learned) == bool(times) for network in started)


def test_only_the_same_run_can_be_resumed(base, own, replay, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no unfinished run"):
        finetune(base, "P-1", own, replay, tmp_path, QUICK, resume=True)
    with monkeypatch.context() as patch:
        interrupted_at(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            finetune(base, "P-1", own, replay, tmp_path, QUICK)
    other = replace(QUICK, adaptation=replace(QUICK.adaptation, lr=0.02))
    with pytest.raises(DataError, match="no unfinished run"):
        finetune(base, "P-1", own, replay, tmp_path, other, resume=True)


def test_full_disk_leaves_no_version(base, own, replay, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))  # as a quota does
    try:
        with pytest.raises(DiskFullError, match="the disk is full; no version was written"):
            finetune(base, "P-1", own, replay, tmp_path, QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "P-1").iterdir()) == []


def test_another_architecture_is_refused(base, own, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(base.directory, folder)
    card = json.loads((folder / "card.json").read_text())
    card["architecture"]["name"] = "SomeNet"
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="architecture 'SomeNet' is not one of"):
        finetune(load_checkpoint(folder), "P-1", own, None, tmp_path / "patients", QUICK)
    card["architecture"] = {"name": "ValenceNet", "arguments": {"widths": [8, 32], "depths": [1]}}
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="does not fit ValenceNet"):
        finetune(load_checkpoint(folder), "P-1", own, None, tmp_path / "patients", QUICK)
    assert not (tmp_path / "patients").exists()


@pytest.mark.parametrize("person", ["../P-1", "P_1", ""])
def test_bad_pseudonym_is_refused_before_anything(base, own, tmp_path, person):
    with pytest.raises(DataError, match="pseudonym"):
        finetune(base, person, own, None, tmp_path / "patients", QUICK)
    assert not (tmp_path / "patients").exists()


def test_wrong_size_and_few_images_are_refused(base, own, tmp_path):
    small = replace(own, images=own.images[:, ::2, ::2])
    with pytest.raises(DataError, match=r"expected crops of 48x48"):
        finetune(base, "P-1", small, None, tmp_path / "patients", QUICK)
    with pytest.raises(DataError, match="too few images"):
        finetune(base, "P-1", own.subset(np.arange(9)), None, tmp_path / "patients", QUICK)
    assert not (tmp_path / "patients").exists()


@pytest.fixture
def class_folders(tmp_path, own):
    """The patient's images as capture and earlier tools lay them out."""
    names = ("negative", "neutral", "positive")
    for index, (image, label) in enumerate(zip(own.images, own.labels, strict=True)):
        folder = tmp_path / "data" / names[label]
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"P-1_idx{index}.png"), image)
    return tmp_path / "data"


def test_commands(base, class_folders, fer_dir, tmp_path):
    from emotion_perception.cli import app

    models = str(tmp_path / "models")

    def run(*arguments, fails=False):
        result = CliRunner().invoke(app, [*arguments, "--models", models])
        assert (result.exit_code != 0) == fails, result.output
        return result.output if not fails else str(result.exception)

    assert "no models" in run("models", "list")
    settings = (
        "finetune", "P-1", "--data", str(class_folders), "--epochs", "1", "--folds", "2",
        "--base-model", str(base.directory), "--device", "cpu", "--results-per-person",
        "--look-images", "64",
    )  # fmt: skip
    told = run(*settings)
    assert "wrote version 0001" in told
    assert "may not be promoted: no base data were given" in told
    assert "wrote version 0002" in run(*settings, "--base-data", str(fer_dir))
    assert "P-1  0001" in run("models", "list")
    shown = json.loads(run("models", "show", "P-1", "0001"))
    assert shown["in_use"] is False
    assert shown["training"]["options"]["epochs"] == 1
    assert "is not promoted" in run("models", "promote", "P-1", "0001", fails=True)
    assert "no way back" in run("models", "rollback", "P-1", fails=True)
    assert "no version '0007'" in run("models", "show", "P-1", "0007", fails=True)


def test_withdrawn_consent_forbids_learning(base, class_folders, tmp_path):
    import datetime

    from emotion_perception.cli import app
    from emotion_perception.training.consent import Consent, record_consent, withdraw_consent

    day = datetime.date(2026, 1, 5)
    data = tmp_path / "patients"
    consent = Consent(given=day, given_by="patient", recorded_by="nurse", purpose="fine-tuning")
    record_consent(data, "P-1", consent)
    for folder in class_folders.iterdir():
        shutil.copytree(folder, data / "P-1" / folder.name)
    withdraw_consent(data, "P-1", day)
    arguments = ["finetune", "P-1", "--data", str(data), "--base-model", str(base.directory)]
    result = CliRunner().invoke(app, [*arguments, "--models", str(tmp_path / "models")])
    assert isinstance(result.exception, DataError)
    assert "was withdrawn on 2026-01-05" in str(result.exception)
    assert not (tmp_path / "models").exists()


def test_on_real_faces(fer_plus, tmp_path):
    from emotion_perception.models import find_model
    from emotion_perception.training.fer import load_fer
    from emotion_perception.training.shifts import shifted

    faces = load_fer(fer_plus, "validation").labelled()
    some = np.random.default_rng(0).permutation(len(faces))
    options = FineTuneOptions(adaptation=Adaptation(epochs=1, look_images=256), folds=2)
    result = finetune(
        load_checkpoint(find_model("valence-base")),
        "P-1",
        shifted(faces.subset(some[:60]), "roll"),
        faces.subset(some[60:400]),
        tmp_path,
        options,
        base_test=faces.subset(some[400:600]),
    )
    # One round at a small rate on the last stage changes little, on anybody.
    assert abs(result.decision.figures["forgetting_points"]) < 5
    assert load_checkpoint(result.directory).temperature > 0

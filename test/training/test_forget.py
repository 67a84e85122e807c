# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import fcntl
import os
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emotion_perception.cli import app
from emotion_perception.training.faces import DataError
from emotion_perception.training.forget import find_person, forget

PERSONAL = (
    "data/P-1/consent.json", "data/P-1/labels.csv", "data/P-1/positive/P-1_idx1.jpg",
    "data/P-1/overview/positive-1.png", "data/P-1/.lock",
    "data/folds/train/positive/P-1_idx1.jpg",
    "models/P-1/1/model.onnx", "models/P-1/1/model.safetensors", "models/P-1/current",
    "runs/finetune/P-1/metrics.csv",
)  # fmt: skip
OTHERS = (
    "data/P-10/positive/P-10_idx1.jpg", "data/folds/train/positive/P-10_idx1.jpg",
    "data/P-2/neutral/P-2_idx1.jpg", "models/P-10/1/model.onnx", "models/base/model.onnx",
    "runs/finetune/P-2/metrics.csv", "elsewhere/precious.txt",
)  # fmt: skip


@pytest.fixture
def root(tmp_path):
    for name in (*PERSONAL, *OTHERS):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path


def files(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def folders(root):
    return {"data": root / "data", "models": root / "models", "runs": root / "runs"}


def command(root, *arguments, answer=None):
    places = [word for name, path in folders(root).items() for word in (f"--{name}", str(path))]
    return CliRunner().invoke(app, ["forget", *arguments, *places], input=answer)


def test_everything_of_one_person_goes_and_nothing_else(root):
    done = command(root, "P-1", "--yes")
    assert done.exit_code == 0, done.output
    assert files(root) == {*OTHERS, "data/deletions.log"}
    assert not (root / "data" / "P-1").exists()
    log = root / "data" / "deletions.log"
    assert "P-1" not in log.read_text()
    assert "3 folders, 2 images, 2 model files, 6 other" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_it_asks_and_lists_first(root, answer):
    before = files(root)
    done = command(root, "P-1", answer=answer)
    assert done.exit_code == 1
    assert files(root) == before
    for place in ("data/P-1", "models/P-1", "runs/finetune/P-1", "data/folds/train/positive/P-1_"):
        assert place in done.output
    assert "2 images, 2 model files" in done.output
    assert command(root, "P-1", answer="y\n").exit_code == 0
    assert files(root) == {*OTHERS, "data/deletions.log"}


def test_reports_that_mention_the_person_are_named(root):
    (root / "runs" / "all.csv").write_text("person,accuracy\nP-10,0.8\nP-1,0.9\n")
    (root / "runs" / "other.csv").write_text("person,accuracy\nP-10,0.8\nAP-1,0.9\n")
    done = command(root, "P-1", "--yes")
    assert "all.csv" in done.output
    assert "other.csv" not in done.output


@pytest.mark.parametrize("person", ["..", "../data", "/", "P-1/positive", "positive", "", "."])
def test_no_way_out_of_the_folders(root, person):
    before = files(root)
    with pytest.raises(DataError, match="person: "):
        find_person(person, **folders(root))
    assert files(root) == before


@pytest.mark.parametrize("place", ["data/P-3", "models/P-3", "runs/x/P-3"])
def test_links_are_refused(root, place):
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).symlink_to(root / "elsewhere")
    with pytest.raises(DataError, match="symbolic link to"):
        find_person("P-3", **folders(root))
    assert (root / "elsewhere" / "precious.txt").exists()


def test_links_inside_go_but_not_what_they_lead_to(root):
    (root / "data" / "P-1" / "link").symlink_to(root / "elsewhere")
    found = find_person("P-1", **folders(root))
    assert forget(found, "P-1", **folders(root)) == []
    assert (root / "elsewhere" / "precious.txt").exists()


def test_nobody_of_that_name(root):
    done = command(root, "P-404", "--yes")
    assert done.exit_code == 1
    assert "nothing found" in str(done.exception)
    assert "data/deletions.log" not in files(root)


@pytest.mark.parametrize("place", ["data/P-1/.lock", "models/P-1"])
def test_not_while_a_run_writes(root, place):
    before = files(root)
    found = find_person("P-1", **folders(root))
    handle = os.open(root / place, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(DataError, match="in use by another run"):
        forget(found, "P-1", **folders(root))
    os.close(handle)
    assert files(root) == before


def test_read_only_versions(root):
    version = root / "models" / "P-1" / "1"
    (version / "model.onnx").chmod(0o400)
    version.chmod(0o500)
    if os.geteuid() == 0:
        for path in (root, *root.rglob("*")):
            os.chown(path, 65534, 65534)
    child = os.fork()
    if child == 0:
        # As a user who is bound by permissions, which root is not.
        status = 1
        try:
            os.chdir(root)
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 65534)
            places = folders(Path())
            forget(find_person("P-1", **places), "P-1", **places)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert files(root) == {*OTHERS, "data/deletions.log"}


def test_the_registry_of_this_user_is_the_default(root, monkeypatch):
    monkeypatch.setenv("EMOTION_PERCEPTION_PATIENTS", str(root / "models"))
    places = ["--data", str(root / "data"), "--runs", str(root / "runs")]
    done = CliRunner().invoke(app, ["forget", "P-1", "--yes", *places])
    assert done.exit_code == 0, done.output
    assert not (root / "models" / "P-1").exists()


def test_roots_that_lie_in_one_another(root):
    found = find_person("P-1", root / "data", root / "data", root)
    forget(found, "P-1", root / "data", root / "data", root)
    assert files(root) == {*OTHERS, "data/deletions.log"}

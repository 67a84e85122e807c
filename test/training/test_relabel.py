# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from emotion_perception.cli import app
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training import relabel as module
from emotion_perception.training.faces import DataError
from emotion_perception.training.fer import load_fer
from emotion_perception.training.relabel import relabel
from emotion_perception.training.sources import load_source, parse_source

RAF = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")


@pytest.fixture
def emotions(tmp_path):
    """FER2013 as images: seven folders in train/ and test/, the same names in each."""
    root = tmp_path / "fer2013"
    for split, count in (("train", 2), ("test", 1)):
        for shade, name in enumerate(
            ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
        ):
            for number in range(count):
                path = root / split / name / f"im{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), np.full((48, 48), 30 * shade + number, np.uint8))
    return root


def report(output):
    with (output / "relabel.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("mode", ["link", "copy"])
def test_emotion_folders(emotions, tmp_path, mode):
    output = tmp_path / "out"
    result = relabel(parse_source(str(emotions)), output, mode)
    assert result.counts["train", "surprise", ""] == 2
    assert result.counts["test", "fear", "negative"] == 1
    counts = {name: len(list((output / "train" / name).iterdir()))
              for name in ("negative", "neutral", "positive")}  # fmt: skip
    assert counts == {"negative": 8, "neutral": 2, "positive": 2}
    rows = report(output)
    assert len(rows) == 21
    for row in rows:
        assert bool(row["target"]) == (row["emotion"] != "surprise")
        if row["target"]:
            path = output / row["target"]
            assert path.is_symlink() == (mode == "link")
            assert path.read_bytes() == Path(row["source"]).read_bytes()
            assert path.parent.name == row["valence"]
    faces = load_source(str(output), "train", FacePreprocessing())
    assert faces.counts() == counts


def test_affectnet_numbers(tmp_path):
    root = tmp_path / "affectnet" / "train_set"
    for number in range(8):
        (root / "images").mkdir(parents=True, exist_ok=True)
        (root / "annotations").mkdir(exist_ok=True)
        cv2.imwrite(str(root / "images" / f"{number}.jpg"), np.zeros((48, 48), np.uint8))
        np.save(root / "annotations" / f"{number}_exp.npy", np.array(str(number)))
    result = relabel(parse_source(str(tmp_path / "affectnet")), tmp_path / "out")
    kept = {emotion: valence for _, emotion, valence in result.counts}
    assert kept == {
        "neutral": "neutral", "happiness": "positive", "sadness": "negative", "surprise": "",
        "fear": "negative", "disgust": "negative", "anger": "negative", "contempt": "negative",
    }  # fmt: skip


def test_raf_db(tmp_path):
    for split in ("train", "test"):
        for number in range(1, 8):
            path = tmp_path / "raf" / split / str(number) / f"{split}_{number}.jpg"
            path.parent.mkdir(parents=True)
            cv2.imwrite(str(path), np.zeros((100, 100), np.uint8))
    (tmp_path / "raf" / "train" / "2" / "train_2.jpg").write_bytes(b"")
    result = relabel(parse_source(f"raf-db:{tmp_path / 'raf'}"), tmp_path / "out")
    assert {emotion for _, emotion, _ in result.counts} == set(RAF)
    assert result.missing == 1
    assert len(list((tmp_path / "out" / "train" / "negative").iterdir())) == 3


def test_fer_sheets(fer_dir, tmp_path):
    output = tmp_path / "out"
    result = relabel(parse_source(str(fer_dir)), output)
    assert result.counts["test", "tie", ""] == 1
    assert result.counts["test", "surprise", ""] == 1
    for split in ("train", "validation", "test"):
        expected = load_fer(fer_dir, split).labelled()
        faces = load_source(str(output), split, FacePreprocessing())
        assert faces.counts() == expected.counts()
        np.testing.assert_array_equal(
            np.sort(faces.images.sum(axis=(1, 2))), np.sort(expected.images.sum(axis=(1, 2)))
        )


def test_fer_csv_without_votes(tmp_path):
    lines = ["emotion,pixels,Usage"]
    lines += [f"{code},{' '.join([str(code)] * 2304)},Training" for code in range(7)]
    (tmp_path / "fer").mkdir()
    (tmp_path / "fer" / "fer2013.csv").write_text("\n".join(lines) + "\n")
    relabel(parse_source(str(tmp_path / "fer")), tmp_path / "out")
    (happy,) = (tmp_path / "out" / "train" / "positive").iterdir()
    assert (cv2.imread(str(happy), cv2.IMREAD_GRAYSCALE) == 3).all()
    (tmp_path / "fer" / "fer2013.csv").write_text("\n".join([lines[0], "7,1 2,Training"]) + "\n")
    with pytest.raises(DataError, match=r"row 2: emotion: expected 0 to 6, got '7'"):
        relabel(parse_source(str(tmp_path / "fer")), tmp_path / "out2")


def test_nothing_is_overwritten(emotions, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(FileExistsError, match="choose another"):
        relabel(parse_source(str(emotions)), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    with pytest.raises(DataError, match="lies in the data set itself"):
        relabel(parse_source(str(emotions)), emotions / "three")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt("Ctrl-C"), "Ctrl-C"),
        (OSError(28, "No space left"), "No space.*kept.*out"),
    ],
)
def test_broken_off_leaves_nothing(emotions, tmp_path, monkeypatch, error, words):
    place, seen = module._place, []

    def broken(*arguments):
        seen.append(arguments)
        if len(seen) == 5:
            raise error
        place(*arguments)

    monkeypatch.setattr(module, "_place", broken)
    before = sorted(tmp_path.iterdir())
    with pytest.raises((KeyboardInterrupt, OSError), match=words):
        relabel(parse_source(str(emotions)), tmp_path / "out")
    assert len(seen) == 5
    assert sorted(tmp_path.iterdir()) == before


def test_same_names_are_kept_apart(emotions, tmp_path):
    relabel(parse_source(str(emotions)), tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "test" / "negative").iterdir())
    assert names == ["disgust_im0.png", "fear_im0.png", "im0.png", "sadness_im0.png"]


def test_valence_set_is_refused(tmp_path):
    (tmp_path / "set" / "positive").mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "set" / "positive" / "a.png"), np.zeros((48, 48), np.uint8))
    with pytest.raises(DataError, match=r"a set of folders, .* a\.png"):
        relabel(parse_source(str(tmp_path / "set")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_command_prints_the_counts(emotions, tmp_path):
    run = CliRunner().invoke(
        app, ["relabel", "--data", str(emotions), "--output", str(tmp_path / "out")]
    )
    assert run.exit_code == 0, run.output
    words = [line.replace("│", " ").split() for line in run.output.splitlines()]
    assert ["happiness", "positive", "2", "1"] in words
    assert ["surprise", "left", "out", "2", "1"] in words


def test_photographs_of_several_faces_are_refused(tmp_path):
    root = tmp_path / "expw"
    (root / "images").mkdir(parents=True)
    cv2.imwrite(str(root / "images" / "a.jpg"), np.zeros((48, 48), np.uint8))
    (root / "label.lst").write_text("a.jpg 0 1 1 20 20 9 3\na.jpg 1 1 21 40 40 9 6\n")
    with pytest.raises(DataError, match="holds several labelled faces"):
        relabel(parse_source(f"expw:{root}"), tmp_path / "out")
    assert not (tmp_path / "out").exists()

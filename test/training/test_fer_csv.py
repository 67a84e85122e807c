# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import csv

import cv2
import numpy as np
import pytest

from emotion_perception.training.faces import DataError
from emotion_perception.training.fer import load_fer
from emotion_perception.training.fer_csv import VOTE_COLUMNS

# The order of the published file.
PUBLISHED = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
             "unknown", "NF"]  # fmt: skip


def write(directory, images, usages, votes, names=None, table="fer2013.csv"):
    directory.mkdir(exist_ok=True)
    columns = ["emotion", "pixels", "Usage"]
    if table == "icml_face_data.csv":
        columns = ["emotion", " Usage", " pixels"]  # as published
    with (directory / table).open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for image, usage in zip(images, usages, strict=True):
            fields = {"emotion": 0, "pixels": " ".join(map(str, image.ravel())), "Usage": usage}
            writer.writerow({name: fields[name.strip()] for name in columns})
    with (directory / "fer2013new.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Usage", "Image name", *PUBLISHED])
        for index, (usage, row) in enumerate(zip(usages, votes, strict=True)):
            name = f"fer{index:07d}.png" if names is None else names[index]
            writer.writerow([usage, name, *row])
    return directory


@pytest.mark.parametrize("table", ["fer2013.csv", "icml_face_data.csv"])
def test_same_as_the_sheets(fer_dir, tmp_path, table):
    sheet = cv2.imread(str(fer_dir / "sheets" / "sheet_000.png"), cv2.IMREAD_GRAYSCALE)
    tiles = sheet.reshape(32, 48, 32, 48).swapaxes(1, 2).reshape(-1, 48, 48)
    with (fer_dir / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:60]
    directory = write(
        tmp_path / "csv", tiles[:60], [row["usage"] for row in rows],
        [[row[name] for name in PUBLISHED] for row in rows], table=table,
    )  # fmt: skip
    for split in ("train", "validation"):
        ours, sheets = load_fer(directory, split), load_fer(fer_dir, split)
        for name in ("images", "emotions", "valence", "labels", "weight", "files"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(sheets, name))


def test_one_copy_stays_and_it_is_the_one_measured_on(tmp_path):
    rng = np.random.default_rng(0)
    a, b, c, d = rng.integers(0, 256, (4, 48, 48))
    usages = ["Training", "Training", "Training", "PublicTest", "PrivateTest", "Training"]
    usages += ["PrivateTest", "Training"]
    images = [a, b, a, b, b, c, c, d]
    votes = [[10, *[0] * 9]] * 8
    names = [f"f{i}" for i in range(8)]
    names[6] = ""  # FER+ leaves rows without a face unnamed: they count for nothing
    directory = write(tmp_path / "csv", images, usages, votes, names)
    assert load_fer(directory, "train").files.tolist() == ["row 0", "row 5", "row 7"]
    assert load_fer(directory, "test").files.tolist() == ["row 4"]
    with pytest.raises(DataError, match="no row with Usage PublicTest"):
        load_fer(directory, "validation")


def edit(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


def add(path, line):
    path.write_text(f"{path.read_text()}{line}\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / "fer2013new.csv").unlink(), r"fer2013new\.csv: not found"),
        (lambda d: edit(d / "fer2013.csv", "7 7 7", "7 x 7"), r"row 2: pixels: expected whole"),
        (lambda d: edit(d / "fer2013.csv", "7 7 7", "7 256 7"), r"row 2: pixels: .* 0 to 255"),
        (lambda d: edit(d / "fer2013.csv", "7 7 7", "7"), r"row 2: pixels: .* got 2302"),
        (lambda d: edit(d / "fer2013.csv", "Training", "Dev"), r"row 2: Usage: .* got 'Dev'"),
        (lambda d: edit(d / "fer2013new.csv", "Training", "PublicTest"), "do not belong together"),
        (lambda d: edit(d / "fer2013new.csv", "10", "ten"), r"new\.csv, row 2: .*votes"),
        (lambda d: edit(d / "fer2013new.csv", "contempt", "scorn"), "columns contempt are missing"),
        (lambda d: add(d / "fer2013new.csv", "Training,x" + ",0" * 10), "as many rows"),
        (lambda d: add(d / "fer2013.csv", "0,1,Training"), "as many rows"),
    ],
)  # fmt: skip
def test_bad_files_are_named(tmp_path, damage, words):
    directory = write(
        tmp_path / "csv", np.full((2, 48, 48), 7), ["Training"] * 2, [[10, *[0] * 9]] * 2
    )
    damage(directory)
    with pytest.raises(DataError, match=words):
        load_fer(directory, "train")


def test_votes_keep_their_columns():
    assert list(VOTE_COLUMNS) == PUBLISHED

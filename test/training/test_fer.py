# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from emotion_perception.training.faces import DataError
from emotion_perception.training.fer import load_fer
from emotion_perception.valence.labels import DROPPED, NEGATIVE, NEUTRAL, POSITIVE


def test_splits_and_labels(fer_dir):
    train, validation, test = (load_fer(fer_dir, s) for s in ("train", "validation", "test"))
    assert (len(train.images), len(validation.images), len(test.images)) == (30, 15, 17)
    assert set(train.files).isdisjoint(test.files)
    labelled = test.labelled()
    assert len(labelled.images) == 15  # the copy, the tie and the surprise are gone
    assert set(labelled.labels) == {NEGATIVE, NEUTRAL, POSITIVE}
    assert (test.labels == DROPPED).sum() == 2


def test_votes_collapse_by_the_table(fer_dir):
    split = load_fer(fer_dir, "train")
    assert (split.valence.sum(axis=1) == 9).all()  # the vote for "unknown" says nothing
    first = split.valence[split.files == "row 0"][0]
    np.testing.assert_array_equal(first, [9, 0, 0])  # sadness


def test_tiles_come_from_the_right_place(fer_dir):
    split = load_fer(fer_dir, "train")
    assert split.images.shape[1:] == (48, 48)
    eyes = split.images[:, 17:20, 14:17].mean(axis=(1, 2))
    assert (eyes < 60).all()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / "labels.csv").unlink(), r"labels\.csv: not found"),
        (lambda d: (d / "labels.csv").write_text("index,row\n"), "columns"),
        (lambda d: (d / "sheets" / "sheet_000.png").unlink(), r"sheet_000\.png: expected"),
        (lambda d: (d / "sheets" / "sheet_000.png").write_bytes(b"x"), r"sheet_000\.png: expected"),
    ],
)
def test_bad_folder_is_named(fer_dir, damage, words):
    damage(fer_dir)
    with pytest.raises(DataError, match=words):
        load_fer(fer_dir, "train")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: {**row, "index": "x"}, "row 2: index: expected a whole number from 0"),
        (lambda row: {**row, "index": "-1"}, "row 2: index: expected a whole number from 0"),
        (lambda row: {**row, "index": "9" * 400}, "row 2: index: expected a whole number from 0"),
        (lambda row: {**row, "neutral": ""}, "row 2: expected numbers of votes"),
        (lambda row: {**row, "neutral": "1e300"}, "row 2: expected numbers of votes, 0 to"),
        (lambda row: {**row, "NF": "nan"}, "row 2: expected numbers of votes, 0 to"),
        (lambda row: {"index": "1"}, "row 2: expected .* fields, got 1"),
    ],
)
def test_a_wrong_row_is_named(fer_dir, change, words):
    path = fer_dir / "labels.csv"
    header, first, *_ = path.read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    row |= {"usage": "Training", "unique_keep": "1"}
    path.write_text(f"{header}\n{','.join(change(row).values())}\n")
    with pytest.raises(DataError, match=words):
        load_fer(fer_dir, "train")


def test_a_table_that_is_no_text(fer_dir):
    path = fer_dir / "labels.csv"
    for content in (path.read_text().encode("utf-16"), path.read_bytes() + b"\xff"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"labels\.csv: not a readable CSV file"):
            load_fer(fer_dir, "train")


def test_unknown_split(fer_dir):
    with pytest.raises(DataError, match="train, validation, test"):
        load_fer(fer_dir, "all")


def test_shared_data(fer_plus):
    # The counts of the published files, one copy of each image.
    counts = np.bincount(load_fer(fer_plus, "test").labelled().labels)
    np.testing.assert_array_equal(counts, [986, 1090, 892])

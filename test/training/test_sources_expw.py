# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import cv2
import numpy as np
import pytest

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training.faces import DataError
from emotion_perception.training.sources import load_source
from emotion_perception.valence.labels import DROPPED, POSITIVE


@pytest.fixture
def expw(tmp_path, monkeypatch, photo):
    """One photograph in ExpW's layout, its face named twice with different expressions."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "expw"
    (root / "Images").mkdir(parents=True)
    cv2.imwrite(str(root / "Images" / "one.jpg"), photo)
    box = "60 170 275 180"  # top left right bottom
    (root / "label.lst").write_text(f"one.jpg 0 {box} 80.5 3\none.jpg 1 {box} 20.0 5\n")
    return root


def test_faces_are_cut_out_of_the_photographs(expw):
    faces = load_source(f"{expw}@0.4", "train", FacePreprocessing())
    assert list(faces.labels) == [POSITIVE, DROPPED]  # a smile and a surprise
    np.testing.assert_allclose(faces.weight, [0.4, 0])
    assert faces.images.std() > 20


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("one.jpg 0 60 170 275 180 80.5 7", "row 1: label: expected 0 to 6"),
        ("one.jpg 0 60 275 170 180 80.5 3", "row 1: box"),
        ("one.jpg 0 60 275 3", "row 1: expected NAME"),
        ("../one.jpg 0 60 170 275 180 80.5 3", "plain file name"),
        ("x" * 300 + " 0 60 170 275 180 80.5 3", "row 1: file: no file can be called"),
    ],
)
def test_wrong_lines_are_named(expw, line, words):
    (expw / "label.lst").write_text(line + "\n")
    with pytest.raises(DataError, match=words):
        load_source(f"expw:{expw}", "train", FacePreprocessing())

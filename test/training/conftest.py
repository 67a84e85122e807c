# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import csv
import importlib.util
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

COLUMNS = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
           "unknown", "NF"]  # fmt: skip


@pytest.fixture
def fer_dir(tmp_path):
    """A FER+ folder of 60 drawn faces whose mouth tells the class, in the real layout."""
    directory = tmp_path / "fer"
    (directory / "sheets").mkdir(parents=True)
    sheet = np.zeros((1536, 1536), np.uint8)
    rng = np.random.default_rng(0)
    with (directory / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "row", "name", "usage", *COLUMNS, "unique_keep"])
        for index in range(60):
            kind = index % 3
            tile = np.full((48, 48), 120, np.uint8)
            cv2.circle(tile, (15, 18), 3, 30, -1)
            cv2.circle(tile, (33, 18), 3, 30, -1)
            start, end = [(180, 360), (0, 0), (0, 180)][kind]
            if kind == 1:
                cv2.line(tile, (14, 36), (34, 36), 30, 2)
            else:
                cv2.ellipse(tile, (24, 36), (10, 6), 0, start, end, 30, 2)
            tile = np.clip(tile + rng.normal(0, 4, tile.shape), 0, 255).astype(np.uint8)
            row, column = divmod(index, 32)
            sheet[row * 48 : row * 48 + 48, column * 48 : column * 48 + 48] = tile
            votes = [0] * 10
            votes[{0: 3, 1: 0, 2: 1}[kind]] = 9
            votes[8] = 1
            usage = ["Training", "Training", "PublicTest", "PrivateTest"][index // 3 % 4]
            writer.writerow([index, index, f"fer{index:07d}.png", usage, *votes, 1])
        # A copy, a tie and an image without valence: none of them may be scored.
        votes = [[9, 0], [5, 5], [1, 0]]
        for extra, (neutral, happy) in enumerate(votes):
            row = [neutral, happy, 0 if extra < 2 else 9, 0, 0, 0, 0, 0, 0, 0]
            writer.writerow([60 + extra, 60 + extra, "x", "PrivateTest", *row, int(extra > 0)])
    cv2.imwrite(str(directory / "sheets" / "sheet_000.png"), sheet)
    return directory


@pytest.fixture
def fer_plus():
    """The real FER+ folder, where this machine has it."""
    root = Path(os.environ.get("EMOTION_PERCEPTION_DATA", "../shared/data"))
    if not (root / "fer2013plus" / "labels.csv").is_file():
        pytest.skip("FER+ is not here; EMOTION_PERCEPTION_DATA names the folder that holds it")
    return root / "fer2013plus"


@pytest.fixture(scope="session")
def photo():
    """A photo, BGR (512, 512, 3), with one face."""
    spec = importlib.util.find_spec("skimage")
    if spec is None:
        pytest.skip("skimage, which carries the photo, is not installed")
    return cv2.imread(str(Path(spec.submodule_search_locations[0]) / "data" / "astronaut.png"))

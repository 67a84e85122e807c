# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What makes films fast changes no answer: real faces, against the whole search of each frame."""

import csv
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion_perception.faces.following import FaceFollower
from emotion_perception.faces.mtcnn import MtcnnDetector
from emotion_perception.image.source import open_source
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.team import team

DATA = Path(os.environ.get("EMOTION_PERCEPTION_DATA", "../shared/data"))


def folder(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not here; EMOTION_PERCEPTION_DATA names the folder that holds it")
    return DATA / name


@pytest.fixture(scope="module")
def pipeline():
    return ReactionPipeline()


def faces_of(clip, detector, every):
    """Followed and searched faces of each frame of a clip."""
    follower = FaceFollower(team(2))
    with open_source(clip) as source:
        for index, frame in enumerate(source):
            followed = follower.find(detector, frame.image, index / 15)
            if index % every == every - 1:
                yield frame.image, followed, detector.detect(frame.image)


def pairs(faces, others):
    """Each face with the one of the others whose landmarks are where its own are."""
    for face in faces:
        eyes = np.linalg.norm(face.landmarks[1] - face.landmarks[0])
        for other in others:
            if np.linalg.norm(face.landmarks - other.landmarks, axis=1).max() < eyes:
                yield face, other
                break


def test_followed_faces_of_real_clips_are_judged_like_searched_ones(pipeline):
    detector = MtcnnDetector()
    same = compared = found = searched = 0
    moved = []
    clips = [path for path in folder("videos").rglob("*.*") if path.suffix in (".mp4", ".gif")]
    for clip in sorted(clips):
        for frame, followed, whole in faces_of(clip, detector, 3):
            searched += len(whole)
            for both in pairs(whole, followed):
                found += 1
                crops = [pipeline.model.preprocessing.align(frame, one.landmarks) for one in both]
                told = pipeline.model.judge(crops)
                if told[0].max() < pipeline.confidence_threshold:
                    continue  # a toss-up either way
                compared += 1
                same += int(told[0].argmax() == told[1].argmax())
                moved.append(float(np.abs(told[0] - told[1]).max()))
    print(f"found by both {found} of {searched}, judged alike {same} of {compared}")
    assert compared > 80
    assert found >= 0.98 * searched
    assert same >= 0.98 * compared
    assert np.median(moved) < 0.03


def test_photographs_are_judged_alike_as_images_and_as_films(pipeline):
    london = folder("london")
    rows = list(csv.DictReader((london / "labels.csv").open(encoding="utf-8")))
    names = ("negative", "neutral", "positive")
    right, alike, count = np.zeros(2), 0, 0
    rng = np.random.default_rng(0)
    for row in rows[::2]:
        photo = cv2.imread(str(london / "images" / row["file"]))
        if photo is None:
            photo = cv2.imread(str(london / row["file"]))
        photo = cv2.resize(photo, (480, 480), interpolation=cv2.INTER_AREA)
        image = pipeline.run(photo)
        # The head sways a little, as heads do.
        for index in range(4):
            shift = np.float32([[1, 0, rng.normal(0, 2)], [0, 1, rng.normal(0, 2)]])
            frame = photo if index == 3 else cv2.warpAffine(photo, shift, (480, 480))
            film = pipeline.run(frame, 100.0 * count + index / 30, "film")
        if not image or not film:
            continue
        told = [image[0].frame_probabilities, film[0].frame_probabilities]
        if any(one is None for one in told):
            continue
        count += 1
        right += [names[one.argmax()] == row["valence"] for one in told]
        alike += int(told[0].argmax() == told[1].argmax())
    assert count > 100
    assert alike >= 0.96 * count
    assert abs(right[0] - right[1]) <= 0.02 * count


def test_batches_are_judged_like_single_crops(pipeline):
    from emotion_perception.training.fer import load_fer

    faces = load_fer(folder("fer2013plus"), "validation")
    crops = list(faces.images[:200])
    single = np.concatenate([pipeline.classify([crop]) for crop in crops])
    np.testing.assert_allclose(pipeline.classify(crops), single, atol=1e-5)

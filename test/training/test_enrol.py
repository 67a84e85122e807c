# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From captured images to a file that only the robot's key opens, and back to nothing."""

import datetime
import importlib.util
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("cryptography")

from emotion_perception.cli import app
from emotion_perception.faces.enrolment import load_enrolment, make_key, read_key
from emotion_perception.faces.identity import FaceIdentity
from emotion_perception.faces.mtcnn import MtcnnDetector
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training import registry
from emotion_perception.training.capture_crop import cut_crop, encode_crop
from emotion_perception.training.capture_select import Crop, Quality
from emotion_perception.training.capture_store import PatientStore
from emotion_perception.training.consent import Consent, record_consent, withdraw_consent

TODAY = datetime.date.today()
FRAMING = FacePreprocessing()


def looks(photo, count):
    """Crops of the face in a photo, in light and position a little different each time."""
    height, width = photo.shape[:2]
    landmarks = MtcnnDetector(threads=1).detect(photo)[0].landmarks
    for index in range(count):
        turn = cv2.getRotationMatrix2D(
            (width / 2, height / 2), 3 * (index - count / 2), 1 - 0.03 * (index % 4)
        )
        frame = cv2.warpAffine(photo, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        frame = np.clip(frame * (0.7 + 0.05 * index), 0, 255).astype(np.uint8)
        points = np.column_stack([landmarks, np.ones(5)]) @ turn.T
        # Upright crops of a turned frame would be equal: the landmarks are those of a level head.
        points = points.mean(axis=0) + (landmarks - landmarks.mean(axis=0)) * (1 - 0.02 * index)
        yield cut_crop(frame, points.astype(np.float32), FRAMING)


def other_photo():
    spec = importlib.util.find_spec("matplotlib")
    if spec is None:
        pytest.skip("matplotlib, which carries the photo, is not installed")
    folder = Path(spec.submodule_search_locations[0])
    return cv2.imread(str(folder / "mpl-data" / "sample_data" / "grace_hopper.jpg"))


def add(data, crops, person="P-1"):
    with PatientStore(data, person) as store:
        store.begin("test", {})
        for index, crop in enumerate(crops):
            jpeg = encode_crop(crop, FRAMING)
            store.add(Crop(jpeg, Quality(100, 1, 100, 1)), "neutral", index / 2)
        store.finish({})


@pytest.fixture
def data(tmp_path, photo):
    """Twelve images of a person who has consented."""
    given = Consent(given_by="patient", given=TODAY, purpose="recognise me", recorded_by="tester")
    record_consent(tmp_path / "data", "P-1", given)
    add(tmp_path / "data", looks(photo, 12))
    return tmp_path / "data"


def enrol(data, *options, key="key"):
    root = data.parent
    return CliRunner().invoke(
        app,
        ["enrol", "P-1", "--data", str(data), "--models", str(root / "models"),
         "--key-file", str(root / key), *options],
    )  # fmt: skip


def enrolled(data):
    return data.parent / "models" / "P-1" / "enrolment.bin"


def test_the_patient_is_recognised_and_nobody_else(data, photo):
    done = enrol(data)
    assert done.exit_code == 0, done.output
    root, identity = data.parent, FaceIdentity()
    found = load_enrolment(
        enrolled(data), read_key(root / "key"), patient="P-1", model_id=identity.model_id
    )
    assert found.embeddings.shape == (12, identity.dimensions)
    assert found.threshold == identity.threshold
    detector = MtcnnDetector(threads=1)
    own, other = identity.embed(
        [identity.framing.align(frame, detector.detect(frame)[0].landmarks)
         for frame in (photo, other_photo())]
    )  # fmt: skip
    assert found.likeness(own) > found.threshold > found.likeness(other)


def test_it_says_what_to_set(data):
    output = enrol(data).output
    root = data.parent
    for words in ("12 images of P-1; 12 faces enrolled", "by the others, 100% would be recognised",
                  "partner: enrolled", "patient_id: P-1", f"patients: {root / 'models'}",
                  f"enrolment_key_file: {root / 'key'}", "recognise me", "forget P-1"):  # fmt: skip
        assert words in output


def test_nobody_else_can_read_it(data):
    enrol(data)
    for path in (enrolled(data), data.parent / "key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(enrolled(data).parent.stat().st_mode) == 0o700
    assert [path.name for path in enrolled(data).parent.iterdir()] == ["enrolment.bin"]


def test_the_key_is_kept(data):
    enrol(data)
    key, first = read_key(data.parent / "key"), enrolled(data).read_bytes()
    assert enrol(data).exit_code == 0
    assert read_key(data.parent / "key") == key
    assert enrolled(data).read_bytes() != first
    load_enrolment(enrolled(data), key)


def test_somebody_else_among_the_images_is_left_out_and_named(data):
    add(data, looks(other_photo(), 3))
    done = enrol(data)
    assert "15 images of P-1; 12 faces enrolled" in done.output
    assert "3 are unlike the rest" in done.output
    for number in (13, 14, 15):
        assert f"P-1_idx{number}.jpg" in done.output


def test_images_that_capture_did_not_make_are_left_out(data, photo):
    cv2.imwrite(str(data / "P-1" / "neutral" / "P-1_idx99.jpg"), photo)
    done = enrol(data)
    assert "12 images of P-1" in done.output
    assert "1 images were not made by capture" in done.output


@pytest.mark.parametrize("most", [4, 7])
def test_no_more_than_asked_for(data, most):
    enrol(data, "--most", str(most))
    found = load_enrolment(enrolled(data), read_key(data.parent / "key"))
    assert len(found.embeddings) == most


def refused(done, data):
    assert done.exit_code == 1
    assert not enrolled(data).exists()
    return str(done.exception)


def test_not_without_consent(data):
    (data / "P-1" / "consent.json").unlink()
    assert "no consent on record" in refused(enrol(data), data)
    assert not (data.parent / "key").exists()


def test_not_after_consent_was_withdrawn(data):
    withdraw_consent(data, "P-1", TODAY)
    assert "withdrawn" in refused(enrol(data), data)


def test_not_on_too_few_images(data):
    told = refused(enrol(data, "--least", "13"), data)
    assert "12 images" in told
    assert "at least 13" in told


def test_not_on_images_of_several_people(data):
    add(data, looks(other_photo(), 12))
    assert "alike enough to be of one person" in refused(enrol(data), data)


def test_not_with_a_key_that_others_can_read(data):
    make_key(data.parent / "key")
    (data.parent / "key").chmod(0o644)
    assert "others can read" in refused(enrol(data), data)


@pytest.mark.parametrize("place", ["models/key", "models/P-1/key", "data/key"])
def test_not_with_the_key_beside_what_it_locks(data, place):
    assert "beside what it locks" in refused(enrol(data, key=place), data)
    assert not (data.parent / place).exists()


def test_the_registry_goes_on_working(data):
    enrol(data)
    root = data.parent / "models"
    assert registry.patients(root) == ["P-1"]
    assert registry.versions(root, "P-1") == []
    assert registry.read_current(root, "P-1").version is None
    done = CliRunner().invoke(app, ["models", "list", "--models", str(root)])
    assert done.exit_code == 0
    assert "no models" in done.output


def test_forget_deletes_it_and_not_the_key(data):
    enrol(data)
    root = data.parent
    done = CliRunner().invoke(
        app, ["forget", "P-1", "--data", str(data), "--models", str(root / "models"),
              "--runs", str(root / "runs"), "--yes"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert not enrolled(data).parent.exists()
    assert read_key(root / "key")

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Patients' models exchanged under the running node; the models are the shipped one, relabelled."""

import json
import shutil
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.srv", reason="the package is not built")

from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from robot import Robot, shown_frames, until, wait

from emotion_perception.models import find_model
from emotion_perception.srv import LoadPatientModel
from emotion_perception.training import registry
from emotion_perception.training.promotion import HELD_OUT_FILE, HeldOut, decide

ask = LoadPatientModel.Request


@pytest.fixture(scope="module")
def frames():
    pytest.importorskip("matplotlib")
    return shown_frames()


def answers(wrong):
    """Held-out answers of 240 images in 12 recordings; the base errs in half of them."""
    rng = np.random.default_rng(0)
    labels, others = np.arange(240) % 3, np.arange(1000) % 3

    def logits(truth, share):
        told = np.where(rng.random(len(truth)) < share, (truth + 1) % 3, truth)
        return (2 * np.eye(3)[told]).astype(np.float32)

    names = np.array([f"day {index % 12}" for index in range(240)])
    return HeldOut(
        labels=labels, recordings=names, persons=np.full(240, "P"),
        clusters=np.unique(names, return_inverse=True)[1].astype(np.int64), folds=labels,
        base=logits(labels, 0.5), tuned=logits(labels, wrong), other_labels=others,
        other_base=logits(others, 0.0), other_tuned=logits(others, 0.0),
    )  # fmt: skip


def add(root, patient, wrong=0.1):
    """Publish a version of a patient's model, better or worse than the base."""
    staged = root / patient / ".new" / "version"
    staged.mkdir(parents=True)
    for name in ("card.json", "model.onnx", "model.safetensors"):
        shutil.copyfile(find_model("valence-base") / name, staged / name)
    held_out = answers(wrong)
    held_out.save(staged / HELD_OUT_FILE)
    card = json.loads((staged / "card.json").read_text())
    card.update(name=f"valence-{patient}", training={"patient": patient})
    card["figures"] = {"promotion": decide(held_out).to_card()}
    (staged / "card.json").write_text(json.dumps(card))
    return registry.publish(root, patient, staged)


@pytest.fixture
def robot(domain_id, frames, tmp_path):
    rclpy.init(domain_id=domain_id)
    root = tmp_path / "patients"
    for patient in ("P-1", "P-2"):
        add(root, patient)
        registry.promote(root, patient, "0001")
    made = []

    def make(*parameters):
        made.append(Robot(frames, [("patients", str(root)), *parameters]))
        made[-1].root = root
        return made[-1].start()

    yield make
    for one in made:
        one.close()
    rclpy.shutdown()


def newest(robot):
    return robot.reactions[-1]


def test_swap_by_service_and_back_to_the_base(robot):
    r = robot()
    base = newest(r).model_id
    answer = r.call(r.load, ask(patient_id="P-1"))
    assert answer.success, answer.message
    assert answer.model_id.startswith("valence-P-1-0001+")
    assert "serving P-1 with version 0001" in answer.message
    assert wait(lambda: newest(r).model_id == answer.model_id)
    assert newest(r).patient_id == "P-1"
    assert r.node.get_parameter("patient_id").value == "P-1"
    assert r.call(r.load, ask()).model_id == base
    assert wait(lambda: newest(r).model_id == base)
    assert newest(r).patient_id == ""


def test_cleaning_up_answers_those_who_wait_for_a_model(robot):
    r = robot()
    waiting = [r.load.call_async(ask(patient_id=f"P-{1 + n % 2}")) for n in range(6)]
    for change in (r.node.trigger_deactivate, r.node.trigger_cleanup):
        # In the executor's thread, as the lifecycle services do it.
        assert until(r.executor.create_task(change)) == TransitionCallbackReturn.SUCCESS
    answers = [until(future) for future in waiting]
    assert not answers[-1].success
    assert "cleaned up" in answers[-1].message or "configure it first" in answers[-1].message
    r.reactions.clear()
    r.start()
    assert r.call(r.load, ask(patient_id="P-2")).success


def test_swap_by_parameter_and_at_start(robot):
    r = robot(("patient_id", "P-2"))
    assert newest(r).model_id.startswith("valence-P-2-0001+")
    assert r.node.set_parameters([Parameter("patient_id", value="P-1")])[0].successful
    assert wait(lambda: newest(r).model_id.startswith("valence-P-1-0001+"))
    assert newest(r).patient_id == "P-1"


def test_ids_and_smoothing_outlive_a_swap(robot):
    r = robot()
    face = newest(r).face_id
    assert r.call(r.load, ask(patient_id="P-1")).success
    assert wait(lambda: newest(r).patient_id == "P-1")
    assert newest(r).face_id == face


def test_damaged_moved_worse_and_missing_models_are_refused(robot):
    r = robot(("patient_id", "P-1"))
    before = newest(r).model_id
    add(r.root, "P-1", wrong=0.7)  # 0002 is worse than the base
    damaged = add(r.root, "P-1") / "model.onnx"  # 0003
    damaged.chmod(0o600)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(bytes(content))
    shutil.copytree(r.root / "P-2" / "0001", r.root / "P-1" / "0004")  # another patient's
    for version, words in {
        "0002": "not better than the base",
        "0003": "model.onnx",
        "0004": "moved or exchanged",
        "0009": "no version '0009'",
    }.items():
        answer = r.call(r.load, ask(patient_id="P-1", version=version))
        assert not answer.success
        assert words in answer.message
        assert answer.model_id == before
    seen = len(r.reactions)
    assert wait(lambda: len(r.reactions) > seen + 3)
    assert {m.model_id for m in r.reactions[seen:]} == {before}


def test_a_parameter_whose_model_is_damaged_is_rolled_back(robot):
    r = robot(("patient_id", "P-1"))
    weights = r.root / "P-2" / "0001" / "model.safetensors"
    weights.chmod(0o600)
    weights.write_bytes(weights.read_bytes()[:-1])
    r.node.set_parameters([Parameter("patient_id", value="P-2")])
    assert wait(lambda: r.node.get_parameter("patient_id").value == "P-1")
    time.sleep(0.3)
    assert newest(r).patient_id == "P-1"
    assert newest(r).model_id.startswith("valence-P-1-0001+")


def test_every_message_names_the_model_that_judged_it_and_no_frame_is_lost(robot):
    r = robot()
    # Frames of a camera that waits for no one: this many at once are too many for no node.
    first = len(r.reactions)
    for number in range(30):
        assert r.call(r.load, ask(patient_id=("P-1", "P-2", "")[number % 3])).success
    assert wait(lambda: len(r.reactions) > first + 10)
    for message in r.reactions:
        start = f"valence-{message.patient_id or 'base'}-"
        assert message.model_id.startswith(start)
    stamps = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in r.reactions[first:]]
    dropped = r.node._statistics.snapshot().dropped
    missing = round((stamps[-1] - stamps[0]) * 10) + 1 - len(stamps)
    assert missing <= dropped + 1


def enrol(root, patient, frame):
    """Enrol whoever a frame shows; returns the key file."""
    pytest.importorskip("cryptography")
    from emotion_perception.faces.enrolment import (
        ENROLMENT_FILE,
        Enrolment,
        make_key,
        save_enrolment,
    )
    from emotion_perception.faces.identity import FaceIdentity
    from emotion_perception.pipeline import ReactionPipeline

    identity = FaceIdentity()
    face = ReactionPipeline(threads=1).run(frame)[0].face
    vectors = identity.embed([identity.framing.align(frame, face.landmarks)])
    key_file = root.parent / "key"
    key = make_key(key_file)
    made = Enrolment(patient, vectors, identity.model_id, "2026-01-01", identity.threshold)
    save_enrolment(root / patient / ENROLMENT_FILE, made, key)
    return key_file


def test_only_the_enrolled_patient_is_the_partner(robot, frames, tmp_path):
    key_file = enrol(tmp_path / "patients", "P-1", frames["smile"])
    r = robot(("patient_id", "P-1"), ("partner", "enrolled"), ("enrolment_key_file", str(key_file)))
    assert wait(lambda: newest(r).face_id)
    r.shown = "other"
    assert wait(lambda: newest(r).face_id == "")
    time.sleep(0.5)
    assert newest(r).reason == newest(r).REASON_NO_FACE
    # Whoever cannot be recognised is not served as long as that is asked for.
    answer = r.call(r.load, ask(patient_id="P-2"))
    assert not answer.success
    assert "enrol P-2" in answer.message
    assert newest(r).patient_id == "P-1"


def test_nobody_is_recognised_unless_that_is_asked_for(robot, frames, tmp_path, monkeypatch):
    key_file = enrol(tmp_path / "patients", "P-1", frames["smile"])
    from emotion_perception.faces.identity import FaceIdentity

    embedded = []
    embed = FaceIdentity.embed
    monkeypatch.setattr(
        FaceIdentity, "embed", lambda self, crops: embedded.append(1) or embed(self, crops)
    )
    r = robot(("patient_id", "P-1"), ("enrolment_key_file", str(key_file)))
    seen = len(r.reactions)
    assert wait(lambda: len(r.reactions) > seen + 15)
    assert newest(r).face_id
    assert embedded == []
    assert r.node.set_parameters([Parameter("partner", value="enrolled")])[0].successful
    assert wait(lambda: embedded)
    assert r.node.set_parameters([Parameter("partner", value="largest")])[0].successful
    time.sleep(0.3)  # the frame at hand
    count = len(embedded)
    seen = len(r.reactions)
    assert wait(lambda: len(r.reactions) > seen + 15)  # more than once a second
    assert len(embedded) == count


def test_enrolled_without_an_enrolment_is_refused(robot):
    r = robot(("patient_id", "P-1"))
    refused = r.node.set_parameters([Parameter("partner", value="enrolled")])[0]
    assert not refused.successful
    assert "enrolment_key_file" in refused.reason
    assert r.node.get_parameter("partner").value == "largest"

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import math
from dataclasses import replace

import numpy as np
import pytest

from emotion_perception.reaction.observation import (
    Moment,
    MomentRing,
    Outcome,
    describe,
    mean_change,
    observe,
    t_quantile,
)
from emotion_perception.reaction.reaction import FaceReaction, Reaction, Reason

LEVELS = {
    "calm": (0.08, 0.87, 0.05), "smile": (0.02, 0.08, 0.9), "sad": (0.85, 0.12, 0.03),
}  # fmt: skip


def film(before, after, onset=0.5, rate=15.0, seed=0, end=4.0, start=-12.0, noise=0.3, face="f1"):
    """A person's expression with noise that lasts about a third of a second."""
    rng = np.random.default_rng(seed)
    shift, moments = np.zeros(3), []
    for time in np.arange(start, end, 1 / rate):
        level = np.log(LEVELS[after if time >= onset else before])
        keep = math.exp(-1 / rate / 0.3)
        shift = keep * shift + math.sqrt(1 - keep**2) * rng.normal(0, noise, 3)
        p = np.exp(level + shift)
        moments.append(Moment(float(time), face, (p / p.sum()).astype(np.float32), True))
    return moments


def seen(moments, **more):
    arguments = {"face_id": "", "start": 0.0, "baseline": 2.0, "end": 4.0, "threshold": 0.7}
    return observe(moments, **{**arguments, **more})


@pytest.mark.parametrize("rate", [5.0, 15.0, 60.0])
@pytest.mark.parametrize(
    ("before", "after", "verdict", "sign"),
    [
        ("calm", "smile", Reaction.POSITIVE, 1),
        ("calm", "calm", Reaction.NEUTRAL, 0),
        ("smile", "calm", Reaction.NEUTRAL, -1),
        ("sad", "calm", Reaction.NEUTRAL, 1),
        ("calm", "sad", Reaction.NEGATIVE, -1),
    ],
)
def test_verdict_change_and_onset(before, after, verdict, sign, rate):
    found = seen(film(before, after, rate=rate))
    assert found.outcome is Outcome.OBSERVED
    assert found.reaction is verdict
    low, high = found.interval
    assert low <= found.change <= high
    if sign:
        assert low * sign > 0 or high * sign > 0
        assert found.change * sign > 0.3
        assert found.onset == pytest.approx(0.5, abs=0.25)
    else:
        assert low <= 0 <= high
        assert math.isnan(found.onset)
    assert found.response.sum() == pytest.approx(1, abs=1e-3)


def test_the_interval_covers_the_true_change():
    calm, smile = (
        float(np.mean([m.probabilities[2] - m.probabilities[0] for m in film(
            level, level, seed=1000, noise=0.8, start=0.0, end=3000.0)]))
        for level in ("calm", "smile")
    )  # fmt: skip
    found = np.array([
        seen(film("calm", "smile", seed=seed, noise=0.8)).interval for seed in range(150)
    ])  # fmt: skip
    change = (smile - calm) * 3.5 / 4
    # 95 % of 150 are 142; a method that ignores the correlation gets about 90.
    assert ((found[:, 0] <= change) & (change <= found[:, 1])).sum() >= 132
    assert (found[:, 1] - found[:, 0]).mean() < 0.75  # nor does it say nothing


def test_a_short_smile_is_a_response():
    moments = [*film("calm", "smile", onset=1.0, end=2.2), *film("calm", "calm", start=2.2, end=6)]
    found = seen(moments, end=6.0)
    assert found.reaction is Reaction.POSITIVE
    assert found.onset == pytest.approx(1.0, abs=0.3)


def test_nobody_leaves_and_too_few():
    empty = [Moment(t, "", None, False) for t in np.arange(-3.0, 4.0, 0.1)]
    assert seen(empty).outcome is Outcome.NO_FACE
    assert seen([]).outcome is Outcome.NO_FACE
    gone = [m for m in film("calm", "calm") if m.stamp < 0.5]
    later = [Moment(t, "", None, False) for t in np.arange(0.5, 4.0, 0.1)]
    found = seen([*gone, *later])
    assert (found.outcome, found.reaction, found.reason) == (
        Outcome.LEFT, Reaction.UNKNOWN, Reason.NO_FACE)  # fmt: skip
    assert math.isnan(found.change)
    blurred = [m if m.stamp < 0 else Moment(m.stamp, "f1", None, True)
               for m in film("calm", "calm")]  # fmt: skip
    assert seen(blurred).outcome is Outcome.TOO_FEW_FRAMES
    assert seen(blurred).missed_frames > 50


def test_frames_in_which_others_had_their_turn_are_not_missed():
    moments = film("calm", "smile", rate=30.0)
    taking_turns = [
        replace(moment, probabilities=None, waited=True) if index % 3 else moment
        for index, moment in enumerate(moments)
    ]
    found = seen(taking_turns)
    assert found.outcome == Outcome.OBSERVED
    assert found.reaction == Reaction.POSITIVE
    assert found.missed_frames == 0
    assert 35 <= found.response_frames <= 45


def test_without_a_baseline_there_is_a_verdict_and_no_change():
    found = seen([m for m in film("smile", "smile") if m.stamp >= 0])
    assert found.reaction is Reaction.POSITIVE
    assert math.isnan(found.change)
    assert "before is not known" in describe(found)


def test_it_is_the_partner_at_the_start_who_is_watched():
    other = [Moment(m.stamp, "f2", m.probabilities, m.stamp > 1.0)
             for m in film("sad", "sad", seed=5)]  # fmt: skip
    own = [Moment(m.stamp, "f1", m.probabilities, m.stamp <= 1.0) for m in film("calm", "smile")]
    moments = sorted([*own, *other], key=lambda m: m.stamp)
    assert seen(moments).face_id == "f1"
    assert seen(moments, face_id="f2").reaction is Reaction.NEGATIVE


def test_sentences():
    text = describe(seen(film("calm", "smile")))
    assert text.startswith("received positively; the face turned brighter after 0.")
    assert "95 % interval +" in text
    assert "no clear change" in describe(seen(film("calm", "calm")))


def test_change_so_far():
    moments = film("calm", "smile", noise=0.01)
    change, frames = mean_change([m for m in moments if m.stamp < 0], "f1", 0.0)
    assert math.isnan(change)
    assert frames == 0
    change, frames = mean_change(moments, "f1", 0.0)
    assert 0.5 < change < 1
    assert frames == pytest.approx(60, abs=1)


def reaction(stamp, face_id="f1"):
    from emotion_perception.faces.face import Face

    face = Face(np.zeros(4, np.float32), 1.0, np.zeros((5, 2), np.float32))
    p = np.array([0.1, 0.8, 0.1], np.float32)
    return FaceReaction(
        face=face, probabilities=p, reaction=Reaction.NEUTRAL, reason=Reason.NONE, stamp=stamp,
        face_id=face_id, is_partner=True, frame_probabilities=p,
    )  # fmt: skip


def test_the_ring_keeps_numbers_for_a_while_and_forgets_when_time_jumps():
    ring = MomentRing(keep=10.0)
    for step in range(200):
        assert ring.add_frame(step / 10, [reaction(step / 10)])
    assert len(ring.between(0.0, 100.0)) == pytest.approx(100, abs=2)
    assert [m.stamp for m in ring.between(15.0, 15.25)] == [15.0, 15.1, 15.2]
    assert ring.add_frame(19.5, [])  # a little late
    assert not ring.add_frame(3.0, [])
    assert [m.face_id for m in ring.between(0.0, 100.0)] == [""]


@pytest.mark.parametrize(("freedom", "value"), [(3, 3.182), (10, 2.228), (100, 1.984)])
def test_students_t(freedom, value):
    assert t_quantile(0.975, freedom) == pytest.approx(value, rel=0.01)

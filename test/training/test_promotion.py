# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest

from emotion_perception.faces.model_files import ModelError
from emotion_perception.training.faces import from_labels
from emotion_perception.training.promotion import (
    HeldOut,
    clusters_of_frames,
    decide,
    forgetting,
)


def logits_of(answers, sure=2.0):
    return (sure * np.eye(3)[answers]).astype(np.float32)


def held_out(base_wrong=0.5, tuned_wrong=0.1, lost=0.0, n=240, recordings=12, seed=0):
    """Answers whose shares of errors are given; errors of both are independent."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    others = np.arange(1000) % 3

    def wrong(truth, share):
        return np.where(rng.random(len(truth)) < share, (truth + 1) % 3, truth)

    later = others.copy()
    later[: round(lost * len(others))] = (later[: round(lost * len(others))] + 1) % 3
    names = np.array([f"day {index % recordings}" for index in range(n)])
    return HeldOut(
        labels=labels, recordings=names, persons=np.full(n, "P-1"),
        clusters=np.unique(names, return_inverse=True)[1].astype(np.int64),
        folds=np.arange(n) % 3, base=logits_of(wrong(labels, base_wrong)),
        tuned=logits_of(wrong(labels, tuned_wrong)), other_labels=others,
        other_base=logits_of(others), other_tuned=logits_of(later),
    )  # fmt: skip


def test_a_clear_gain_is_promoted_with_its_figures():
    decision = decide(held_out())
    assert decision.allowed
    assert decision.figures["gain_points"] == pytest.approx(40, abs=8)
    low, high = decision.figures["gain_interval_points"]
    assert 0 < low < decision.figures["gain_points"] < high
    assert decision.figures["better_in_share_of_draws"] == 1
    assert decision.figures["forgetting_points"] == 0
    assert "mean recall" in decision.reasons[0]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (held_out(tuned_wrong=0.6), "does not beat the base"),
        # A few images more right than wrong: chance.
        (held_out(base_wrong=0.42, tuned_wrong=0.38, n=90, seed=3), "may be chance"),
        (held_out(lost=0.02), "forgets too much: 2.0 points"),
        (held_out(recordings=4), "too few"),
        (replace(held_out(), other_labels=np.empty(0, np.int64),
                 other_base=np.empty((0, 3), np.float32), other_tuned=np.empty((0, 3), np.float32)),
         "no base data"),
    ],
)  # fmt: skip
def test_refused_with_the_reason(answers, reason):
    decision = decide(answers)
    assert not decision.allowed
    assert any(reason in told for told in decision.reasons), decision.reasons


def test_a_class_that_was_never_held_out_is_no_proof():
    answers = held_out()
    keep = answers.labels != 0
    part = {
        name: getattr(answers, name)[keep]
        for name in ("labels", "recordings", "persons", "clusters", "folds", "base", "tuned")
    }
    decision = decide(replace(answers, **part))
    assert not decision.allowed
    assert "no held-out image of the class negative" in decision.reasons[0]


def test_near_copies_do_not_count_as_many():
    # One lucky recording of 200 frames among twelve: certain by frames, luck by recordings.
    labels = np.tile(np.arange(3), 100)
    names = np.where(np.arange(300) < 200, "lucky", [f"day {i // 9}" for i in range(300)])
    base = logits_of(np.where(np.arange(300) < 200, (labels + 1) % 3, labels))
    tuned = logits_of(np.where(np.arange(300) < 200, labels, (labels + 1) % 3))
    answers = replace(
        held_out(n=300), labels=labels, recordings=names, base=base, tuned=tuned,
        clusters=np.unique(names, return_inverse=True)[1].astype(np.int64),
    )  # fmt: skip
    frames = replace(answers, clusters=np.arange(300))
    assert decide(frames).figures["better_in_share_of_draws"] > 0.99
    assert decide(answers).figures["better_in_share_of_draws"] < 0.95
    assert not decide(answers).allowed


def test_worse_on_one_recording_is_refused():
    answers = held_out(n=400)
    names = np.where(np.arange(400) < 80, "morning", "evening")
    spoilt = np.where(names == "morning", (answers.labels + 1) % 3, answers.labels)
    better = np.where(names == "morning", answers.labels, (answers.labels + 1) % 3)
    decision = decide(
        replace(answers, recordings=names, clusters=np.arange(400) // 8,
                base=logits_of(better), tuned=logits_of(spoilt))
    )  # fmt: skip
    assert not decision.allowed
    assert any("worse on the recording morning" in reason for reason in decision.reasons)


def test_forgetting_is_in_points_and_can_be_a_gain():
    assert forgetting(held_out(lost=0.015)) == pytest.approx(1.5)
    answers = held_out(lost=0.015)
    swapped = replace(answers, other_base=answers.other_tuned, other_tuned=answers.other_base)
    assert forgetting(swapped) == pytest.approx(-1.5)


def test_bound_itself_is_too_much():
    assert not decide(held_out(lost=0.015), max_forgetting=1.5).allowed
    assert decide(held_out(lost=0.014), max_forgetting=1.5).allowed


def test_round_trip(tmp_path):
    answers = held_out()
    answers.save(tmp_path / "held_out.npz")
    again = HeldOut.load(tmp_path / "held_out.npz")
    assert decide(again).to_card() == decide(answers).to_card()


@pytest.mark.parametrize("damage", ["missing", "half", "text", "other"])
def test_damaged_answers_are_named(tmp_path, damage):
    path = tmp_path / "held_out.npz"
    held_out().save(path)
    if damage == "missing":
        path.unlink()
    elif damage == "half":
        path.write_bytes(path.read_bytes()[:300])
    elif damage == "text":
        path.write_text("hello")
    else:
        np.savez(path, labels=np.zeros(3))
    with pytest.raises(ModelError, match=r"held_out\.npz: no usable held-out answers"):
        HeldOut.load(path)


def test_answers_must_belong_together():
    with pytest.raises(ModelError, match="tuned: expected as many"):
        replace(held_out(), tuned=np.zeros((3, 3), np.float32))
    with pytest.raises(ModelError, match="finite logits"):
        replace(held_out(), base=np.full((240, 3), np.nan, np.float32))


def faces(recordings, numbers):
    count = len(recordings)
    return from_labels(
        np.zeros((count, 48, 48), np.uint8), np.arange(count) % 3,
        files=[f"x_idx{number}.jpg" for number in numbers], recordings=recordings,
    )  # fmt: skip


def test_few_recordings_are_parted_into_blocks_of_neighbours():
    # Order of the numbers in the names, not of the list, nor of the alphabet.
    numbers = list(range(20))[::-1]
    clusters = clusters_of_frames(faces(["a"] * 20, numbers))
    by_number = clusters[::-1].tolist()
    assert by_number == [by_number[0]] * 8 + [by_number[8]] * 8 + [by_number[16]] * 4
    assert len(set(by_number)) == 3


def test_many_recordings_stay_whole_and_lone_images_stand_alone():
    names = [f"r{index // 10}" for index in range(100)] + ["", ""]
    clusters = clusters_of_frames(faces(names, range(102)))
    assert len(set(clusters.tolist())) == 12
    assert all(len(set(clusters[i * 10 : i * 10 + 10].tolist())) == 1 for i in range(10))

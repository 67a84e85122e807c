# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest

from emotion_perception.image.demo_clip import demo_frames
from emotion_perception.pipeline import ReactionPipeline, Shot
from emotion_perception.sessions.state import StateError, freeze, pack, thaw, unpack

pytest.importorskip("matplotlib")


def told(reactions):
    return [
        (r.face_id, r.is_partner, r.reaction, r.reason, r.problem, r.face.box.tolist(),
         r.probabilities.tolist())
        for r in reactions
    ]  # fmt: skip


@pytest.mark.parametrize("rate", [15.0, 30.0])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_film_goes_on_as_if_it_had_not_stopped(rate, threads):
    frames = list(demo_frames(15.0))[::2]
    whole, pipeline = ReactionPipeline(threads=threads), ReactionPipeline(threads=threads)
    for start in range(0, len(frames), 7):
        if start:
            state = json.loads(json.dumps(freeze(pipeline)))
            pipeline = ReactionPipeline(threads=threads)
            thaw(pipeline, state)
        shots = [Shot(f, (start + i) / rate) for i, f in enumerate(frames[start : start + 7])]
        for mine, expected in zip(pipeline.run_many(shots), whole.run_many(shots), strict=True):
            assert told(mine) == told(expected)


def test_before_the_first_frame_there_is_nothing():
    pipeline = ReactionPipeline()
    assert freeze(pipeline) is None
    thaw(pipeline, None)


@pytest.mark.parametrize(
    "value",
    [1, 2.5, float("inf"), "x", None, [1, (2, [3])], {"a": 1, 2: None},
     np.arange(6, dtype=np.float32).reshape(2, 3), np.array(3.5)],
)  # fmt: skip
def test_values_come_back(value):
    back = unpack(json.loads(json.dumps(pack(value))))
    np.testing.assert_equal(back, value)
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "state",
    [{"is": "Popen", "has": {}}, {"is": "Face", "has": []}, {"is": "Face"}, {"x": 1},
     {"in": "set", "items": []},
     {"array": "AAAA", "dtype": "<f4", "shape": [2]}, {"array": "", "dtype": "O", "shape": [0, 1]},
     {"is": "Face", "has": {}}, 7, {"is": "Scene", "has": {}},
     {"array": "AAAA", "dtype": "i,,,", "shape": [0]}],
)  # fmt: skip
def test_other_states_are_refused(state):
    with pytest.raises(StateError):
        thaw(ReactionPipeline(), state)


def test_a_state_without_its_follower_is_refused():
    pipeline = ReactionPipeline()
    pipeline.run_many([Shot(next(demo_frames(1.0)), 0.0)])
    whole = json.dumps(freeze(pipeline))
    for part in ("follower", "_tracker"):
        for wrong in (None, {"is": "Face", "has": {}}, {"is": "FaceTracker", "has": {}}):
            state = json.loads(whole)
            state["has"][part] = wrong
            with pytest.raises(StateError, match="of another version"):
                thaw(ReactionPipeline(), state)


def test_a_state_without_a_bottom_is_refused():
    state = 1
    for _ in range(900):
        state = {"in": "list", "items": [state]}
    with pytest.raises(StateError, match="too deep") as error:
        unpack(state)
    assert len(str(error.value)) < 200


def test_unknown_classes_have_no_state():
    with pytest.raises(TypeError, match="no state of a"):
        pack(object())

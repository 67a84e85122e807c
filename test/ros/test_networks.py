# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Somebody else's network of emotions under the running node."""

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")
pytest.importorskip("onnx", reason="the training half is not installed")

import tiny_network
from robot import Robot, makes, shown_frames, wait

from emotion_perception.msg import UserReaction
from emotion_perception.valence.emotion_import import card_of, import_network


@pytest.fixture
def folder(tmp_path):
    file = tiny_network.smile_network(tmp_path / "skin.onnx")
    import_network(card_of("hsemotion-enet-b0-8"), file, tmp_path / "skin")
    return tmp_path / "skin"


def test_the_parameter_model_takes_an_imported_network(domain_id, folder):
    pytest.importorskip("matplotlib")
    with makes(Robot, domain_id) as make:
        robot = make(shown_frames(), [("model", str(folder))]).start()
        assert wait(lambda: robot.reactions[-1].reaction == UserReaction.POSITIVE)
        newest = robot.reactions[-1]
        assert newest.model_id.startswith("hsemotion-enet-b0-8-0.3.0+")
        assert newest.p_negative + newest.p_neutral + newest.p_positive == pytest.approx(
            1, abs=1e-5
        )

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Any value for any parameter of the real node: it is taken, or refused in a line that says why."""

import math
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")

import rclpy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.time import Time
from std_msgs.msg import Header
from waiting import wait

from emotion_perception.nodes.messages import bgr_image
from emotion_perception.nodes.parameters import PARAMETERS, Change
from emotion_perception.nodes.reaction_node import ReactionNode

TEXTS = st.text(max_size=80) | st.sampled_from(
    ["", "raw", "locked", "enrolled", "face_id", "cuda:0", "P-1", "../x", "\0", "a\nb"]
)
NUMBERS = st.floats() | st.sampled_from([0.0, 0.5, 1.0, 5.0, -1.0])
WHOLE = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 100)
VALUES = st.one_of(
    st.none(), st.booleans(), WHOLE, NUMBERS, TEXTS, st.lists(NUMBERS, max_size=4),
    st.lists(WHOLE, min_size=1, max_size=4), st.lists(TEXTS, min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=1, max_size=4),
)  # fmt: skip
SPECS = {spec.name: spec for spec in PARAMETERS}


@pytest.fixture(params=["unconfigured", "inactive", "active"])
def node(domain_id, request, tmp_path):
    rclpy.init(domain_id=domain_id)
    made = ReactionNode(parameter_overrides=[Parameter("patients", value=str(tmp_path))])
    if request.param != "unconfigured":
        assert made.trigger_configure() == TransitionCallbackReturn.SUCCESS
    if request.param == "active":
        assert made.trigger_activate() == TransitionCallbackReturn.SUCCESS
    made.images = request.param == "active"
    yield made
    made.destroy_node()
    rclpy.shutdown()


def image():
    stamp = Time(nanoseconds=time.time_ns()).to_msg()
    return bgr_image(Header(stamp=stamp, frame_id="c"), np.zeros((60, 80, 3), np.uint8))


def alike(one, other):
    """Whether two values are the same; lists of ROS are arrays or tuples."""
    if hasattr(one, "__len__") and not isinstance(one, str):
        return len(one) == len(other) and all(map(alike, one, other))
    return math.isclose(one, other) if isinstance(one, float) else one == other


def test_any_value_of_any_parameter(node, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # what a text names is not to be made in the checkout

    @settings(max_examples=150, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.sampled_from(sorted(SPECS)), VALUES)
    @example("detection_thresholds", [0.6, math.nan, 0.7])
    @example("detection_thresholds", [])
    @example("camera_topics", ["a b"])
    @example("threads", 2**63 - 1)
    @example("image_timeout", math.inf)
    def told(name, value):
        try:
            parameter = Parameter(name, value=value)
        except TypeError:
            return  # no value that ROS has
        before = node.get_parameter(name).value
        (result,) = node.set_parameters([parameter])
        after = node.get_parameter(name).value
        if result.successful:
            assert SPECS[name].problem(after) is None
            assert SPECS[name].change is not Change.START
            assert alike(after, parameter.value)
            if node.images:
                node._on_image(node._cameras[0], image())
            # What is done with it now and then.
            node._on_tick()
            node._on_timer()
        else:
            assert result.reason
            assert "\n" not in result.reason
            assert after == before

    told()
    # It is still a whole node.
    usual = [Parameter(s.name, value=s.default) for s in PARAMETERS if s.change is Change.LIVE]
    assert all(answer.successful for answer in node.set_parameters(usual))
    if node._state == "inactive":
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    if node._state == "active":
        statistics = node._cameras[0].statistics
        failed, judged = statistics.snapshot().failed, statistics.snapshot().judged
        node._on_image(node._cameras[0], image())
        assert wait(lambda: statistics.snapshot().judged > judged, 20.0)
        assert statistics.snapshot().failed == failed == 0

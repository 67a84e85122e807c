# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The node in this process, with real rclpy, real messages and a publisher of its own."""

import gc
import threading
import time

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from robot import OnOneExecutor, makes, wait
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from emotion_perception.image.decode import decode_compressed
from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.msg import FaceReactionArray, UserReaction
from emotion_perception.nodes.messages import bgr_image

OK = TransitionCallbackReturn.SUCCESS


@pytest.fixture(scope="module")
def frames():
    """A smiling face and an empty scene, 640x480."""
    pytest.importorskip("matplotlib")
    every = list(demo_frames(5.0))
    face, empty = (every[int((s[0] + s[1]) / 2 * 5)] for s in DEMO_SPANS[:2])
    return face, empty


class Bench(OnOneExecutor):
    """A reaction node, a camera that sends what it is given, and a listener."""

    def __init__(self, parameters=(), arguments=(), reliability=ReliabilityPolicy.RELIABLE):
        super().__init__(parameters, arguments)
        qos = QoSProfile(depth=5, reliability=reliability)
        self.camera = self.other.create_publisher(Image, "image_raw", qos)
        self.compressed = self.other.create_publisher(CompressedImage, "image_raw/compressed", qos)
        self.reactions, self.not_looked = [], []
        self.faces, self.statuses, self.debug = [], [], []
        subscribe = self.other.create_subscription
        subscribe(UserReaction, "user_reaction", self._hear, 50)
        subscribe(FaceReactionArray, "reaction_node/faces", self.faces.append, 50)
        subscribe(DiagnosticArray, "/diagnostics", lambda m: self.statuses.append(m.status[0]), 10)
        self.spin()

    def _hear(self, message):
        looked = message.reason != UserReaction.REASON_NOT_LOOKED
        (self.reactions if looked else self.not_looked).append(message)

    def listen_to_debug_image(self):
        return self.other.create_subscription(
            Image, "reaction_node/debug_image", self.debug.append, 5
        )

    def send(self, message, publisher=None):
        publisher = publisher or self.camera
        assert wait(lambda: publisher.get_subscription_count() > 0)
        publisher.publish(message)

    def ask(self, message, publisher=None):
        """Send until an answer comes, since discovery may lose the first; return the answer."""
        before = len(self.reactions)
        for _ in range(20):
            self.send(message, publisher)
            if wait(lambda: len(self.reactions) > before, 1.0):
                return self.reactions[-1]
        raise AssertionError("no answer")

    def value(self, key):
        return {v.key: v.value for v in self.statuses[-1].values}[key]


@pytest.fixture
def bench(domain_id):
    with makes(Bench, domain_id) as make:
        yield make


def header(seconds=None):
    result = Header(frame_id="camera_optical_frame")
    if seconds is None:
        seconds = time.time()
    result.stamp.sec = int(seconds)
    result.stamp.nanosec = int(seconds % 1 * 1e9)
    return result


def test_a_smile_is_positive_and_nobody_is_unknown(bench, frames):
    b = bench().start()
    stamp = header()
    answer = b.ask(bgr_image(stamp, frames[0]))
    assert answer.reaction == UserReaction.POSITIVE
    assert answer.reason == UserReaction.REASON_NONE
    assert answer.header == stamp
    assert answer.p_negative + answer.p_neutral + answer.p_positive == pytest.approx(1, abs=1e-5)
    assert answer.valence == pytest.approx(answer.p_positive - answer.p_negative, abs=1e-6)
    assert answer.model_id.startswith("valence-base-")
    assert 0 < answer.latency < 30
    assert answer.roi.width > 40
    assert wait(lambda: b.faces)
    assert b.faces[-1].faces[0].is_partner

    nobody = b.ask(bgr_image(header(), frames[1]))
    assert (nobody.reaction, nobody.reason) == (
        UserReaction.UNKNOWN, UserReaction.REASON_NO_FACE,
    )  # fmt: skip
    assert nobody.confidence == 0
    assert wait(lambda: b.faces[-1].header == nobody.header)
    assert len(b.faces[-1].faces) == 0


def test_a_default_message_can_never_be_acted_on():
    assert UserReaction().reaction == UserReaction.UNKNOWN


def test_compressed_images(bench, frames):
    b = bench([("image_transport", "compressed")]).start()
    data = cv2.imencode(".jpg", frames[0])[1].tobytes()
    message = CompressedImage(header=header(), format="bgr8; jpeg compressed bgr8", data=data)
    assert b.ask(message, b.compressed).reaction == UserReaction.POSITIVE


def test_best_effort_camera(bench, frames):
    b = bench(reliability=ReliabilityPolicy.BEST_EFFORT).start()
    assert b.ask(bgr_image(header(), frames[0])).reaction == UserReaction.POSITIVE


def test_remapped_and_namespaced_topics(bench, frames):
    b = bench(arguments=["--ros-args", "-r", "__ns:=/robot", "-r", "image_raw:=/image_raw"])
    received = []
    b.other.create_subscription(UserReaction, "/robot/user_reaction", received.append, 5)
    b.start()
    assert wait(lambda: b.camera.get_subscription_count() > 0)
    for _ in range(20):
        b.camera.publish(bgr_image(header(), frames[0]))
        if wait(lambda: received, 1.0):
            break
    assert received


BAD = {
    # name: (changed fields, words of the one line)
    "zero size": ({"width": 0, "height": 0, "step": 0, "data": b""}, "width"),
    "truncated": ({"data": b"\0" * 100}, "data"),
    "wrong step": ({"step": 7}, "step"),
    "unknown encoding": ({"encoding": "bgr9"}, "encoding"),
    "huge header": ({"width": 20000, "height": 20000, "step": 60000}, "20000"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_image_is_counted_and_the_node_goes_on(bench, frames, name):
    b = bench().start()
    b.ask(bgr_image(header(), frames[0]))
    changes, words = BAD[name]
    message = bgr_image(header(), frames[0])
    for field, value in changes.items():
        setattr(message, field, value)
    answers = len(b.reactions)
    b.send(message)
    assert wait(lambda: b.statuses and b.value("bad images") == "1")
    assert words in b.value("last error")
    assert b.statuses[-1].level in {DiagnosticStatus.WARN, DiagnosticStatus.ERROR}  # no image since
    assert len(b.reactions) == answers

    def warned():
        assert b.ask(bgr_image(header(), frames[0])).reaction == UserReaction.POSITIVE
        return b.statuses[-1].level == DiagnosticStatus.WARN

    assert wait(warned)
    assert words in b.statuses[-1].message


def test_corrupt_jpeg(bench, frames):
    b = bench([("image_transport", "compressed")]).start()
    data = cv2.imencode(".jpg", frames[0])[1].tobytes()
    good = CompressedImage(header=header(), format="jpeg", data=data)
    b.ask(good, b.compressed)
    b.send(CompressedImage(header=header(), format="jpeg", data=data[:2000]), b.compressed)
    assert wait(lambda: b.statuses and b.value("bad images") == "1")
    assert b.ask(good, b.compressed).reaction == UserReaction.POSITIVE


def test_life_cycle_many_times_without_leaks(bench, frames):
    b = bench()
    message = bgr_image(header(), frames[1])

    def once():
        b.start()
        b.ask(message)
        assert b.node.trigger_deactivate() == OK
        assert b.node.trigger_cleanup() == OK

    def resident():
        gc.collect()
        time.sleep(1.2)  # diagnostics of now
        return float(b.value("memory (MB)"))

    for _ in range(3):
        once()
    assert wait(lambda: b.statuses)
    threads = threading.active_count()
    start = resident()
    for _ in range(10):
        once()
    # Fewer, where threads of an earlier test have ended meanwhile.
    assert threading.active_count() <= threads
    assert resident() - start < 25
    assert b.camera.get_subscription_count() == 0
    assert b.other.count_publishers("user_reaction") == 0


def test_an_inactive_node_does_not_look(bench, frames):
    b = bench().start()
    b.ask(bgr_image(header(), frames[0]))
    assert b.node.trigger_deactivate() == OK
    assert wait(lambda: b.camera.get_subscription_count() == 0)
    assert wait(lambda: b.not_looked)
    answers = len(b.reactions)
    b.camera.publish(bgr_image(header(), frames[0]))
    time.sleep(0.5)
    assert len(b.reactions) == answers
    assert b.node.trigger_activate() == OK
    assert b.ask(bgr_image(header(), frames[0])).reaction == UserReaction.POSITIVE


def test_shutting_down_takes_the_last_answer_back(bench, frames):
    b = bench().start()
    assert b.ask(bgr_image(header(), frames[0])).reaction == UserReaction.POSITIVE
    before = len(b.not_looked)
    assert b.node.trigger_shutdown() == OK
    assert wait(lambda: len(b.not_looked) > before)


def test_a_stamp_before_time_is_no_stamp(bench, frames):
    b = bench().start()
    stamp = header()
    stamp.stamp.sec = -5
    answer = b.ask(bgr_image(stamp, frames[0]))
    assert answer.reaction == UserReaction.POSITIVE
    assert answer.header == stamp
    assert 0 < answer.latency < 30


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("confidence_threshold", float("nan"), "confidence_threshold"),
        ("confidence_threshold", 5.0, "confidence_threshold"),
        ("detection_thresholds", [0.6, 0.7], "detection_thresholds"),
        ("detection_thresholds", [0.6, 0.7, float("nan")], "detection_thresholds"),
        ("min_face_size", 3, "min_face_size"),
        ("patient_id", "Jane Doe!", "patient_id"),
        ("device", "cpu", "unconfigured"),  # changes while unconfigured only
        ("autostart", True, "read-only"),
    ],
)
def test_refused_parameters(bench, name, value, words):
    b = bench().start()
    before = b.node.get_parameter(name).value
    result = b.node.set_parameters([Parameter(name, value=value)])[0]
    assert not result.successful
    assert words in result.reason
    assert b.node.get_parameter(name).value == before


def test_bad_start_values_are_replaced_and_said(bench):
    b = bench([("confidence_threshold", float("nan")), ("device", "toaster"), ("threads", "two")])
    assert b.node.get_parameter("confidence_threshold").value == -1.0
    assert b.node.get_parameter("device").value == "auto"
    assert b.node.get_parameter("threads").value == 2
    assert wait(lambda: b.statuses)
    assert b.value("refused parameters and models") == "3"


def test_live_parameters_take_effect_at_once(bench, frames):
    b = bench().start()
    message = bgr_image(header(), frames[0])
    b.ask(message)
    b.node.set_parameters([Parameter("confidence_threshold", value=1.0)])
    b.node.set_parameters([Parameter("patient_id", value="patient_7")])
    assert wait(lambda: b.ask(message).reason == UserReaction.REASON_LOW_CONFIDENCE)
    assert b.reactions[-1].patient_id == "patient_7"
    b.node.set_parameters([Parameter("min_face_size", value=400)])
    assert wait(lambda: b.ask(message).reason == UserReaction.REASON_NO_FACE)


def test_wrong_model_is_refused_and_can_be_corrected(bench, frames, tmp_path):
    b = bench([("model", str(tmp_path))])
    assert b.node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert b.node.set_parameters([Parameter("model", value="")])[0].successful
    b.start()
    assert b.ask(bgr_image(header(), frames[0])).reaction == UserReaction.POSITIVE


def test_cv_bridge_where_it_is_not_is_refused(bench):
    try:
        import cv_bridge  # noqa: F401
    except ImportError:
        assert bench([("decoder", "cv_bridge")]).node.trigger_configure() != OK
    else:
        pytest.skip("cv_bridge is installed")


def test_cv_bridge_sees_the_same(bench, frames):
    pytest.importorskip("cv_bridge")
    b = bench([("decoder", "cv_bridge")]).start()
    assert b.ask(bgr_image(header(), frames[0])).reaction == UserReaction.POSITIVE


def test_missing_yunet_file_is_refused(bench):
    b = bench([("detector", "yunet"), ("yunet_model", "nowhere.onnx")])
    assert b.node.trigger_configure() == TransitionCallbackReturn.FAILURE


def test_old_frames_are_dropped_and_counted(bench, frames):
    b = bench([("max_frame_age", 1.0)]).start()
    assert b.ask(bgr_image(header(), frames[0]))
    answers = len(b.reactions)
    b.send(bgr_image(header(time.time() - 5), frames[0]))
    assert wait(lambda: b.statuses and b.value("images too old") == "1")
    assert len(b.reactions) == answers


def test_stamp_of_zero_gives_a_sane_latency(bench, frames):
    b = bench().start()
    answer = b.ask(bgr_image(header(0), frames[0]))
    assert 0 < answer.latency < 30
    assert answer.header.stamp.sec == 0


def test_debug_image_only_while_somebody_looks(bench, frames):
    b = bench().start()
    b.ask(bgr_image(header(), frames[0]))
    subscription = b.listen_to_debug_image()
    assert wait(lambda: b.node.count_subscribers("reaction_node/debug_image") == 1)

    def drawn():
        b.ask(bgr_image(header(), frames[0]))
        return bool(b.debug)

    assert wait(drawn)
    image = np.frombuffer(b.debug[-1].data, np.uint8).reshape(480, 640, 3)
    assert (image != frames[0]).any()
    b.other.destroy_subscription(subscription)

    pictures = []
    topic = "reaction_node/debug_image/compressed"
    b.other.create_subscription(CompressedImage, topic, pictures.append, 5)

    def compressed():
        b.ask(bgr_image(header(), frames[0]))
        return bool(pictures)

    assert wait(compressed)
    assert decode_compressed(pictures[-1]).shape == (480, 640, 3)


def test_silence_is_reported_with_the_remedy(bench):
    b = bench([("image_timeout", 0.5)])
    b.other.destroy_publisher(b.camera)
    elsewhere = b.other.create_publisher(Image, "camera/color", 5)
    b.start()
    assert wait(lambda: b.statuses and b.statuses[-1].level == DiagnosticStatus.ERROR)
    assert b.statuses[-1].message == "no images"
    assert "/camera/color" in b.node._cameras[0].why_silent()
    b.other.destroy_publisher(elsewhere)


def test_camera_that_stops_and_returns(bench, frames):
    b = bench([("image_timeout", 0.5)]).start()
    b.ask(bgr_image(header(), frames[0]))
    assert wait(lambda: b.statuses and b.statuses[-1].level == DiagnosticStatus.ERROR)

    def back():
        b.ask(bgr_image(header(), frames[0]))
        return b.statuses[-1].level == DiagnosticStatus.OK

    assert wait(back)


def test_callbacks_do_not_wait_for_a_frame(bench, frames):
    b = bench().start()
    b.ask(bgr_image(header(), frames[0]))
    busy, release = threading.Event(), threading.Event()
    detect = b.node._judge.loaded.pipeline.detector.detect

    def slow(frame):  # a frame that takes as long as this test likes
        busy.set()
        release.wait(10)
        return detect(frame)

    b.node._judge.loaded.pipeline.detector = type("Slow", (), {"detect": staticmethod(slow)})()
    b.send(bgr_image(header(), frames[0]))
    assert busy.wait(10)
    assert b.node.set_parameters([Parameter("patient_id", value="quick")])[0].successful

    def dropped():
        b.send(bgr_image(header(), frames[0]))
        return b.statuses and int(b.value("images dropped for a newer one")) > 1

    assert wait(dropped)
    release.set()
    assert wait(lambda: b.reactions[-1].patient_id == "quick")

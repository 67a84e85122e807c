# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The node as a process, with a subscriber in this one; a webcam is played by a fake."""

import json
import signal
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")

from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import Image

from emotion_perception.image.source import Frame, FrameSource, SourceError
from emotion_perception.nodes import video_source_node
from emotion_perception.nodes.video_source_node import VideoSourceNode

MODULE = "emotion_perception.nodes.video_source_node"


@pytest.fixture
def listener(domain_id):
    rclpy.init(domain_id=domain_id)
    node = rclpy.create_node("listener")
    yield node
    node.destroy_node()
    rclpy.shutdown()


@pytest.fixture
def start(domain_id, tmp_path):
    """Start the node as a process; whatever still runs at the end is killed."""
    started = []

    def run(*remappings, **parameters):
        options = [f"{name}:={json.dumps(value)}" for name, value in parameters.items()]
        command = [sys.executable, "-m", MODULE, "--ros-args"]
        command += [word for option in options for word in ("-p", option)]
        command += [word for remapping in remappings for word in ("-r", remapping)]
        # Not in the checkout, whose copy of the package has no messages.
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def folder(tmp_path):
    """Three images of 64x48 in a folder whose name looks like anything but one."""
    folder = tmp_path / "a: 'b' #1 ü"
    folder.mkdir()
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), picture(index))
    return str(folder)


def picture(index):
    return np.full((48, 64, 3), (10 * index, 100, 200), np.uint8)


def listen(node, topic="image_raw", reliability=ReliabilityPolicy.RELIABLE):
    """Collect messages and the moments at which they come."""
    images, moments = [], []

    def on_image(message):
        moments.append(node.get_clock().now())
        images.append(message)

    node.create_subscription(Image, topic, on_image, QoSProfile(depth=50, reliability=reliability))
    return images, moments


def stamps(images):
    return np.array([Time.from_msg(image.header.stamp).nanoseconds * 1e-9 for image in images])


def end_of(process, timeout=20.0):
    output = process.communicate(timeout=timeout)[0]
    assert "Traceback" not in output, output
    return process.returncode, output


def test_folder_is_published_whole_and_in_time(start, listener, spin_until, folder):
    images, moments = listen(listener)
    process = start(source=folder, rate=20.0, wait_for_subscriber=True)
    spin_until(listener, lambda: len(images) == 3)
    assert end_of(process)[0] == 0
    for index, image in enumerate(images):
        assert (image.width, image.height, image.step, image.encoding) == (64, 48, 192, "bgr8")
        assert np.array_equal(np.frombuffer(image.data, np.uint8), picture(index).ravel())
        assert image.header.frame_id == "camera_optical_frame"
    assert np.diff(stamps(images)) == pytest.approx([0.05, 0.05], abs=0.04)
    # Stamped when published, not when read or planned.
    delays = [m.nanoseconds * 1e-9 for m in moments] - stamps(images)
    assert (delays > 0).all()
    assert (delays < 1).all()


def test_frames_keep_the_pace_of_the_recording(start, listener, spin_until, folder):
    images, _ = listen(listener)
    start(source=folder, rate=25.0, wait_for_subscriber=True, loop=True)
    spin_until(listener, lambda: len(images) >= 51)
    seconds = stamps(images)
    # Laps and all, without drift; the machine may be busy, so single frames may be late.
    assert seconds[50] - seconds[0] == pytest.approx(2.0, abs=0.3)
    assert np.diff(seconds).min() > 0.015


def test_still_image_is_shown_for_a_while(start, listener, spin_until, folder):
    images, _ = listen(listener)
    process = start(source=f"{folder}/1.png", image_duration=0.5, wait_for_subscriber=True)
    spin_until(listener, lambda: process.poll() is not None)
    assert len(images) == 5
    assert process.returncode == 0


def test_first_frame_waits_for_a_subscriber(start, listener, spin_until, folder):
    process = start(source=folder, wait_for_subscriber=True)
    spin_until(listener, lambda: listener.count_publishers("image_raw") == 1)
    time.sleep(0.5)
    assert process.poll() is None
    images, _ = listen(listener)
    spin_until(listener, lambda: len(images) == 3)
    assert images[0].data[0] == 0


def test_topic_name_frame_and_qos(start, listener, spin_until, folder):
    images, _ = listen(listener, "/robot/camera/color", ReliabilityPolicy.BEST_EFFORT)
    start(
        "__ns:=/robot", "image_raw:=camera/color",
        source=folder, loop=True, qos_reliability="best_effort", frame_id="head_optical_frame",
    )  # fmt: skip
    spin_until(listener, lambda: images)
    assert images[0].header.frame_id == "head_optical_frame"
    (publisher,) = listener.get_publishers_info_by_topic("/robot/camera/color")
    assert publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"source": "nothing.mp4"}, "nothing.mp4: no such file or folder"),
        # A number needs no quotes on the command line.
        ({"source": 63}, "webcam 63: no /dev/video63"),
        ({"source": "demo", "qos_reliability": "maybe"}, "qos_reliability: expected one of"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(start, parameters, line):
    code, output = end_of(start(**parameters))
    assert code == 1
    assert line in output
    assert len(output.splitlines()) == 1


def test_truncated_video_is_an_error_after_its_frames(start, listener, spin_until, tmp_path):
    path = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, (64, 48))
    noise = np.random.default_rng(0)
    for _ in range(40):
        writer.write(noise.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    images, _ = listen(listener)
    process = start(source=str(path), wait_for_subscriber=True)
    spin_until(listener, lambda: process.poll() is not None)
    code, output = end_of(process)
    assert images
    # Depending on OpenCV's build half a video opens or does not; either way it is said.
    assert code == 1
    assert "v.avi: " in output


def test_bad_number_is_replaced_by_its_default(start, listener, spin_until, folder):
    images, _ = listen(listener)
    process = start(source=folder, rate=-5.0, wait_for_subscriber=True)
    spin_until(listener, lambda: len(images) == 3)
    code, output = end_of(process)
    assert code == 0
    assert "parameter rate" in output
    assert np.diff(stamps(images)) == pytest.approx([0.1, 0.1], abs=0.05)


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 2])
@pytest.mark.parametrize("waiting", [True, False])
def test_signals_end_it_cleanly(start, listener, spin_until, folder, signals, waiting):
    if not waiting:
        images, _ = listen(listener)
    process = start(source=folder, loop=True, wait_for_subscriber=True)
    ready = lambda: listener.count_publishers("image_raw") if waiting else images  # noqa: E731
    spin_until(listener, ready)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.01)
    code, _ = end_of(process, 5.0)
    assert code == 0


def webcam(images, then=None):
    def frames():
        for index in range(images):
            yield Frame(index, index * 0.01, picture(index))
            time.sleep(0.01)
        raise SourceError("webcam 0: sends no frames")

    return FrameSource(name="webcam 0", size=(64, 48), _frames=frames(), live=True, fps=100.0)


def play(node):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(node.run()), daemon=True)
    thread.start()
    return thread, codes


def make_node(**parameters):
    return VideoSourceNode(
        parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()]
    )


def test_lost_webcam_is_opened_again(listener, spin_until, monkeypatch):
    answers = [webcam(3), SourceError("gone"), SourceError("gone"), webcam(4), webcam(10_000)]
    opened = []

    def open_next(_source, fps):
        opened.append(answers.pop(0))
        if isinstance(opened[-1], SourceError):
            raise opened[-1]
        return opened[-1]

    monkeypatch.setattr(video_source_node, "open_any_source", open_next)
    monkeypatch.setattr(video_source_node, "RETRY_S", 0.1)
    images, _ = listen(listener)
    node = make_node(source="0", wait_for_subscriber=True)
    warnings = []
    monkeypatch.setattr(
        node.get_logger(), "warning", lambda text, **options: warnings.append((text, options))
    )
    thread, codes = play(node)
    try:
        spin_until(listener, lambda: len(images) > 20)
    finally:
        node.stop()
        thread.join(5.0)
        node.destroy_node()
    assert codes == [0]
    assert len(opened) == 5
    assert [image.data[0] for image in images[:8]] == [0, 10, 20, 0, 10, 20, 30, 0]
    # Whoever watches the log is told once in a while, not every second.
    assert {options["throttle_duration_sec"] for _, options in warnings} == {10.0}
    assert "webcam 0 sends no images" in warnings[0][0]


def test_webcam_is_slowed_down_to_the_rate(listener, spin_until, monkeypatch):
    monkeypatch.setattr(video_source_node, "open_any_source", lambda _s, fps: webcam(10_000))
    images, _ = listen(listener)
    node = make_node(rate=10.0, wait_for_subscriber=True)
    thread, _ = play(node)
    try:
        spin_until(listener, lambda: len(images) == 11)
    finally:
        node.stop()
        thread.join(5.0)
        node.destroy_node()
    seconds = stamps(images)
    assert seconds[10] - seconds[0] == pytest.approx(1.0, abs=0.3)


def test_webcam_that_cannot_be_opened_at_start(listener, monkeypatch):
    def fail(_source, fps):
        raise SourceError("webcam 0: can't be opened")

    monkeypatch.setattr(video_source_node, "open_any_source", fail)
    node = make_node(source="0")
    assert node.run() == 1
    node.destroy_node()


def test_help_lists_the_parameters(capsys):
    assert video_source_node.main(["--help"]) == 0
    out = capsys.readouterr().out
    for spec in video_source_node.VIDEO_SOURCE_PARAMETERS:
        assert spec.name in out


def test_parameters_are_described_and_fixed(listener):
    node = make_node(source="x")
    for spec in video_source_node.VIDEO_SOURCE_PARAMETERS:
        descriptor = node.describe_parameter(spec.name)
        assert spec.description in descriptor.description
        assert not node.set_parameters([Parameter(spec.name, value=spec.default)])[0].successful
    node.destroy_node()

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A GPU that fails while it judges: the CPU takes over, says so, and the GPU is tried again.

Without a GPU its failure is played: the real node, the real networks on the CPU, which claim to be
on a GPU and raise torch's errors. `test/system/faults/test_faults_gpu.py` has the real one.
"""

import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")
pytest.importorskip("matplotlib")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import TransitionCallbackReturn
from robot import Robot, makes, shown_frames, wait

from emotion_perception.msg import UserReaction
from emotion_perception.nodes import judge
from emotion_perception.srv import LoadPatientModel


class Gpu:
    """What the node is given for a GPU.

    Attributes:
        broken: an error that its next frames raise, or None.
        lost: whether not even loading works.
        absent: whether there is no GPU to be found, and the CPU is taken.
        hold: an event for which its next frames wait, or None.
        loads: for which devices networks were loaded.
    """

    def __init__(self, node, monkeypatch):
        self.broken, self.lost, self.absent, self.hold, self.loads = None, False, False, None, []
        self._load = node._load
        monkeypatch.setattr(node._judge, "_load", self.load)
        make_detector = node._make_detector
        monkeypatch.setattr(node, "_make_detector", lambda device: make_detector("cpu"))
        monkeypatch.setattr(judge, "resolve_device", lambda wanted: (wanted, None))

    def load(self, device, patient_id, version):
        self.loads.append(device)
        if device != "cpu" and self.lost:
            raise RuntimeError("CUDA error: the device is lost")
        loaded = self._load("cpu", patient_id, version)
        if device != "cpu" and not self.absent:
            loaded.pipeline.device = device
            run = loaded.pipeline.run_many

            def run_many(shots):
                if self.broken is not None:
                    raise self.broken
                if self.hold is not None:
                    assert self.hold.wait(60.0)
                return run(shots)

            loaded.pipeline.run_many = run_many
        return loaded


@pytest.fixture
def robot(domain_id, monkeypatch):
    with makes(Robot, domain_id) as make:
        robot = make(shown_frames(), [("device", "cuda:0")])
        robot.gpu = Gpu(robot.node, monkeypatch)
        yield robot


def value(robot, key):
    return {v.key: v.value for v in robot.statuses[-1].values}[key]


def positive_since(robot, number):
    return any(m.reaction == UserReaction.POSITIVE for m in robot.reactions[number:])


def test_out_of_memory_goes_on_with_the_cpu_and_tries_the_gpu_again(robot, monkeypatch):
    monkeypatch.setattr(judge, "DEVICE_AGAIN_S", 3.0)
    robot.start()
    assert value_soon(robot, "device", "cuda:0")
    torch = pytest.importorskip("torch")
    robot.gpu.broken = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    assert wait(lambda: robot.gpu.loads[-1] == "cpu")
    said = len(robot.reactions)
    assert wait(lambda: positive_since(robot, said))
    assert value_soon(robot, "device", "cpu")
    status = robot.statuses[-1]
    assert status.level == DiagnosticStatus.WARN
    assert "CUDA out of memory" in status.message
    assert "using the CPU" in status.message
    # There is room again.
    robot.gpu.broken = None
    assert value_soon(robot, "device", "cuda:0")
    said = len(robot.reactions)
    assert wait(lambda: positive_since(robot, said))


def test_a_lost_device_is_tried_now_and_then_and_disturbs_nobody(robot, monkeypatch):
    monkeypatch.setattr(judge, "DEVICE_AGAIN_S", 0.5)
    told = []
    robot.other.create_subscription(UserReaction, "user_reaction", told.append, 50)
    robot.start()
    assert robot.node.set_parameters([parameter("reaction_timeout", 5.0)])[0].successful
    robot.gpu.lost, robot.gpu.broken = True, RuntimeError("CUDA error: device lost")
    assert wait(lambda: robot.gpu.loads.count("cuda:0") >= 4)
    said, tries = len(told), robot.gpu.loads.count("cuda:0")
    assert wait(lambda: robot.gpu.loads.count("cuda:0") >= tries + 3)
    during = told[said:]
    assert during
    assert all(m.reaction == UserReaction.POSITIVE for m in during)  # no NOT_LOOKED either
    assert value(robot, "device") == "cpu"


def test_a_gpu_that_cannot_be_used_at_the_start(robot, monkeypatch):
    robot.gpu.lost = True
    robot.start()
    assert robot.gpu.loads == ["cuda:0", "cpu"]
    assert wait(lambda: robot.statuses and "the device is lost" in robot.statuses[-1].message)
    assert positive_since(robot, 0) or wait(lambda: positive_since(robot, 0))


def test_the_patient_stays_the_same(robot):
    robot.start()
    robot.node.set_parameters([parameter("patient_id", "P-7")])
    assert wait(lambda: robot.reactions[-1].patient_id == "P-7")
    ids = {m.face_id for m in robot.reactions} - {""}
    robot.gpu.broken = RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED")
    assert wait(lambda: robot.gpu.loads[-1] == "cpu")
    said = len(robot.reactions)
    assert wait(lambda: positive_since(robot, said))
    assert robot.reactions[-1].patient_id == "P-7"
    # Nobody else is given the id of somebody before.
    assert robot.reactions[-1].face_id not in ids


def parameter(name, value):
    from rclpy.parameter import Parameter

    return Parameter(name, value=value)


def value_soon(robot, key, wanted):
    return wait(lambda: robot.statuses and value(robot, key) == wanted)


def test_what_was_asked_for_while_the_gpu_is_tried_again_holds(robot, monkeypatch):
    monkeypatch.setattr(judge, "DEVICE_AGAIN_S", 1.0)
    robot.start()
    hold, load = threading.Event(), robot.gpu.load

    def slow(device, patient_id, version):
        loaded = load(device, patient_id, version)
        if device != "cpu" and len(robot.gpu.loads) > 2:
            asked.set()
            assert hold.wait(10.0)
        return loaded

    asked = threading.Event()
    monkeypatch.setattr(robot.node._judge, "_load", slow)
    robot.gpu.broken = RuntimeError("CUDA error: unspecified launch failure")
    assert asked.wait(10.0)
    robot.gpu.broken = None
    assert robot.node.set_parameters([parameter("min_face_size", 123)])[0].successful
    before = len(robot.reactions)
    assert wait(lambda: len(robot.reactions) > before + 5)  # the CPU judges meanwhile
    hold.set()
    assert value_soon(robot, "device", "cuda:0")
    before = len(robot.reactions)
    assert wait(lambda: len(robot.reactions) > before + 5)
    assert robot.node._judge.loaded.pipeline.detector.min_face_size == 123


def slow_to_return(robot, monkeypatch):
    """Let the GPU be tried again, slowly; returns the events of its beginning and end, and what
    was loaded."""
    asked, go, made = threading.Event(), threading.Event(), []
    load = robot.gpu.load

    def slow(device, patient_id, version):
        loaded = load(device, patient_id, version)
        if device != "cpu":
            asked.set()
            assert go.wait(30.0)
        made.append(loaded)
        return loaded

    monkeypatch.setattr(judge, "DEVICE_AGAIN_S", 0.5)
    monkeypatch.setattr(robot.node._judge, "_load", slow)
    robot.gpu.broken = RuntimeError("CUDA error: unspecified launch failure")
    assert asked.wait(10.0)
    robot.gpu.broken = None
    return asked, go, made


def test_whoever_is_served_meanwhile_is_served_by_the_gpu_too(robot, monkeypatch):
    robot.start()
    asked, go, made = slow_to_return(robot, monkeypatch)
    asked.clear()
    assert robot.node.set_parameters([parameter("patient_id", "P-7")])[0].successful
    assert asked.wait(10.0)  # once more, for P-7
    go.set()
    assert value_soon(robot, "device", "cuda:0")
    said = len(robot.reactions)
    assert wait(lambda: positive_since(robot, said))
    assert {message.patient_id for message in robot.reactions[said:]} == {"P-7"}
    in_use = robot.node._judge.loaded
    assert in_use is made[-1] or in_use is made[-2]
    # What was loaded for somebody else has let its thread go.
    unused = [one for one in made if one is not in_use]
    assert len(unused) == 2
    assert wait(lambda: all(one.loader._thread._shutdown for one in unused))


def test_cleaned_up_while_the_gpu_is_tried_again(robot, monkeypatch):
    robot.start()
    _, go, made = slow_to_return(robot, monkeypatch)
    assert robot.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert robot.node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    count = len(made)
    go.set()
    assert wait(lambda: len(made) > count)
    assert wait(lambda: all(one.loader._thread._shutdown for one in made))
    assert robot.node._judge.loaded is None
    assert robot.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert robot.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    said = len(robot.reactions)
    assert wait(lambda: positive_since(robot, said))
    assert value_soon(robot, "device", "cuda:0")


def test_a_gpu_that_hangs_in_a_frame_is_left_for_the_cpu(robot):
    robot.start()
    assert robot.node.set_parameters([parameter("hang_timeout", 0.5)])[0].successful
    go = robot.gpu.hold = threading.Event()
    assert wait(lambda: robot.gpu.loads[-1] == "cpu", 20.0)
    said = len(robot.reactions)
    assert wait(lambda: positive_since(robot, said))
    assert value_soon(robot, "device", "cpu")
    assert "a frame hung on it" in robot.statuses[-1].message
    assert value(robot, "restarts of the worker or its device") == "1"
    go.set()


def test_a_gpu_that_is_not_found_any_more_is_looked_for_again(robot, monkeypatch):
    monkeypatch.setattr(judge, "DEVICE_AGAIN_S", 0.5)
    robot.start()
    robot.gpu.absent, robot.gpu.broken = True, RuntimeError("CUDA error: no device")
    assert wait(lambda: robot.gpu.loads.count("cuda:0") >= 3)
    assert wait(lambda: robot.statuses[-1].level == DiagnosticStatus.WARN)
    assert "using the CPU" in robot.statuses[-1].message
    assert value_soon(robot, "device", "cpu")
    robot.gpu.absent, robot.gpu.broken = False, None
    assert value_soon(robot, "device", "cuda:0")


def test_a_gpu_that_loads_for_ever_is_left_too(robot, monkeypatch):
    monkeypatch.setattr(judge, "LOADING_S", 8.0)  # loading for the CPU has to be done in it
    robot.start()
    load, never = robot.gpu.load, threading.Event()

    def hang(device, patient_id, version):
        if device != "cpu":
            never.wait(60.0)
        return load(device, patient_id, version)

    monkeypatch.setattr(robot.node._judge, "_load", hang)
    monkeypatch.setattr(judge, "DEVICE_AGAIN_S", 0.1)
    robot.gpu.broken = RuntimeError("CUDA error: unspecified launch failure")
    assert wait(lambda: robot.statuses and "did not load" in robot.statuses[-1].message, 40.0)
    before = len(robot.reactions)
    assert wait(lambda: positive_since(robot, before))
    monkeypatch.setattr(judge, "DEVICE_AGAIN_S", 60.0)
    never.set()


def test_the_node_listens_while_a_model_is_loaded(robot, monkeypatch):
    robot.start()
    loader, go = robot.node._judge.loaded.loader, threading.Event()
    load = loader._load

    def slow(*words):
        assert go.wait(20.0)
        return load(*words)

    monkeypatch.setattr(loader, "_load", slow)
    assert robot.load.wait_for_service(10.0)
    answer = robot.load.call_async(LoadPatientModel.Request(patient_id="", version=""))
    before, told = len(robot.reactions), len(robot.statuses)
    assert wait(lambda: len(robot.reactions) > before + 10 and len(robot.statuses) > told + 1)
    assert not answer.done()
    # Cleaned up, it does not wait either, and whoever asked is told.
    assert robot.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert robot.node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    go.set()
    assert wait(answer.done)
    assert not answer.result().success
    assert "cleaned up" in answer.result().message

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Real processes to hurt: a camera, the node; and here a behaviour that keeps what it hears."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import LivelinessPolicy, QoSProfile, qos_profile_sensor_data
from waiting import wait

from emotion_perception.action import ObserveReaction
from emotion_perception.msg import UserReaction
from emotion_perception.srv import LoadPatientModel

HERE = Path(__file__).parent
NODE = "emotion_perception.nodes.reaction_node"


LIBC = ctypes.CDLL(None)
PR_SET_PTRACER = 0x59616D61
ANYBODY = ctypes.c_ulong(-1)


def let_anybody_stop_me():
    """Let freeze.py, a sibling, do so where only a parent may (Yama's ptrace_scope 1).

    It holds for the task, and so for the program that it becomes.
    """
    LIBC.prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)  # an error where there is no Yama


class Process:
    """A Python program, its output, and when its lines came."""

    def __init__(self, *arguments, **environment):
        self.lines = []
        self._process = subprocess.Popen(
            [sys.executable, *map(str, arguments)], cwd=HERE,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=let_anybody_stop_me,
        )  # fmt: skip
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line.rstrip())

    def said(self, words):
        return any(words in line for line in list(self.lines))

    def tell(self, **what):
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def let_go(self):
        """End its standard input."""
        self._process.stdin.close()

    def signal(self, number):
        self._process.send_signal(number)

    @property
    def code(self):
        return self._process.poll()

    def ended(self, seconds=10.0):
        """Wait for its end; return its exit code."""
        code = self._process.wait(seconds)
        self._reader.join(2.0)
        return code

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
        self._process.wait()


class Rig:
    """A behaviour in this process, and what it needs to start the others."""

    def __init__(self, domain):
        rclpy.init(domain_id=domain)
        self.heard = []
        """Everything on user_reaction: when it came, s, and what."""
        self.unordered = []
        """When messages came to a best-effort listener, who waits for no lost one, s."""
        self.statuses = []
        self.alive = []
        """Changes of how many nodes speak on user_reaction: when, and how many."""
        self.processes = []
        self.other = rclpy.create_node("behaviour")
        qos = QoSProfile(
            depth=200, liveliness=LivelinessPolicy.AUTOMATIC,
            liveliness_lease_duration=Duration(seconds=1),
        )  # fmt: skip
        events = SubscriptionEventCallbacks(
            liveliness=lambda event: self.alive.append((time.monotonic(), event.alive_count))
        )
        self.other.create_subscription(
            UserReaction, "user_reaction", self._hear, qos, event_callbacks=events
        )
        self.other.create_subscription(
            UserReaction, "user_reaction",
            lambda _: self.unordered.append(time.monotonic()), qos_profile_sensor_data,
        )  # fmt: skip
        self.other.create_subscription(DiagnosticArray, "/diagnostics", self._learn, 10)
        self.action = ActionClient(self.other, ObserveReaction, "reaction_node/observe_reaction")
        create = self.other.create_client
        self.load = create(LoadPatientModel, "reaction_node/load_patient_model")
        self.change = create(ChangeState, "reaction_node/change_state")
        self.state = create(GetState, "reaction_node/get_state")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.other)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _hear(self, message):
        self.heard.append((time.monotonic(), message))

    def _learn(self, message):
        self.statuses.append(message.status[0])

    def _spin(self):
        while not self._closing.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def process(self, *arguments, **environment):
        self.processes.append(Process(*arguments, **environment))
        return self.processes[-1]

    def camera(self, **does):
        camera = self.process(HERE / "fault_camera.py")
        camera.tell(**does)
        return camera

    def node(self, *parameters, autostart=True, **environment):
        """Start the node; parameters such as ``hang_timeout:=1.0``."""
        words = [f"autostart:={str(autostart).lower()}", *parameters]
        given = [word for one in words for word in ("-p", one)]
        return self.process("-m", NODE, "--ros-args", *given, **environment)

    def close(self):
        for process in reversed(self.processes):
            process.kill()
        # Not the other way round: rclpy may hang when an executor is shut down while it spins.
        self._closing.set()
        self._thread.join()
        self._executor.shutdown()
        self.other.destroy_node()
        rclpy.shutdown()

    # What was heard.

    def after(self, moment):
        return [(at, message) for at, message in list(self.heard) if at > moment]

    def first(self, moment, wanted, seconds=15.0):
        """Return how many seconds after a moment the first message came that is as wanted."""
        end = time.monotonic() + seconds
        while True:
            for at, message in self.after(moment):
                if wanted(message):
                    return at - moment
            if time.monotonic() > end:
                told = [(m.reaction, m.reason) for _, m in self.after(moment)][-5:]
                outputs = [line for p in self.processes for line in p.lines[-15:]]
                pytest.fail(f"not heard within {seconds:g} s; heard {told}; said {outputs}")
            time.sleep(0.01)

    def value(self, key):
        assert wait(lambda: self.statuses)
        return {v.key: v.value for v in self.statuses[-1].values}[key]

    def call(self, client, request, seconds=15.0):
        assert client.wait_for_service(seconds)
        return self.result(client.call_async(request), seconds)

    def result(self, future, seconds=15.0):
        assert wait(future.done, seconds), "no answer"
        return future.result()

    def transition(self, name, seconds=15.0):
        number = getattr(Transition, f"TRANSITION_{name.upper()}")
        request = ChangeState.Request(transition=Transition(id=number))
        return self.call(self.change, request, seconds).success

    def observe(self, **fields):
        assert self.action.wait_for_server(10.0)
        goal = ObserveReaction.Goal(action_id="joke", **fields)
        handle = self.result(self.action.send_goal_async(goal))
        assert handle.accepted
        return handle.get_result_async()


def judged(message):
    """Whether somebody's reaction was told."""
    return message.reaction != UserReaction.UNKNOWN


def not_looked(message):
    return message.reason == UserReaction.REASON_NOT_LOOKED


def looked(message):
    return not not_looked(message)


def threads(process, name):
    """Return the ids of a process's threads of a name."""
    found = []
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text().strip() == name:
                found.append(int(task.name))
    return found


def resident(process):
    """Return a process's memory, MB."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def files(process):
    """Return how many files a process has open."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))

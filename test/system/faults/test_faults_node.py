# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What goes wrong with the node itself."""

import itertools
import os
import signal
import time

import pytest
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rig import files, judged, looked, not_looked, resident, threads, wait
from std_srvs.srv import SetBool

from emotion_perception.msg import UserReaction


def smile_seen(rig, moment=0.0, seconds=30.0):
    return rig.first(moment, judged, seconds)


def stamp(message):
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def test_a_worker_that_hangs_is_taken_for_silence(rig, freeze, record_property):
    """The camera is silent for a moment first, which is no silence yet: the node is patient."""
    camera = rig.camera()
    node = rig.node("reaction_timeout:=2.0", "hang_timeout:=5.0")
    smile_seen(rig)
    freeze(node, camera)
    frozen = time.monotonic()
    last = max(at for at, _ in rig.after(0.0))
    assert not any(not_looked(m) for _, m in rig.after(0.0))
    until_told = rig.first(frozen, not_looked, 5.0)
    assert not node.said("the worker hangs")
    record_property("worker hung (reaction_timeout 2 s): s until NOT_LOOKED", round(until_told, 2))
    record_property("the same: s since the last answer", round(until_told + frozen - last, 2))


def test_a_worker_that_hangs_is_made_anew(rig, freeze, record_property):
    camera = rig.camera()
    node = rig.node("hang_timeout:=1.0")
    smile_seen(rig)
    debugger = freeze(node, camera)
    frozen = time.monotonic()
    mended = rig.first(frozen, judged, 15.0)
    record_property("worker hung: s until a reaction (hang_timeout 1 s)", round(mended, 2))
    assert node.said("the worker hangs and is made anew; it is at ")
    assert wait(lambda: rig.value("restarts of the worker or its device") == "1")
    # The old one comes back to life, with a frame of long ago: nobody hears of it.
    debugger.let_go()
    time.sleep(1.0)
    stamps = [stamp(m) for at, m in rig.after(frozen + mended)]
    assert stamps == sorted(stamps)
    assert wait(lambda: len(threads(node, "reaction worker")) == 1)
    node.signal(signal.SIGTERM)
    assert node.ended() == 0, node.lines


def test_a_worker_that_hangs_again_and_again_ends_the_process(rig, freeze, record_property):
    camera = rig.camera()
    node = rig.node("hang_timeout:=0.5")
    smile_seen(rig)
    first = time.monotonic()
    for number in range(4):
        freeze(node, camera)
        frozen = time.monotonic()
        if number < 3:
            rig.first(frozen, judged, 20.0)
    assert node.ended(20.0) == 1
    took = round(time.monotonic() - first, 1)
    record_property("worker hung four times: s until the process ended", took)
    assert node.said("the process ends, so that a new one can be started")
    assert not node.said("Traceback")


def test_it_ends_when_told_to_while_the_worker_hangs(rig, freeze, record_property):
    camera = rig.camera()
    node = rig.node("hang_timeout:=60.0")
    smile_seen(rig)
    freeze(node, camera)
    time.sleep(0.5)
    told = time.monotonic()
    node.signal(signal.SIGTERM)
    assert node.ended(10.0) == 0
    record_property("SIGTERM with a hung worker: s until its end",
                    round(time.monotonic() - told, 2))  # fmt: skip


def test_a_process_that_hangs_as_a_whole_ends_itself(rig, record_property):
    rig.camera()
    node = rig.node()
    smile_seen(rig)
    time.sleep(1.5)
    hung = time.monotonic()
    debugger = rig.process("freeze.py", node.pid)  # the main thread
    assert wait(lambda: debugger.lines)
    if debugger.lines[0] != "frozen":
        pytest.skip(f"this machine lets nobody stop a thread: {debugger.lines[0]}")
    assert node.ended(40.0) == 1
    record_property("process hung: s until its end", round(time.monotonic() - hung, 1))
    assert node.said("Timeout")  # faulthandler's, with where every thread was
    assert node.said("reaction_node.py")
    # Who asked for it learns of the death.
    assert wait(lambda: rig.alive and rig.alive[-1][1] == 0)


def test_a_process_that_was_stopped_for_a_while_goes_on(rig, record_property):
    """As a computer that slept: nothing hangs, and nothing old is told."""
    rig.camera()
    node = rig.node("hang_timeout:=1.0")
    smile_seen(rig)
    node.signal(signal.SIGSTOP)
    stopped = time.time()
    time.sleep(4.0)
    woken = time.monotonic()
    node.signal(signal.SIGCONT)

    def of_now(message):
        return judged(message) and stamp(message) > stopped + 3.5

    record_property("woken after 4 s: s until a reaction", round(rig.first(woken, of_now), 2))
    time.sleep(2.0)
    # At most what it was at when it was stopped, and one that waited.
    old = [m for _, m in rig.after(woken) if judged(m) and not of_now(m)]
    assert len(old) <= 2
    assert not node.said("hangs")
    assert rig.value("restarts of the worker or its device") == "0"


def test_killed_and_started_again(rig, record_property):
    """As ``ros2 launch`` with respawn does it, a fifth of a second later."""
    rig.camera()
    node = rig.node()
    smile_seen(rig)
    killed = time.monotonic()
    node.kill()
    assert wait(lambda: rig.alive and rig.alive[-1][1] == 0, 5.0)
    record_property("killed: s until the loss of liveliness is told",
                    round(rig.alive[-1][0] - killed, 2))  # fmt: skip
    time.sleep(max(killed + 0.2 - time.monotonic(), 0.0))
    started = time.monotonic()
    rig.node()
    seconds = smile_seen(rig, started)
    record_property("killed and started again: s until a reaction", round(seconds, 2))
    record_property("the same: s since it was killed", round(started - killed + seconds, 2))
    # Each of its messages is about what there was to see then.
    now = time.time()
    fresh = rig.after(started)
    assert fresh
    for at, message in fresh:
        assert abs((now - stamp(message)) - (time.monotonic() - at)) < 3.0


def test_a_listener_that_dies_disturbs_nobody(rig, record_property):
    rig.camera()
    node = rig.node()
    listener = rig.process("listener.py")
    smile_seen(rig)
    assert wait(lambda: listener.said("heard"), 20.0)
    killed = time.monotonic()
    listener.kill()
    time.sleep(4.0)
    for who, heard in (
        ("reliable", [at for at, _ in rig.after(killed - 0.5)]),
        ("best-effort", [at for at in rig.unordered if at > killed - 0.5]),
    ):
        longest = max(b - a for a, b in itertools.pairwise(heard))
        record_property(f"a listener killed: longest pause of a {who} one, s", round(longest, 2))
    assert all(map(looked, (m for _, m in rig.after(killed))))
    # And it goes on for both.
    rig.first(time.monotonic(), judged, 10.0)
    assert any(at > killed + 2 for at in rig.unordered)
    assert node.code is None


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active", "finalized"])
def test_sigterm_in_every_state(rig, state):
    node = rig.node(autostart=False)
    steps = {"unconfigured": [], "inactive": ["configure"], "active": ["configure", "activate"],
             "finalized": ["unconfigured_shutdown"]}[state]  # fmt: skip
    assert rig.change.wait_for_service(20.0)
    for step in steps:
        assert rig.transition(step)
    assert rig.call(rig.state, GetState.Request()).current_state.label == state
    node.signal(signal.SIGTERM)
    assert node.ended() == 0, node.lines
    assert not node.said("Traceback")


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.03, 0.06, 0.1, 0.2])
@pytest.mark.parametrize("last", ["configure", "activate", "deactivate", "cleanup"])
def test_sigterm_in_the_midst_of_a_transition(rig, last, pause):
    if pause > 0.03 and last != "configure":
        pytest.skip("it is over by then")
    node = rig.node(autostart=False)
    assert rig.change.wait_for_service(20.0)
    before = {"configure": [], "activate": ["configure"],
              "deactivate": ["configure", "activate"], "cleanup": ["configure"]}[last]  # fmt: skip
    for step in before:
        assert rig.transition(step)
    number = getattr(Transition, f"TRANSITION_{last.upper()}")
    rig.change.call_async(ChangeState.Request(transition=Transition(id=number)))
    time.sleep(pause)
    node.signal(signal.SIGTERM)
    assert node.ended() == 0, node.lines
    assert not node.said("Traceback")


def test_many_rounds_of_its_life(rig, record_property):
    rounds = int(os.environ.get("FAULT_ROUNDS", "200"))
    rig.camera(rate=60.0)
    node = rig.node(autostart=False)
    assert rig.change.wait_for_service(20.0)
    memory, opened = [], []
    began = time.monotonic()
    for number in range(rounds):
        for step in ("configure", "activate"):
            assert rig.transition(step), (number, step, node.lines[-5:])
        if number % 20 == 0:
            smile_seen(rig, time.monotonic())
        for step in ("deactivate", "cleanup"):
            assert rig.transition(step), (number, step, node.lines[-5:])
        memory.append(resident(node))
        opened.append(files(node))
    for step in ("configure", "activate"):
        assert rig.transition(step)
    smile_seen(rig, time.monotonic())
    state = rig.call(rig.state, GetState.Request()).current_state.id
    assert state == State.PRIMARY_STATE_ACTIVE
    third = rounds // 3
    growth = sum(memory[-third:]) / third - sum(memory[third : 2 * third]) / third
    record_property("rounds", rounds)
    record_property("seconds a round", round((time.monotonic() - began) / rounds, 3))
    record_property("MB, second third to last", round(growth, 1))
    record_property("open files, at first and at last", f"{opened[third]}, {opened[-1]}")
    # A pipeline that stayed would be tens of MB a round.
    assert growth < 20
    assert max(opened[third:]) - min(opened[third:]) <= 6


def test_nothing_is_told_twice_of_a_frame(rig):
    rig.camera()
    rig.node()
    smile_seen(rig)
    time.sleep(2.0)
    stamps = [(m.header.stamp.sec, m.header.stamp.nanosec) for _, m in rig.after(0.0) if looked(m)]
    assert len(stamps) == len(set(stamps)) > 20


def test_told_to_stop_looking(rig, record_property):
    rig.camera()
    rig.node()
    smile_seen(rig)
    enable = rig.other.create_client(SetBool, "reaction_node/enable")
    told = time.monotonic()
    assert rig.call(enable, SetBool.Request(data=False)).success
    record_property("told not to look: s until NOT_LOOKED", round(rig.first(told, not_looked), 3))
    time.sleep(2.5)
    quiet = [m for at, m in rig.after(told) if at - told > 0.3]
    assert all(m.reaction == UserReaction.UNKNOWN for m in quiet)
    assert rig.transition("deactivate")
    gone = time.monotonic()
    time.sleep(1.5)
    assert rig.after(gone + 0.3) == []


@pytest.mark.parametrize("number", [0, 3, 8, 97, 255])
def test_a_transition_that_is_not_there_is_refused(rig, number):
    node = rig.node(autostart=False)
    request = ChangeState.Request(transition=Transition(id=number))
    assert not rig.call(rig.change, request, 20.0).success
    # Ours, rclpy's; the answer may come before the line.
    said = wait(lambda: node.said("refused") or node.said("Unable to start transition"))
    assert said, node.lines
    assert rig.transition("configure")
    assert rig.transition("activate")
    assert node.code is None

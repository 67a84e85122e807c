# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The joke behaviour as a process, with a real action server and a listener in this one."""

import json
import signal
import subprocess
import sys
import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.action", reason="the package is not built")

from observation_server import ObservationServer
from rclpy.parameter import Parameter
from rclpy.time import Time
from std_msgs.msg import String

from emotion_perception.nodes import joke_behaviour
from emotion_perception.nodes.joke_behaviour import JOKE_PARAMETERS, JOKES, JokeBehaviour

MODULE = "emotion_perception.nodes.joke_behaviour"
NOTHING_LEARNED = ", ".join(f"{kind} 0.50" for kind in JOKES)


@pytest.fixture
def listener(domain_id):
    rclpy.init(domain_id=domain_id)
    node = rclpy.create_node("listener")
    yield node
    node.destroy_node()
    rclpy.shutdown()


@pytest.fixture
def serve(listener):
    """Start action servers; those that still run at the end are closed."""
    servers = []

    def start(answer, **options):
        servers.append(ObservationServer(answer, **options))
        return servers[-1]

    def close(server):
        servers.remove(server)
        server.close()

    start.close = close
    yield start
    for server in list(servers):
        close(server)


@pytest.fixture
def start(domain_id, tmp_path):
    """Start the behaviour as a process; whatever still runs at the end is killed."""
    started = []

    def run(*remappings, **parameters):
        command = [sys.executable, "-u", "-m", MODULE, "--ros-args"]
        for name, value in {"pause": 0.0, "seed": 0, **parameters}.items():
            command += ["-p", f"{name}:={json.dumps(value)}"]
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


def end_of(process, timeout=60.0):
    output = process.communicate(timeout=timeout)[0]
    assert "Traceback" not in output, output
    return process.returncode, output


def line_with(process, text):
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"ended without saying {text!r}")


def kind_of(joke):
    (kind,) = [kind for kind, jokes in JOKES.items() if joke in jokes]
    return kind


def test_each_joke_is_said_and_watched(listener, serve, start, spin_until):
    server = serve(lambda _: "neutral")
    said = []
    listener.create_subscription(String, "say", lambda m: said.append(m.data), 50)
    before = listener.get_clock().now()
    process = start(jokes=8, pause=0.2, window=2.5)
    spin_until(listener, lambda: process.poll() is not None)
    code, output = end_of(process)
    assert code == 0
    assert "8 joke(s) told" in output
    assert len(server.goals) == 8
    # The first may be told before this listener is found.
    assert len(said) >= 7
    assert [kind_of(joke) for joke in said] == [g.action_id for g in server.goals][-len(said) :]
    starts = [Time.from_msg(goal.start).nanoseconds for goal in server.goals]
    times = [before.nanoseconds, *starts, listener.get_clock().now().nanoseconds]
    assert times == sorted(times)
    assert starts[-1] - starts[0] >= 7 * 0.2e9
    for goal in server.goals:
        assert (goal.window.sec, goal.window.nanosec) == (2, 500_000_000)
        # Left to the server.
        assert (goal.baseline.sec, goal.face_id) == (0, "")


def test_more_of_what_is_well_received(serve, start):
    server = serve(lambda kind: "positive" if kind == "food" else "negative")
    code, output = end_of(start(jokes=40))
    assert code == 0
    kinds = [goal.action_id for goal in server.goals]
    assert set(kinds) == set(JOKES)  # each had its chance
    assert kinds[20:].count("food") >= 15
    last = output.splitlines()[-1]
    assert last.partition("; ")[2].startswith("food 0.9")
    # A kind's jokes come in turn.
    told = [line.partition(": food: ")[2] for line in output.splitlines() if ": food: " in line]
    told = [joke for joke in told if joke in JOKES["food"]]
    assert told[:6] == [*JOKES["food"], *JOKES["food"]]


def test_same_seed_same_choices(serve, start):
    server = serve(lambda kind: "positive" if kind == "robots" else "neutral")
    for _ in range(2):
        end_of(start(jokes=12, seed=5))
    end_of(start(jokes=12, seed=6))
    kinds = [goal.action_id for goal in server.goals]
    assert kinds[:12] == kinds[12:24] != kinds[24:]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        ("unknown", "unknown (told to say unknown)"),
        ("reject", "the server refused to watch; is the reaction node active?; nothing learned"),
        ("abort", "no verdict: told to say abort; nothing learned"),
    ],
)
def test_nothing_is_learned_where_nothing_was_seen(serve, start, answer, line):
    server = serve(lambda _: answer)
    code, output = end_of(start(jokes=3))
    assert code == 0
    assert output.count(line) == 3
    assert len(server.goals) == 3
    assert f"3 joke(s) told; {NOTHING_LEARNED}" in output


def test_a_refusal_is_not_the_end(serve, start):
    answers = iter(["reject", "abort", "abort", "positive"])
    given = {}

    def answer(_):  # asked once on arrival, and again when watching
        index = len(server.goals)
        if index not in given:
            given[index] = next(answers)
        return given[index]

    server = serve(answer)
    code, output = end_of(start(jokes=4))
    assert code == 0
    assert "0.67" in output.splitlines()[-1]


def test_server_that_comes_late_is_waited_for(serve, start, monkeypatch):
    process = start(jokes=1)
    name = "waiting for the action server /reaction_node/observe_reaction"
    before = time.monotonic()
    line_with(process, name)
    line_with(process, name)
    assert 3.0 < time.monotonic() - before < 30.0
    serve(lambda _: "positive")
    code, output = end_of(process)
    assert code == 0
    assert "1 joke(s) told" in output


def test_server_that_goes_is_waited_for_again(listener, serve, start, spin_until):
    server = serve(lambda _: "hang")
    process = start(jokes=2)
    spin_until(listener, lambda: server.goals)
    time.sleep(0.3)  # the goal is accepted
    serve.close(server)
    assert "nothing learned" in line_with(process, "the server has gone")
    line_with(process, "waiting for the action server")
    serve(lambda _: "positive")
    assert end_of(process)[0] == 0


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 2])
def test_running_goal_is_cancelled_at_the_end(listener, serve, start, spin_until, signals):
    server = serve(lambda _: "hang")
    process = start()
    spin_until(listener, lambda: server.goals)
    time.sleep(0.2)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.01)
    code, output = end_of(process, 10.0)
    assert code == 0
    assert "told the server to stop watching" in output
    spin_until(listener, lambda: server.cancelled, 5.0)
    assert server.cancelled == [goal.action_id for goal in server.goals]


@pytest.mark.parametrize("moment", ["waiting", "pausing"])
def test_signal_while_nothing_is_watched(serve, start, moment):
    if moment == "pausing":
        serve(lambda _: "positive")
    process = start(pause=600.0)
    line_with(process, "told to say" if moment == "pausing" else "waiting for")
    process.send_signal(signal.SIGINT)
    code, output = end_of(process, 10.0)
    assert code == 0
    assert f"{int(moment == 'pausing')} joke(s) told" in output


@pytest.mark.parametrize(
    ("options", "parameters", "name"),
    [
        (["__ns:=/robot"], {}, "/robot/reaction_node/observe_reaction"),
        (["__ns:=/robot"], {"action_name": "/head/observe"}, "/head/observe"),
        (["__ns:=/robot"], {"action_name": "observe"}, "/robot/observe"),
        (["reaction_node/observe_reaction:=/head/observe"], {}, "/head/observe"),
    ],
)
def test_name_of_the_action(serve, start, options, parameters, name):
    server = serve(lambda _: "positive", name=name)
    assert end_of(start(*options, jokes=1, **parameters))[0] == 0
    assert len(server.goals) == 1


def test_bad_name_is_one_line(start):
    code, output = end_of(start(action_name="no name"))
    assert code == 1
    assert "action_name: expected the name of an action, got 'no name'" in output
    assert len(output.splitlines()) == 1


def test_bad_number_is_replaced_by_its_default(serve, start):
    serve(lambda _: "positive")
    code, output = end_of(start(jokes=1, window=0.1))
    assert code == 0
    assert "parameter window" in output
    assert "using 8.0" in output


def test_help_lists_the_parameters(capsys):
    assert joke_behaviour.main(["--help"]) == 0
    out = capsys.readouterr().out
    for spec in JOKE_PARAMETERS:
        assert spec.name in out


def test_parameters_are_described_and_in_range(listener):
    node = JokeBehaviour()
    for spec in JOKE_PARAMETERS:
        assert spec.problem(spec.default) is None
        descriptor = node.describe_parameter(spec.name)
        assert spec.description in descriptor.description
        assert not node.set_parameters([Parameter(spec.name, value=spec.default)])[0].successful
    node.destroy_node()


def test_jokes_are_short_enough_to_be_told():
    jokes = [joke for kind in JOKES.values() for joke in kind]
    assert len(set(jokes)) == len(jokes) == 12
    assert all(20 < len(joke) <= 100 for joke in jokes)

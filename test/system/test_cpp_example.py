# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The C++ example compiles, and does what it says against a real action server."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "cpp"
SERVER = ROOT / "test" / "ros" / "observation_server.py"
PREFIXES = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]


def installed(package):
    return any((p / f"share/{package}/cmake/{package}Config.cmake").is_file() for p in PREFIXES)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    for package in ("rclcpp", "rclcpp_action", "emotion_perception"):
        if not installed(package):
            pytest.skip(f"{package} for C++ is not here")
    folder = tmp_path_factory.mktemp("cpp")
    configure = ["cmake", "-S", EXAMPLE, "-B", folder, "-DCMAKE_CXX_FLAGS=-O0 -Werror"]
    prefixes = ";".join(map(str, PREFIXES))
    run(*configure, f"-DCMAKE_PREFIX_PATH={prefixes}")
    run("cmake", "--build", folder)
    return folder / "observe_reaction"


def run(*command):
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def start(domain_id, tmp_path):
    """Start a process in this test's domain; whatever still runs at the end is killed."""
    started = []

    def begin(*command):
        process = subprocess.Popen(
            [str(word) for word in command], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def serve(start):
    def begin(answer, *options):
        server = start(sys.executable, SERVER, answer, *options)
        assert server.stdout.readline() == "ready\n"
        return server

    return begin


@pytest.mark.slow
@pytest.mark.timeout(300)  # the compiler, on a busy machine
@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ("positive", 0, "hug: positive, valence changed by +0.00 (+0.00 to +0.00); told to say"),
        ("negative", 0, "hug: negative"),
        ("unknown", 0, "hug: unknown"),
        ("reject", 1, "refused; is the reaction node active?"),
        ("abort", 1, "not observed: told to say abort"),
    ],
)
def test_observes_once(program, serve, start, answer, code, said):
    server = serve(answer)
    client = start(program, "hug")
    output = client.communicate(timeout=30)[0]
    assert said in output
    assert client.returncode == code
    assert server.stdout.readline() == "goal hug\n"


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_cancels_the_goal(program, serve, start, number):
    server = serve("hang")
    client = start(program)
    # The feedback: it is being watched.
    assert any("0.5 s: unknown" in line for line in client.stdout), "it ended"
    assert server.stdout.readline() == "goal action\n"
    client.send_signal(number)
    output = client.communicate(timeout=10)[0]
    assert "told to stop watching" in output
    assert client.returncode == 1
    assert server.stdout.readline() == "cancelled action\n"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_waits_for_the_server_and_is_remapped(program, serve, start):
    names = ["--ros-args", "-r", "reaction_node/observe_reaction:=/head/observe"]
    client = start(program, "hug", *names)
    line = client.stdout.readline()
    assert "waiting for the action server /head/observe" in line
    serve("positive", "/head/observe")
    assert "hug: positive" in client.communicate(timeout=30)[0]
    assert client.returncode == 0


@pytest.mark.skipif(shutil.which("colcon") is None, reason="colcon is not here")
def test_workspace_builds_it_only_when_asked():
    assert run("colcon", "list", "--names-only", "--base-paths", ROOT / "examples") == ""
    names = run("colcon", "list", "--names-only", "--paths", EXAMPLE)
    assert names.split() == ["observe_reaction_example"]

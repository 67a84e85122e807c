# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Every reader under damaged input, a little of it at each run; `make fuzz` does a lot.

What a reader may do is in fuzz/target.py: return a value, or raise its own error with words in it.
"""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).absolute().parents[1]
if not (ROOT / "fuzz").is_dir():
    pytest.skip("fuzz/ belongs to a checkout", allow_module_level=True)
for package in ("pandas", "pyarrow", "rosbags", "onnx", "av", "cryptography"):
    pytest.importorskip(package, reason="the readers need all of the package's extras")
sys.path.append(str(ROOT))  # last: the copy of the package in the checkout has no messages

from fuzz.corpus import known
from fuzz.mutate import mutants
from fuzz.target import CORPUS, check
from fuzz.targets import MODULES, PLANTED, load

FOREVER = float("inf")  # nothing is timed here: other programs may have the processor
GUIDED = importlib.util.find_spec("atheris") is not None


@pytest.fixture(params=MODULES)
def target(request):
    if MODULES[request.param] == "parameters":
        pytest.importorskip("rclpy", reason="ROS 2 is not here")
        pytest.importorskip("emotion_perception.msg", reason="the package is not built")
    return load(request.param)


def test_seeds_and_the_kept_corpus(target, tmp_path):
    """All that was ever found stays mended."""
    taken = [check(target, data, tmp_path, FOREVER) for data in known(target)]
    assert any(taken), "no seed is good: only refusals are tried"


def test_damaged_input(target, tmp_path):
    """As the fuzzer does without atheris; the same inputs at each run."""
    seeds = [seed for seed in known(target) if len(seed) <= target.largest]

    @settings(max_examples=40, deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(damaged(seeds, target.largest))
    def holds(data):
        check(target, data, tmp_path, FOREVER)

    holds()


@st.composite
def damaged(draw, seeds, largest):
    """A good input with some bytes changed, cut out, doubled or put in; or any bytes at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=min(largest, 200)))
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from((0, 1, 2, 4, 32)))
        what = draw(st.sampled_from((b"", b"\xff" * 4, b"\0", b'"', b"9" * 30, b"[", None)))
        data[at : at + length] = draw(st.binary(max_size=8)) if what is None else what
    return bytes(data[:largest])


def test_the_kept_corpus_is_small_and_has_no_strangers():
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300_000
    assert {path.parent.name for path in files} <= set(MODULES)


def test_mutants_are_the_same_again():
    first, second = (mutants([b"hello", b"world"], 8, seed=3) for _ in range(2))
    found = [next(first) for _ in range(200)]
    assert found == [next(second) for _ in range(200)]
    assert len(set(found)) > 100
    assert max(map(len, found)) == 8


def command(*arguments):
    return [sys.executable, "-m", "fuzz.run", *arguments]


def environment():
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path}


def run(tmp_path, *arguments):
    """Run the fuzzer as `make fuzz` does: the checkout comes last on the path."""
    done = subprocess.run(
        command("--findings", str(tmp_path / "found"), *arguments), cwd="/", env=environment(),
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    result = json.loads(done.stdout) if done.stdout.startswith("{") else None
    return done.returncode, result, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("fault", "inputs", "options", "kind"),
    [
        # Only branches that are seen lead here.
        pytest.param("exception", 200_000, (), "exception", marks=pytest.mark.skipif(
            not GUIDED, reason="no atheris for this Python")),
        ("crash", 40, ("--plain",), "crash"),
        ("silence", 40, ("--plain",), "message"),
        ("slow", 2, ("--plain",), "timeout"),
        ("memory", 2, ("--plain",), "memory"),
    ],
)  # fmt: skip
def test_planted_faults_are_found_and_can_be_replayed(tmp_path, fault, inputs, options, kind):
    code, result, said = run(
        tmp_path, "--target", f"planted-{fault}", "--inputs", str(inputs), *options
    )
    assert code == 1, said
    findings = result["targets"][f"planted-{fault}"]["findings"]
    assert {finding["kind"] for finding in findings} == {kind}, said
    assert "FINDING planted-" in said
    file = tmp_path / "found" / findings[0]["file"]
    if fault == "exception":
        assert file.read_bytes().startswith(b"FUZZ")
    if fault != "crash":
        code, _, said = run(tmp_path, "--replay", str(file))
        assert code == 1, said
        assert f"planted-{fault}: " in said


def test_a_sound_reader_has_no_findings(tmp_path):
    code, result, said = run(tmp_path, "--target", "planted-nothing", "--inputs", "3000")
    assert code == 0, said
    told = result["targets"]["planted-nothing"]
    assert (told["inputs"], told["findings"], told["restarts"]) == (3000, [], 0)
    assert 0 < told["taken"] < 3000
    assert told["peak_mb"] > 0
    assert set(result["source"]) == {"commit", "changed", "date"}


def test_ctrl_c_tells_what_is_known(tmp_path):
    process = subprocess.Popen(
        command("--target", "planted-nothing", "--seconds", "600", "--plain",
                "--findings", str(tmp_path / "found"), "--output", str(tmp_path / "result.json")),
        cwd="/", env={**environment(), "TMPDIR": str(tmp_path)}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while not list(tmp_path.glob("fuzz-*/planted-nothing.json")) and time.monotonic() < end:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
    told = json.loads((tmp_path / "result.json").read_text())
    assert told["targets"]["planted-nothing"]["inputs"] > 0
    assert not list(tmp_path.glob("fuzz-*"))


def test_every_target_is_listed():
    done = subprocess.run(
        command("--help"), cwd="/", env=environment(), capture_output=True, text=True, check=True
    )
    words = "".join(done.stdout.split())  # it wraps behind dashes
    assert all(name in words for name in MODULES)
    assert not any(name in words for name in PLANTED)

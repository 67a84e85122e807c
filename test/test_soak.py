# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The soak: its sums, and half a minute of it for real."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from waiting import wait

ROOT = Path(__file__).parents[1]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("benchmarks/ belongs to a checkout", allow_module_level=True)
# Last: the copy of the package in the checkout has no messages.
sys.path.append(str(ROOT))

from benchmarks import reaction_node, soak


def messages(seconds, rate=10.0, latency=lambda s: 5.0, began=1000.0):
    return [
        {"arrived": began + i / rate, "latency_ms": latency(i / rate), "looked": True, "face": True}
        for i in range(int(seconds * rate))
    ]


def readings(seconds, mb):
    times = np.arange(10.0, seconds + 1, 10.0)
    return [{"s": s, "mb": mb(s), "files": 20.0, "threads": 9.0} for s in times]


def test_a_leak_is_a_slope():
    leaks = soak.figures(readings(1800, lambda s: 180 + 5 * s / 3600), messages(1800), 1000.0, 300)
    assert leaks["memory_mb"]["slope_mb_per_hour"] == pytest.approx(5.0)
    low, high = leaks["memory_mb"]["interval"]
    assert low <= 5.0 + 1e-6
    assert high >= 5.0 - 1e-6


def test_what_the_warm_up_takes_is_no_leak():
    found = soak.figures(
        readings(1800, lambda s: 180 + min(s, 300) / 10), messages(1800), 1000.0, 300
    )
    assert found["memory_mb"]["slope_mb_per_hour"] == pytest.approx(0.0, abs=1e-6)


def test_the_last_minute_is_compared_with_the_first_after_the_warm_up():
    slower = messages(600, latency=lambda s: 50.0 if s < 120 else 4.0 if s < 540 else 6.0)
    found = soak.figures(readings(600, lambda _: 100.0), slower, 1000.0, 120)
    assert [found["minutes"][0]["minute"], found["minutes"][-1]["minute"]] == [2, 9]
    assert found["p99_last_minute_over_first"] == pytest.approx(1.5)


def test_silence_is_counted_and_not_timed():
    heard = messages(120)
    heard[600:600] = [
        {"arrived": 1060.0, "latency_ms": 0.0, "looked": False, "face": False} for _ in range(3)
    ]
    found = soak.figures(readings(120, lambda _: 100.0), heard, 1000.0, 20)
    assert found["not_looked"] == 3
    assert found["frames_answered"] == 1200
    assert found["longest_pause_s"] == pytest.approx(0.1)


def test_a_stall_of_the_warm_up_does_not_count():
    heard = [message for message in messages(120) if not 1005 < message["arrived"] < 1012]
    heard.insert(0, {"arrived": 1006.0, "latency_ms": 0.0, "looked": False, "face": False})
    found = soak.figures(readings(120, lambda _: 100.0), heard, 1000.0, 20)
    assert found["not_looked"] == 0
    assert found["longest_pause_s"] == pytest.approx(0.1)


def test_a_stalled_process_stands_still_and_goes_on():
    """What the processor gave it, clock ticks, tells when it ran."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    ticks = []

    def state():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks.append(int(fields[11]))
        return fields[0]

    try:
        assert wait(lambda: state() == "R" and ticks[-1] > 0)
        stalling = threading.Thread(target=soak.stall, args=(child.pid, (0.2, 1.0)))
        stalling.start()
        assert wait(lambda: state() == "T")
        stalling.join()
        before = ticks[-1]
        assert wait(lambda: state() == "R" and ticks[-1] > before)
    finally:
        child.kill()
        child.wait()


def test_half_a_minute(tmp_path):
    if obstacle := reaction_node.missing():
        pytest.skip(obstacle)
    pytest.importorskip("matplotlib", reason="its photographs are the faces")
    output = tmp_path / "soak.json"
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--minutes", "0.5", "--output", str(output)],
        cwd="/", env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert found["frames_answered"] > 100
    assert 0 < found["with_a_face"] < found["frames_answered"]
    assert found["memory_mb"]["most"] > 50

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What was measured on what."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emotion_perception.device import resolve_device

ROOT = Path(__file__).absolute().parents[1]
PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "ros-rclpy", "ros-fastrtps")


def machine() -> dict[str, Any]:
    """Describe processor, memory, kernel and interpreter."""
    return {
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "cores_used": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "virtual": "hypervisor" in (_field("/proc/cpuinfo", "flags") or "").split(),
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def versions() -> dict[str, str]:
    """Return the versions of the libraries in this environment, and the ROS 2 distribution."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    if "ROS_DISTRO" in os.environ:
        found["ros_distro"] = os.environ["ROS_DISTRO"]
    return found


def source() -> dict[str, Any]:
    """Return commit and time; ``changed``: the package is not as it was committed."""
    try:
        commit = _git("rev-parse", "--short=12", "HEAD")
        changed = bool(_git("status", "--porcelain", "--", "emotion_perception", "models"))
    except (OSError, subprocess.CalledProcessError):
        commit, changed = None, None
    return {
        "commit": commit,
        "changed": changed,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def cuda_obstacle(device: str) -> str | None:
    """Say why a device can't be used here, or return None; ``cpu`` always can."""
    used, warning = resolve_device(device)
    if used == "cpu" and device != "cpu":
        reason = re.search(r"\((.*)\)", warning or "")
        return "no CUDA device" + (f" ({reason[1]})" if reason else "")
    return None


class Others:
    """What other processes take of the processor while something is measured."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._all, self._ours = _busy_s(), _own_s()

    def share(self) -> float:
        """Return their mean share of all cores so far; only children that ended count as ours."""
        others = (_busy_s() - self._all) - (_own_s() - self._ours)
        took = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        return round(max(0.0, others / took), 3)


def _busy_s() -> float:
    """Return the seconds that all cores together have worked for anybody."""
    first, _, _ = Path("/proc/stat").read_text(encoding="utf-8").partition("\n")
    user, nice, system, _idle, _iowait, irq, softirq = map(int, first.split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """Return the seconds that this process and its ended children have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def memory_mb(pid: int) -> dict[str, float]:
    """Return the memory of a process: resident, proportional (what is shared is divided), peak."""
    process = Path("/proc") / str(pid)
    text = (process / "smaps_rollup").read_text() + (process / "status").read_text()
    fields = {"Rss:": "rss_mb", "Pss:": "pss_mb", "VmHWM:": "peak_rss_mb"}
    lines = [line.split() for line in text.splitlines()]
    return {
        fields[words[0]]: int(words[1]) * 1024 / 1e6
        for words in lines
        if words and words[0] in fields
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _field(path: str, name: str) -> str | None:
    with contextlib.suppress(OSError):
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return None


def tell(result: dict[str, Any], output: Path | None) -> None:
    """Print a result as JSON, floats to three places, and write it to a file if one is named."""
    text = json.dumps(_rounded(result), indent=1)
    print(text)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text + "\n", encoding="utf-8")


def say(line: str) -> None:
    """Tell the person in front of the terminal; what is measured goes to the other stream."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 3) if isinstance(value, float) else value

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choosing where the networks run, without importing torch where it is not needed."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from functools import cache
from pathlib import Path


def resolve_device(wanted: str) -> tuple[str, str | None]:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device that works.

    Returns:
        ``cpu`` or ``cuda:N``, and one line that says why the GPU is not used where ``cuda`` was
        asked for, else None.

    Raises:
        ValueError: for any other name.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", wanted):
        raise ValueError(f"device: expected auto, cpu, cuda or cuda:N, got {wanted!r}")
    if wanted == "cpu":
        return "cpu", None
    obstacle = _cuda_obstacle(wanted)
    if obstacle is None:
        return (wanted if ":" in wanted else "cuda:0"), None
    if wanted == "auto":
        return "cpu", None
    return "cpu", f"device {wanted} is not usable ({obstacle}); using the CPU"


@cache
def fast_integers() -> bool:
    """Whether the processor has instructions for sums of products of 8-bit integers.

    Without them integers are no faster, and on older processors of Intel and AMD their sums of
    pairs overflow.
    """
    try:
        known = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return has_fast_integers(known)


def has_fast_integers(cpuinfo: str) -> bool:
    """Tell the same from the text of Linux's ``/proc/cpuinfo``."""
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    # Of the least of its cores: on some they differ.
    return bool(lines) and all(
        set(line.split()) & {"avx512_vnni", "avx_vnni", "asimddp"} for line in lines
    )


def _cuda_obstacle(wanted: str) -> str | None:
    # Importing the CUDA build of torch takes seconds and most of a gigabyte: look for a driver
    # first. Not with ctypes.util.find_library, which runs a compiler where there is one.
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no NVIDIA driver found"
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed: pip install 'emotion_perception[gpu]'"
    import torch

    if not torch.cuda.is_available():
        return "torch finds no CUDA device"
    index = int(wanted.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        return f"there are {torch.cuda.device_count()} CUDA devices"
    return None

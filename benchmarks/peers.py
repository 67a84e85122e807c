# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The packages that the pipeline is measured against, each in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).absolute().parents[1]
ENVIRONMENTS = ROOT / ".cache" / "bench"
INSTALL_TIMEOUT_S = 1800


class PeerError(RuntimeError):
    """A peer's environment can't be made."""


@dataclass(frozen=True)
class Peer:
    """A package to compare with.

    Attributes:
        name: of its folder under .cache/bench.
        alone: requirements that are installed without their dependencies.
        requirements: all others, with theirs.
        shares_torch: whether torch comes from the environment of the benchmark, which spares
            5 GB; what the peer's own environment holds goes before it.
    """

    name: str
    alone: tuple[str, ...]
    requirements: tuple[str, ...] = ()
    shares_torch: bool = False


FACENET = Peer(
    "facenet",
    # facenet-pytorch asks for an older torch than it needs.
    alone=("facenet-pytorch==2.5.3", "facial-emotion-recognition==0.3.4"),
    shares_torch=True,
)
FER = Peer(
    "fer",
    # It asks for what it needs for MTCNN and for videos, too, and for an OpenCV that may be too
    # new to have cascades.
    alone=("fer==25.10.3",),
    requirements=(
        'numpy==2.2.6; python_version < "3.11"',
        'numpy==2.4.6; python_version >= "3.11"',
        "opencv-python-headless==4.14.0.94",
        "pandas==2.3.3",  # this and tqdm: for its videos
        'pillow==12.3.0; python_version < "3.11"',
        'pillow==13.0.0; python_version >= "3.11"',
        "requests==2.34.2",
        "setuptools==79.0.1",  # newer ones have no pkg_resources
        "tensorflow-cpu==2.21.0",
        "tqdm==4.70.1",
    ),
)


FER_MTCNN = Peer(
    "fer-mtcnn",
    alone=("facenet-pytorch==2.5.3", *FER.alone),
    requirements=FER.requirements,
    shares_torch=True,
)
EFFICIENTNET = Peer("efficientnet", alone=("facenet-pytorch==2.5.3",), shares_torch=True)


def environment(threads: int, device: str = "cpu") -> dict[str, str]:
    """Return the variables for a peer: nothing of ROS, nothing of this package."""
    dropped = ("PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    if device == "cpu":
        kept["CUDA_VISIBLE_DEVICES"] = ""  # fer takes a GPU wherever there is one
    return {**kept, "PYTHONNOUSERSITE": "1", "OMP_NUM_THREADS": str(threads)}


def install(peer: Peer) -> Path:
    """Make the environment of a peer, unless it is there already; return its interpreter.

    Raises:
        PeerError: it can't be made, for example without a network.
    """
    folder = ENVIRONMENTS / peer.name
    python = folder / "bin" / "python"
    stamp = folder / "installed.txt"
    wanted = f"{sys.version}\n{peer}\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"installing {peer.name} into {folder.relative_to(ROOT)} ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _call([sys.executable, "-m", "venv", folder])
    pip = [python, "-m", "pip", "install", "--prefer-binary", "--disable-pip-version-check"]
    if peer.requirements:
        _call([*pip, "-c", ROOT / "requirements" / "constraints.txt", *peer.requirements])
    _call([*pip, "--no-deps", *peer.alone])
    if peer.shares_torch:
        [packages] = folder.glob("lib/python*/site-packages")
        (packages / "benchmark.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _call(command: list[str | Path]) -> None:
    try:
        done = subprocess.run(
            list(map(str, command)), env=environment(2), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=INSTALL_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(str(error)) from error
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
        raise PeerError(errors[-1] if errors else f"pip failed: {done.stderr[-200:]}")

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What this machine has: a ROS 2 installation, an interpreter, compilers, a GPU."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv"
PACKAGE = "emotion_perception"
WHEEL_DISTRIBUTIONS = ("jazzy", "kilted")
OLDEST_PYTHON = (3, 10)
NEWEST_PINNED_PYTHON = (3, 13)
OLDEST_CMAKE = (3, 20)


class SetupError(Exception):
    """Something is missing or failed; the message says what to do."""


@dataclass(frozen=True)
class Setup:
    """Where the environment lies and what it is made from.

    Attributes:
        distribution: Name of the ROS 2 distribution, e.g. "jazzy".
        installed: Whether that distribution is installed and sourced; otherwise wheels are used.
        python: Interpreter that the virtual environment is made from.
    """

    distribution: str
    installed: bool
    python: Path

    @property
    def folder(self) -> Path:
        """The virtual environment, which also holds the workspace."""
        return VENVS / (self.distribution + ("-installed" if self.installed else ""))

    @property
    def venv_python(self) -> Path:
        """Interpreter inside the virtual environment."""
        return self.folder / "bin" / "python3"

    @property
    def prefix(self) -> Path:
        """Where colcon installs the package."""
        return self.folder / "ws" / "install" / PACKAGE

    @property
    def log(self) -> Path:
        """What the tools said."""
        return self.folder / "setup.log"

    @property
    def stamps(self) -> Path:
        """One file for each step that is done."""
        return self.folder / "stamps"


def runs(*command: str | Path) -> bool:
    """Return whether a command exists and succeeds."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def is_sourced() -> bool:
    """Return whether a ROS 2 installation is sourced; virtual environments do not count."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return any(
        (Path(prefix) / "share/rclpy/package.xml").is_file()
        and not (Path(prefix) / "pyvenv.cfg").is_file()
        for prefix in prefixes
        if prefix
    )


def find_setup() -> Setup:
    """Choose between a sourced ROS 2 and wheels."""
    # The interpreter behind a virtual environment, which may be about to be replaced.
    python = Path(getattr(sys, "_base_executable", None) or sys.executable)
    distribution = os.environ.get("ROS_DISTRO") or "jazzy"
    if is_sourced():
        for candidate in (python, Path("/usr/bin/python3")):
            if runs(candidate, "-c", "import rclpy"):
                return Setup(distribution, True, candidate)
        raise SetupError(
            f"ROS 2 {distribution} is sourced, but neither {python} nor /usr/bin/python3 can "
            "import rclpy. Source its setup.bash again, or open a shell where it is not sourced "
            "to use ROS 2 from the package index."
        )
    if distribution not in WHEEL_DISTRIBUTIONS:
        raise SetupError(
            f"ROS_DISTRO is {distribution}, which is not sourced, and the package index has only "
            f"{' and '.join(WHEEL_DISTRIBUTIONS)}. Source the installation, or unset ROS_DISTRO."
        )
    return Setup(distribution, False, python)


def has_cmake() -> bool:
    """Return whether the cmake on PATH is new enough."""
    try:
        said = subprocess.run(["cmake", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return False
    found = re.search(r"(\d+)\.(\d+)", said.stdout)
    return found is not None and (int(found[1]), int(found[2])) >= OLDEST_CMAKE


def has_compiler(variable: str, *names: str) -> bool:
    """Return whether one of the compilers is there, or the one that a variable names."""
    named = os.environ.get(variable, "").split()[:1]
    return any(map(shutil.which, named or names))


def check_machine(setup: Setup) -> None:
    """Raise SetupError naming everything that has to be installed first."""
    version = sys.version_info[:2]
    python = f"python{version[0]}.{version[1]}"
    if version < OLDEST_PYTHON:
        raise SetupError(
            f"Python 3.10 or newer is needed; {sys.executable} is {python}. If a newer one is "
            "installed, name it: make PYTHON=python3.12 ..."
        )
    if not setup.installed:
        check_wheels(version)

    venv = importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv")
    headers = Path(sysconfig.get_paths()["include"], "Python.h")
    needed = [
        ("Python's venv module", f"{python}-venv", venv is not None),
        ("Python's header files (Python.h)", f"{python}-dev", headers.is_file()),
        ("a C compiler", "gcc", has_compiler("CC", "cc", "gcc", "clang")),
        ("a C++ compiler", "g++", has_compiler("CXX", "c++", "g++", "clang++")),
        ("CMake 3.20 or newer", "cmake", has_cmake()),
        ("make", "make", shutil.which("make") is not None),
    ]
    if setup.installed:
        # Not from the package index: it would want another NumPy than the messages of ROS 2.
        opencv = importlib.util.find_spec("cv2")
        needed.append(("OpenCV for Python", "python3-opencv", opencv is not None))
    missing = [(what, package) for what, package, there in needed if not there]
    if missing:
        names = "\n".join(f"  - {what}" for what, _ in missing)
        packages = " ".join(package for _, package in missing)
        raise SetupError(
            f"Missing on this machine:\n{names}\nOn Debian or Ubuntu: sudo apt install {packages}"
        )


def check_wheels(version: tuple[int, int]) -> None:
    """Raise SetupError where the package index has no ROS 2."""
    instead = (
        "Install ROS 2 as its documentation says (https://docs.ros.org), source its setup.bash "
        "and run make again."
    )
    if platform.machine() not in ("x86_64", "AMD64") or platform.libc_ver()[0] != "glibc":
        raise SetupError(
            "ROS 2 is in the package index only for Linux with glibc on x86-64; this is "
            f"{platform.system()} on {platform.machine()}. {instead}"
        )
    if version > NEWEST_PINNED_PYTHON:
        raise SetupError(
            "ROS 2 is in the package index for Python 3.10 to 3.13; "
            f"{sys.executable} is {version[0]}.{version[1]}. If an older one is installed, name "
            f"it: make PYTHON=python3.12 ... Otherwise: {instead}"
        )


def has_nvidia_gpu() -> bool:
    """Return whether the driver of an NVIDIA GPU is loaded."""
    return Path("/proc/driver/nvidia/version").is_file() or runs("nvidia-smi", "-L")

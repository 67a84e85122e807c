#!/usr/bin/env python3
"""Set up ROS 2 and everything else that `make` needs, then run the demonstration or the tests.

Only the standard library is used, because nothing else is there yet. Two kinds of set-up exist:

* No ROS 2 here: it is installed from the Python package index into `.venv/<distribution>`.
* A ROS 2 installation is sourced: it is used, with the rest in `.venv/<distribution>-installed`.

In that folder lie `env.sh` (source it to run what was installed), `setup.log` (what pip and colcon
said), `ws` (the folders of colcon) and `stamps` (which steps are done, and from what: a step whose
input has changed since is done again).
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv"
PACKAGE = "emotion_perception"
WHEEL_DISTRIBUTIONS = ("jazzy", "kilted")

# Requirement files, the free disk space in MB that installing each takes, and what to call it.
REQUIREMENTS = {
    "jazzy": (["colcon.txt"], ["ros-jazzy.txt"], 400, "ROS 2 Jazzy from the package index"),
    "kilted": (["colcon.txt"], ["ros-kilted.txt"], 400, "ROS 2 Kilted from the package index"),
    "colcon": (["colcon.txt"], [], 50, "colcon"),
    "run": (["run.txt"], ["photos.txt"], 700, "NumPy, OpenCV, ONNX Runtime"),
    "torch": (["torch.txt"], [], 8000, "PyTorch (several minutes on a slow line)"),
    "train": (["train.txt"], [], 500, "training"),
    "test": (["test.txt"], ["test-nodeps.txt"], 400, "test tools"),
}
TESTS = ("torch", "train", "test")

# Set by a sourced environment, and wrong for another one.
ROS_VARIABLES = (
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
)


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


# Finding out what is here --------------------------------------------------------------------


def sourced_distribution() -> bool:
    """Return whether a ROS 2 installation is sourced; virtual environments do not count."""
    prefixes = os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
    return any(
        (Path(prefix) / "share/rclpy/package.xml").is_file()
        and not (Path(prefix) / "pyvenv.cfg").is_file()
        for prefix in prefixes
        if prefix
    )


def base_python() -> Path:
    """Return the interpreter behind this one, when this one is a virtual environment's."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable)


def find_setup() -> Setup:
    """Choose between a sourced ROS 2 and wheels."""
    distribution = os.environ.get("ROS_DISTRO") or "jazzy"
    if sourced_distribution():
        for python in (base_python(), Path("/usr/bin/python3")):
            command = [str(python), "-c", "import rclpy"]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return Setup(distribution, True, python)
        raise SetupError(
            f"ROS 2 {distribution} is sourced, but neither {base_python()} nor /usr/bin/python3 "
            "can import rclpy. Source its setup.bash again, or open a shell where it is not "
            "sourced to use ROS 2 from the package index."
        )
    if distribution not in WHEEL_DISTRIBUTIONS:
        raise SetupError(
            f"ROS_DISTRO is {distribution}, which is not sourced, and the package index has only "
            f"{' and '.join(WHEEL_DISTRIBUTIONS)}. Source the installation, or unset ROS_DISTRO."
        )
    return Setup(distribution, False, base_python())


def cmake_version() -> tuple[int, ...]:
    """Return the version of the cmake on PATH, () when there is none."""
    if shutil.which("cmake") is None:
        return ()
    said = subprocess.run(["cmake", "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(\d+)\.(\d+)", said.stdout)
    return tuple(int(number) for number in found.groups()) if found else ()


def check_machine(setup: Setup) -> None:
    """Raise SetupError naming everything that has to be installed first."""
    version = sys.version_info[:2]
    if version < (3, 10):
        raise SetupError(f"Python 3.10 or newer is needed; {sys.executable} is {version}.")
    if not setup.installed:
        if platform.machine() not in ("x86_64", "AMD64") or platform.libc_ver()[0] != "glibc":
            raise SetupError(
                "ROS 2 is in the package index only for Linux with glibc on x86-64; this is "
                f"{platform.system()} on {platform.machine()}. Install ROS 2 from its "
                "distribution (https://docs.ros.org), source its setup.bash and run make again."
            )
        if version > (3, 13):
            raise SetupError(
                "ROS 2 is in the package index for Python 3.10 to 3.13; "
                f"{sys.executable} is {version[0]}.{version[1]}. Name another one: "
                "make PYTHON=python3.12 ..."
            )
    python = f"python{version[0]}.{version[1]}"
    missing = []
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        missing.append(("Python's venv module", f"{python}-venv"))
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        missing.append(("Python's header files (Python.h)", f"{python}-dev"))
    if not any(map(shutil.which, (os.environ.get("CXX") or "c++", "g++", "clang++"))):
        missing.append(("a C++ compiler", "g++"))
    if not any(map(shutil.which, (os.environ.get("CC") or "cc", "gcc", "clang"))):
        missing.append(("a C compiler", "gcc"))
    if cmake_version() < (3, 20):
        missing.append(("CMake 3.20 or newer", "cmake"))
    if shutil.which("make") is None:
        missing.append(("make", "make"))
    if missing:
        names = "\n".join(f"  - {what}" for what, _ in missing)
        packages = " ".join(package for _, package in missing)
        raise SetupError(
            f"Missing on this machine:\n{names}\nOn Debian or Ubuntu: sudo apt install {packages}"
        )


def has_nvidia_gpu() -> bool:
    """Return whether the driver of an NVIDIA GPU is loaded."""
    if Path("/proc/driver/nvidia/version").is_file():
        return True
    command = ["nvidia-smi", "-L"]
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


# Steps and their stamps ----------------------------------------------------------------------


def digest(*parts: object) -> str:
    """Hash texts and the contents of files."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def tool_environment(setup: Setup) -> dict[str, str]:
    """Return the environment that pip and colcon run in."""
    env = dict(os.environ)
    if not setup.installed:
        for name in (*ROS_VARIABLES, "_ROS_WHEELS_BOOTSTRAP_COMPLETE"):
            env.pop(name, None)
        env["AMENT_PREFIX_PATH"] = env["CMAKE_PREFIX_PATH"] = str(setup.folder)
    env.pop("PYTHONHOME", None)
    env.update(
        VIRTUAL_ENV=str(setup.folder),
        PATH=f"{setup.folder / 'bin'}{os.pathsep}{env.get('PATH', '')}",
        # Not /tmp: where that is in memory, the wheels of torch do not fit.
        TMPDIR=str(setup.folder / "tmp"),
        PIP_USER="0",
        PIP_REQUIRE_VIRTUALENV="1",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
    )
    return env


def call(setup: Setup, command: Sequence[str | Path], cwd: Path | None = None) -> None:
    """Run a command with its output in the log.

    Raises:
        SetupError: The command failed; the message ends with the tail of its output.
    """
    words = [str(word) for word in command]
    (setup.folder / "tmp").mkdir(exist_ok=True)
    with setup.log.open("ab") as log:
        start = log.seek(0, os.SEEK_END)
        log.write(f"\n$ {shlex.join(words)}\n".encode())
        log.flush()
        done = subprocess.run(
            words,
            cwd=cwd,
            env=tool_environment(setup),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        said = setup.log.read_bytes()[start:].decode(errors="replace").splitlines()
        raise SetupError("\n".join([*said[-30:], f"Failed. The whole log: {setup.log}"]))


@contextlib.contextmanager
def step(setup: Setup, name: str, key: str, label: str, started: float) -> Iterator[bool]:
    """Yield whether the step has to be done; remember that it was, when its block ends well."""
    stamp = setup.folder / "stamps" / name
    if stamp.is_file() and stamp.read_text() == key:
        yield False
        return
    begin = time.monotonic()
    print(f"[{begin - started:4.0f} s] {label} ...", flush=True)
    stamp.unlink(missing_ok=True)
    busy = setup.folder / "stamps" / "busy"
    if stamp.parent.is_dir():
        busy.write_text(name)
    try:
        yield True
    except SetupError:
        # The tool gave up by itself and left things in order. A killed one leaves `busy` behind.
        busy.unlink(missing_ok=True)
        raise
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(key)
    busy.unlink(missing_ok=True)


def discard_half_done(setup: Setup) -> None:
    """Remove what a killed step has left, because nobody knows what is missing in it."""
    busy = setup.folder / "stamps" / "busy"
    if not busy.is_file():
        return
    if busy.read_text() == "build":
        shutil.rmtree(setup.folder / "ws", ignore_errors=True)
        (setup.folder / "stamps" / "build").unlink(missing_ok=True)
        busy.unlink()
    else:
        print("The last set-up was interrupted; starting again.", flush=True)
        shutil.rmtree(setup.folder)


def requirement_lines(setup: Setup, name: str) -> list[str]:
    """Return the lines of a requirement file that apply here.

    Packages that an installed distribution must bring itself are left out: its messages were
    compiled for its own NumPy, and its OpenCV for that one too.
    """
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    if setup.installed:
        own = ("numpy", "opencv-python-headless", "pyyaml", "empy", "lark-parser", "setuptools")
        lines = [line for line in lines if re.split(r"[=<>;\[ ]", line)[0] not in own]
    return lines


def install(setup: Setup, name: str) -> None:
    """Install one entry of REQUIREMENTS into the virtual environment."""
    resolved, listed, _, _ = REQUIREMENTS[name]
    pip = [setup.venv_python, "-m", "pip", "install", "--no-compile", "--prefer-binary"]
    folder = setup.folder / "tmp"
    folder.mkdir(exist_ok=True)
    if setup.installed:
        command = [str(setup.python), "-c", "import numpy; print(numpy.__version__)"]
        version = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        constraints = folder / "constraints.txt"
        constraints.write_text(f"numpy=={version}")
    else:
        constraints = ROOT / "requirements" / "constraints.txt"
    for files, options in ((resolved, ["-c", constraints]), (listed, ["--no-deps"])):
        lines = [line for file in files for line in requirement_lines(setup, file)]
        if lines:
            wanted = folder / f"{name}.txt"
            wanted.write_text("\n".join(lines))
            call(setup, [*pip, *options, "-r", wanted])


def relocate(setup: Setup) -> None:
    """Replace the paths of the machine that built the ROS 2 wheels by those of this one."""
    probe = "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"
    said = subprocess.run([setup.venv_python, "-c", probe], capture_output=True, check=True)
    here = json.loads(said.stdout)
    name = f"python3.{sys.version_info.minor}"
    there = f"/opt/python/cp3{sys.version_info.minor}-cp3{sys.version_info.minor}"
    paths = {
        f"{there}/include/{name}": here["include"],
        f"{there}/lib/{name}/site-packages": here["purelib"],
        there: str(setup.folder),
    }
    for file in (setup.folder / "share").rglob("*"):
        if file.is_symlink() or not file.is_file():
            continue
        data = file.read_bytes()
        if there.encode() in data:
            for old, new in paths.items():
                data = data.replace(old.encode(), new.encode())
            file.write_bytes(data)


def build_key() -> str:
    """Hash what the build is made from; of files that are only linked, their names."""
    sources = [ROOT / "CMakeLists.txt", ROOT / "package.xml"]
    for folder in ("msg", "srv", "action", "bin"):
        sources += sorted(path for path in (ROOT / folder).glob("*") if path.is_file())
    linked = [
        str(path.relative_to(ROOT))
        for folder in (PACKAGE, "launch", "config", "models")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return digest(*(part for path in sources for part in (path.name, path)), *linked)


def build(setup: Setup) -> None:
    """Build the package with colcon, linked to the checkout so that edits count."""
    ws = setup.folder / "ws"
    ws.mkdir(exist_ok=True)
    shutil.rmtree(ws / "install", ignore_errors=True)  # links to files that have gone
    options = ["--base-paths", ROOT, "--symlink-install", "--event-handlers", "console_direct+"]
    cmake = [f"-DPython3_EXECUTABLE={setup.venv_python}", "-DBUILD_TESTING=OFF"]
    call(setup, ["colcon", "build", *options, "--cmake-args", *cmake], cwd=ws)
    command = setup.folder / "bin" / "emotion-perception"
    command.unlink(missing_ok=True)
    command.symlink_to(setup.prefix / "lib" / PACKAGE / "emotion-perception")


def write_env(setup: Setup) -> Path:
    """Write `env.sh`, which makes a POSIX shell run what was installed and built."""
    found = sorted(setup.prefix.glob(f"**/*-packages/{PACKAGE}"))
    if not found:
        raise SetupError(f"colcon installed no Python package below {setup.prefix}.")
    paths = {
        "PATH": [setup.folder / "bin"],
        "PYTHONPATH": [found[0].parent],
        "LD_LIBRARY_PATH": [setup.prefix / "lib"],
        "AMENT_PREFIX_PATH": [setup.prefix],
        "CMAKE_PREFIX_PATH": [setup.prefix],
    }
    values = {"VIRTUAL_ENV": str(setup.folder), "ROS_DISTRO": setup.distribution}
    if setup.installed:
        for name in ROS_VARIABLES:
            known = os.environ.get(name, "").split(os.pathsep)
            paths.setdefault(name, []).extend(Path(path) for path in known if path)
    else:
        paths["LD_LIBRARY_PATH"] += [
            setup.folder / "lib",
            *sorted(setup.folder.glob("lib/python3*/site-packages/ros_*.libs")),
        ]
        paths["AMENT_PREFIX_PATH"].append(setup.folder)
        paths["CMAKE_PREFIX_PATH"].append(setup.folder)
        values["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"  # the only one among the wheels
    lines = [
        "# Written by scripts/bootstrap.py. Source it to use ROS 2 and this package.",
        *(f"export {name}={shlex.quote(value)}" for name, value in values.items()),
        "# Without this, Fast DDS loses most best-effort images.",
        ': "${FASTDDS_BUILTIN_TRANSPORTS:=LARGE_DATA}"; export FASTDDS_BUILTIN_TRANSPORTS',
        "_put_first() {  # NAME DIRECTORY: unless it is there already",
        '    eval "_known=\\${$1:-}"',
        '    case ":$_known:" in',
        '        *:"$2":*) ;;',
        '        *) eval "export $1=\\"\\$2\\${_known:+:\\$_known}\\"" ;;',
        "    esac",
        "}",
    ]
    for name, entries in paths.items():
        for entry in reversed(list(dict.fromkeys(entries))):
            lines.append(f"_put_first {name} {shlex.quote(str(entry))}")
    lines.append("unset -f _put_first; unset _known")
    file = setup.folder / "env.sh"
    text = "\n".join(lines) + "\n"
    if not file.is_file() or file.read_text() != text:
        file.write_text(text)
    return file


def plan(setup: Setup, extras: Sequence[str]) -> dict[str, str]:
    """Return the entries of REQUIREMENTS to install, each with the key of its stamp."""
    names = ["run", *extras]
    if not setup.installed:
        names.insert(0, setup.distribution)
    elif shutil.which("colcon") is None:
        names.insert(0, "colcon")
    folder = ROOT / "requirements"
    keys = {}
    for name in names:
        resolved, listed, _, _ = REQUIREMENTS[name]
        files = [folder / file for file in (*resolved, *listed, "constraints.txt")]
        keys[name] = digest(*files)
    return keys


def check_disk(setup: Setup, wanted: dict[str, str]) -> None:
    """Raise SetupError when what is still to be installed does not fit on the disk."""
    stamps = setup.folder / "stamps"
    todo = [
        name
        for name, key in wanted.items()
        if not (stamps / name).is_file() or (stamps / name).read_text() != key
    ]
    needed = sum(REQUIREMENTS[name][2] for name in todo)
    VENVS.mkdir(exist_ok=True)
    free = shutil.disk_usage(VENVS).free // 10**6
    if free < needed:
        raise SetupError(
            f"Installing {', '.join(todo)} takes {needed / 1000:.1f} GB of disk, and {VENVS} has "
            f"{free / 1000:.1f} GB left."
        )


def prepare(setup: Setup, extras: Sequence[str]) -> Path:
    """Do every step that is not done yet and return the path of `env.sh`."""
    started = time.monotonic()
    check_machine(setup)
    VENVS.mkdir(exist_ok=True)
    with (VENVS / f"{setup.folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another make to finish its set-up.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        discard_half_done(setup)
        wanted = plan(setup, extras)
        check_disk(setup, wanted)
        machine = digest(sys.version, str(setup.python), str(setup.folder), setup.installed)
        with step(setup, "venv", machine, "virtual environment", started) as todo:
            if todo:
                shutil.rmtree(setup.folder, ignore_errors=True)
                setup.folder.mkdir()
                share = ["--system-site-packages"] if setup.installed else []
                call(setup, [setup.python, "-m", "venv", *share, setup.folder])
        for name, key in wanted.items():
            with step(setup, name, key, REQUIREMENTS[name][3], started) as todo:
                if todo:
                    install(setup, name)
                    if name in WHEEL_DISTRIBUTIONS:
                        relocate(setup)
        with step(setup, "build", build_key(), "building the package", started) as todo:
            if todo:
                build(setup)
        shutil.rmtree(setup.folder / "tmp", ignore_errors=True)
        env = write_env(setup)
    took = time.monotonic() - started
    if took > 2:
        print(f"[{took:4.0f} s] ready; to use it in a shell: . {env}", flush=True)
    return env


# Commands ------------------------------------------------------------------------------------


def inside(setup: Setup, env: Path, command: Sequence[str | Path]) -> list[str]:
    """Return a command that runs another one in the environment."""
    words = [str(word) for word in command]
    return ["/bin/sh", "-c", '. "$0" && exec "$@"', str(env), *words]


def run(setup: Setup, env: Path, command: Sequence[str | Path]) -> None:
    """Become the command, so that Ctrl-C and the exit status go straight through."""
    words = inside(setup, env, command)
    os.execve(words[0], words, clean_environment(setup))


def clean_environment(setup: Setup) -> dict[str, str]:
    """Return this process's environment without what another sourced `env.sh` has put there."""
    env = dict(os.environ)
    if not setup.installed:
        for name in (*ROS_VARIABLES[:3], "PYTHONPATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"):
            env.pop(name, None)
    return env


def run_tests(setup: Setup, env: Path, arguments: Sequence[str]) -> int:
    """Run the linters and pytest, whose summary comes last; return the exit status."""
    checks = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "mypy": ["mypy"],
    }
    failed = []
    for name, command in checks.items():
        print(f"== {name}", flush=True)
        words = inside(setup, env, command)
        if subprocess.run(words, cwd=ROOT, env=clean_environment(setup), check=False).returncode:
            failed.append(name)
    if failed:
        print(f"== FAILED: {', '.join(failed)}; the tests run all the same", flush=True)
    # Not `python -m pytest`, which would find the package in the checkout, without its messages.
    # The plugins of an installed ROS 2 are for tests of launch files and lag behind pytest.
    without = ["-p", "no:launch_testing", "-p", "no:launch_testing_ros_pytest_entrypoint"]
    words = inside(setup, env, ["pytest", *(without if setup.installed else []), *arguments])
    status = subprocess.run(words, cwd=ROOT, env=clean_environment(setup), check=False).returncode
    return status or (1 if failed else 0)


def main() -> int:
    """Prepare what a command needs, and run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["build", "demo", "test", "bench"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="handed to what is run")
    chosen = parser.parse_args()
    try:
        setup = find_setup()
        extras = TESTS if chosen.command in ("test", "bench") else ()
        if chosen.command == "demo" and has_nvidia_gpu():
            extras = ("torch",)
        env = prepare(setup, extras)
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if chosen.command == "test":
        return run_tests(setup, env, chosen.arguments)
    if chosen.command == "demo":
        run(setup, env, [setup.prefix / "lib" / PACKAGE / "demo", *chosen.arguments])
    if chosen.command == "bench":
        # As `python -m`, but with the checkout last on the path: there the package has no messages.
        runner = (
            "import runpy, sys; sys.path[0:1] = []; sys.path.append('.'); "
            "runpy.run_module('benchmarks.run', run_name='__main__', alter_sys=True)"
        )
        run(setup, env, [setup.venv_python, "-c", runner, *chosen.arguments])
    print(env)
    return 0


if __name__ == "__main__":
    sys.exit(main())

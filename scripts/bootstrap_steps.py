# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The steps of a set-up: install, build, and write the file to source."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap_locks import locked_file
from bootstrap_machine import (
    NEWEST_PINNED_PYTHON,
    PACKAGE,
    ROOT,
    VENVS,
    Setup,
    SetupError,
    check_machine,
)


@dataclass(frozen=True)
class Requirements:
    """One group of packages.

    Attributes:
        label: What to call it while it is being installed.
        disk: Free disk space in MB that installing it takes.
        files: Requirement files.
        complete: Requirement files that are installed without looking for dependencies.
    """

    label: str
    disk: int
    files: tuple[str, ...]
    complete: tuple[str, ...] = ()


REQUIREMENTS = {
    "jazzy": Requirements("ROS 2 Jazzy", 400, ("build.txt", "colcon.txt"), ("ros-jazzy.txt",)),
    "kilted": Requirements("ROS 2 Kilted", 400, ("build.txt", "colcon.txt"), ("ros-kilted.txt",)),
    "colcon": Requirements("colcon", 50, ("colcon.txt",)),
    "run": Requirements("NumPy, OpenCV, ONNX Runtime", 700, ("run.txt",), ("photos.txt",)),
    "torch": Requirements("PyTorch, a few minutes", 8000, ("torch.txt",)),
    "train": Requirements("training", 500, ("train.txt",)),
    "sessions": Requirements("recorded sessions", 500, ("sessions.txt",)),
    "test": Requirements("test tools", 700, ("test.txt",), ("test-nodeps.txt",)),
    "quality": Requirements("fuzzing, mutation, audit", 300, ("quality.txt",)),
    "docs": Requirements("documentation", 200, ("docs.txt",)),
}

# What an installed ROS 2 has itself: its messages were compiled for its own NumPy.
OWN = ("empy", "lark-parser", "numpy", "opencv-python-headless", "pyyaml", "setuptools")

# What a sourced environment sets, and what is wrong for another one.
SOURCED_VARIABLES = ("AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "COLCON_PREFIX_PATH", "PYTHONPATH")


def clean_environment(setup: Setup) -> dict[str, str]:
    """Return this process's environment without what another sourced one has put there."""
    env = dict(os.environ)
    if not setup.installed:
        # The last one says that LD_LIBRARY_PATH has been extended by the wheels already.
        for name in (*SOURCED_VARIABLES, "PYTHONHOME", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"):
            env.pop(name, None)
    return env


def call(setup: Setup, command: Sequence[str | Path], cwd: Path | None = None) -> None:
    """Run a tool with its output in the log.

    Raises:
        SetupError: The tool failed; the message ends with the tail of its output.
    """
    env = clean_environment(setup)
    if not setup.installed:
        env.pop("LD_LIBRARY_PATH", None)
        env["AMENT_PREFIX_PATH"] = env["CMAKE_PREFIX_PATH"] = str(setup.folder)
    temporary = setup.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    env.update(
        VIRTUAL_ENV=str(setup.folder),
        PATH=f"{setup.folder / 'bin'}{os.pathsep}{env.get('PATH', '')}",
        TMPDIR=str(temporary),  # in /tmp, which may be in memory, the wheels of torch may not fit
        PIP_USER="0",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
    )
    words = [str(word) for word in command]
    with setup.log.open("ab") as log:
        start = log.seek(0, os.SEEK_END)
        log.write(f"\n$ {shlex.join(words)}\n".encode())
        log.flush()
        done = subprocess.run(
            words,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            close_fds=False,  # see `locked`
            check=False,
        )
    if done.returncode:
        said = setup.log.read_bytes()[start:].decode(errors="replace").splitlines()
        raise SetupError("\n".join([*said[-30:], f"Failed. The whole log: {setup.log}"]))


# Stamps --------------------------------------------------------------------------------------


def digest(*parts: object) -> str:
    """Hash values and the contents of files."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def is_done(setup: Setup, name: str, key: str) -> bool:
    """Return whether a step was done from the same input."""
    stamp = setup.stamps / name
    return stamp.is_file() and stamp.read_text() == key


@contextlib.contextmanager
def locked(setup: Setup) -> Iterator[None]:
    """Keep other processes from setting up the same environment."""
    VENVS.mkdir(exist_ok=True)
    with (VENVS / f"{setup.folder.name}.lock").open("w") as lock:
        # The tools hold the lock too: when this process is killed, they go on for a while.
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another set-up to finish.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def step(setup: Setup, name: str, key: str) -> Iterator[None]:
    """Remember that a step was done when its block ends well, and that it was begun otherwise."""
    setup.stamps.mkdir(exist_ok=True)
    stamp, begun = setup.stamps / name, setup.stamps / "begun"
    stamp.unlink(missing_ok=True)
    begun.write_text(name)
    try:
        yield
    except SetupError:
        begun.unlink()  # the tool gave up by itself, and left things in order
        raise
    stamp.write_text(key)
    begun.unlink()


def discard(setup: Setup) -> None:
    """Remove the environment; one that is half removed is not taken for a whole one."""
    discarded = setup.folder.with_suffix(".discarded")
    shutil.rmtree(discarded, ignore_errors=True)
    if setup.folder.is_dir():
        setup.folder.rename(discarded)
        shutil.rmtree(discarded)


def discard_half_done(setup: Setup) -> None:
    """Remove what a killed step has left behind: nobody knows what is missing in it."""
    shutil.rmtree(setup.folder.with_suffix(".discarded"), ignore_errors=True)
    begun = setup.stamps / "begun"
    if begun.is_file() and begun.read_text() == "build":
        shutil.rmtree(setup.folder / "ws", ignore_errors=True)
        begun.unlink()
    elif begun.is_file() or (setup.folder.is_dir() and not setup.stamps.is_dir()):
        print("The last set-up was interrupted; starting again.", flush=True)
        discard(setup)


# Steps ---------------------------------------------------------------------------------------


def make_venv(setup: Setup) -> None:
    """Make an empty virtual environment."""
    discard(setup)
    setup.folder.mkdir()
    options = ["--system-site-packages"] if setup.installed else []
    call(setup, [setup.python, "-m", "venv", *options, setup.folder])


def install(setup: Setup, name: str) -> None:
    """Install one entry of REQUIREMENTS."""
    if setup.installed:
        install_beside(setup, name)
        return
    group = REQUIREMENTS[name]
    pip = [setup.venv_python, "-m", "pip", "install", "--no-compile", "--prefer-binary"]
    # Exactly what was locked: also what builds a package without a wheel is not fetched anew.
    pip += ["--require-hashes", "--no-deps", "--no-build-isolation"]
    for file in (*group.files, *group.complete):
        call(setup, [*pip, "-r", locked_file(file)])
    if any(file.startswith("ros-") for file in group.complete):
        relocate(setup)


def install_beside(setup: Setup, name: str) -> None:
    """Install one entry of REQUIREMENTS beside an installed ROS 2, whose own packages stay.

    Not by hashes: which versions fit hangs on that installation.
    """
    pip = [setup.venv_python, "-m", "pip", "install", "--no-compile", "--prefer-binary"]
    group = REQUIREMENTS[name]
    temporary = setup.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    said = subprocess.run(
        [setup.python, "-c", "import numpy; print(numpy.__version__)"],
        capture_output=True,
        text=True,
        check=True,
    )
    constraints = temporary / "constraints.txt"
    constraints.write_text(f"numpy=={said.stdout}")
    for files, options in ((group.files, ["-c", constraints]), (group.complete, ["--no-deps"])):
        lines = [line for file in files for line in requirement_lines(file)]
        if lines:
            wanted = temporary / "wanted.txt"
            wanted.write_text("\n".join(lines))
            call(setup, [*pip, *options, "-r", wanted])


def requirement_lines(file: str) -> list[str]:
    """Return the lines of a requirement file that apply beside an installed ROS 2."""
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    lines = [line for line in lines if re.split(r"[=;\[ ]", line)[0] not in OWN]
    if sys.version_info[:2] > NEWEST_PINNED_PYTHON:
        lines = [line.replace("==", ">=") for line in lines]
    return lines


def relocate(setup: Setup) -> None:
    """Replace the paths of the machine that built the ROS 2 wheels by those of this one."""
    probe = "import json, sysconfig; print(json.dumps(sysconfig.get_paths()))"
    said = subprocess.run([setup.venv_python, "-c", probe], capture_output=True, check=True)
    here = json.loads(said.stdout)
    python = f"python3.{sys.version_info.minor}"
    there = f"/opt/python/cp3{sys.version_info.minor}-cp3{sys.version_info.minor}"
    paths = {  # the longer ones first
        f"{there}/include/{python}": here["include"],
        f"{there}/lib/{python}/site-packages": here["purelib"],
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
        path.relative_to(ROOT)
        for folder in (PACKAGE, "launch", "config", "models")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return digest(*(part for path in sources for part in (path.name, path)), *map(str, linked))


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
    """Write `env.sh`, which makes a POSIX shell use what was installed and built."""
    found = sorted(setup.prefix.glob(f"**/*-packages/{PACKAGE}"))
    if not found:
        raise SetupError(f"colcon has installed no Python package below {setup.prefix}.")
    paths = {
        "PATH": [setup.folder / "bin"],
        "PYTHONPATH": [found[0].parent],
        "LD_LIBRARY_PATH": [setup.prefix / "lib"],
        "AMENT_PREFIX_PATH": [setup.prefix],
        "CMAKE_PREFIX_PATH": [setup.prefix],
    }
    values = {"VIRTUAL_ENV": setup.folder, "ROS_DISTRO": setup.distribution}
    if setup.installed:
        for name in (*SOURCED_VARIABLES, "LD_LIBRARY_PATH"):
            known = os.environ.get(name, "").split(os.pathsep)
            paths.setdefault(name, []).extend(Path(path) for path in known if path)
    else:
        libraries = setup.folder.glob("lib/python3*/site-packages/ros_*.libs")
        paths["LD_LIBRARY_PATH"] += [setup.folder / "lib", *sorted(libraries)]
        paths["AMENT_PREFIX_PATH"].append(setup.folder)
        paths["CMAKE_PREFIX_PATH"].append(setup.folder)
        values["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"  # the only one among the wheels
    lines = [
        "# Written by scripts/bootstrap.py. Source it to use ROS 2 and this package.",
        *(f"export {name}={shlex.quote(str(value))}" for name, value in values.items()),
        "# Without this, images come late and get lost: emotion_perception/nodes/transports.py.",
        ': "${FASTDDS_BUILTIN_TRANSPORTS:=DEFAULT?sockets_size=3MB}"',
        "export FASTDDS_BUILTIN_TRANSPORTS",
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
    keys = {}
    for name in names:
        group = REQUIREMENTS[name]
        files = (*group.files, *group.complete)
        if setup.installed:
            keys[name] = digest(*(ROOT / "requirements" / file for file in files))
        else:
            keys[name] = digest(*map(locked_file, files))
    return keys


def check_disk(setup: Setup, names: Sequence[str]) -> None:
    """Raise SetupError when what is still to be installed does not fit on the disk."""
    needed = sum(REQUIREMENTS[name].disk for name in names)
    free = shutil.disk_usage(VENVS).free // 10**6
    if free < needed:
        raise SetupError(
            f"Installing {', '.join(names)} takes {needed / 1000:.1f} GB of disk, and {VENVS} "
            f"has {free / 1000:.1f} GB left."
        )


def prepare(setup: Setup, extras: Sequence[str]) -> Path:
    """Do every step that is not done yet.

    Args:
        setup: The environment to prepare.
        extras: Entries of REQUIREMENTS to install besides those that running takes.

    Returns:
        The file to source.
    """
    started = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {text}", flush=True)

    check_machine(setup)
    with locked(setup):
        discard_half_done(setup)
        machine = digest(sys.version, setup.python.resolve().as_posix(), setup.folder.as_posix())
        fresh = not is_done(setup, "venv", machine)
        wanted = plan(setup, extras)
        todo = [name for name, key in wanted.items() if fresh or not is_done(setup, name, key)]
        check_disk(setup, todo)
        if fresh:
            tell(f"making a virtual environment in {setup.folder.relative_to(ROOT)}")
            make_venv(setup)
            with step(setup, "venv", machine):
                pass
        for name in todo:
            tell(f"installing {REQUIREMENTS[name].label}")
            with step(setup, name, wanted[name]):
                install(setup, name)
        build_from = build_key()
        build_todo = not is_done(setup, "build", build_from)
        if build_todo:
            tell("building the package")
            with step(setup, "build", build_from):
                build(setup)
        shutil.rmtree(setup.folder / "tmp", ignore_errors=True)
        env = write_env(setup)
    if todo or build_todo:
        tell(f"ready; to use it in a shell: . {env.relative_to(ROOT)}")
    return env

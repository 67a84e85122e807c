# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Every command line and every snippet of the README is run, in its order, on small data.

The lines are taken from the README as they stand and handed to a shell in a scratch folder, where
small data have the names that the README uses. What cannot be there (a camera, a person at the
keys) is replaced, and long trainings are cut short, as `STEPS` says. A line that this file does not
know fails, so that nobody adds one untested.
"""

import contextlib
import csv
import importlib.util
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion_perception.image.demo_clip import demo_frames

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PERSON = "P-017"
MOST_S = 300
"""Seconds that a program may run."""


@dataclass(frozen=True)
class Step:
    """How one line is run.

    Attributes:
        replaced: words of the line that stand for what is not here, and what stands in for them.
        added: options that make it short, or let it go without a person.
        typed: what a person types.
        says: words that its output must have.
        makes: files or folders, as patterns, that must be there afterwards.
        goes: files or folders that must not.
        until: what it prints once it works and waits for Ctrl-C; a file that it holds open then,
            for a program that prints nothing; empty if it ends by itself.
        served: words on the page that it serves.
    """

    replaced: tuple[tuple[str, str], ...] = ()
    added: str = ""
    typed: str = ""
    says: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    goes: tuple[str, ...] = ()
    until: str = ""
    served: str = ""


# The lines of the README in its order; "..." stands for what follows in the README.
STEPS = {
    "display --source 0": Step(
        replaced=(("--source 0", "--source short.mp4"),), says=("frames,", "positive")
    ),
    f"consent {PERSON} --data patients ...": Step(makes=(f"patients/{PERSON}/consent.json",)),
    f"capture {PERSON} 0 --data patients --window": Step(
        replaced=((f"{PERSON} 0", f"{PERSON} demo"),),
        added="--prompts --seconds 1 --countdown 0.2 --min-difference 0",
        typed="\n\n\n\n\n\n", says=("images kept", "Look at"),
        makes=(f"patients/{PERSON}/neutral/*.jpg", f"patients/{PERSON}/labels.csv"),
    ),
    f"finetune {PERSON} --data patients --base-data FER_PLUS": Step(
        # Faces whose class a network can learn in seconds, in place of those just captured.
        replaced=(("--data patients", "--data drawn"),),
        added="--epochs 2 --folds 2 --look-images 0",
        says=("It may be promoted",), makes=(f"models/{PERSON}/0001/model.onnx",),
    ),
    f"models promote {PERSON}": Step(says=("0001 is in use now",)),
    f"models rollback {PERSON}": Step(says=("the base is in use now",)),
    f"forget {PERSON} --data patients": Step(
        typed="y\n", says=("nothing of P-017 is left",),
        goes=(f"patients/{PERSON}", f"models/{PERSON}"),
    ),
    "retention --data patients": Step(says=("Nothing is due.",)),
    f"predict sessions/ --output tables --participant {PERSON}": Step(
        makes=("tables/monday.parquet", "tables/friday.parquet")
    ),
    "events tables/*.parquet": Step(says=("positive",), makes=("tables/monday.events.csv",)),
    f"report tables/*.parquet --patient {PERSON}": Step(makes=("**/*.html",)),
    "playback sessions/monday.mp4 --table tables/monday.parquet": Step(until="sessions/monday.mp4"),
    "review tables/monday.parquet --recording sessions/monday.mp4 --rater R1": Step(
        added="--port 0", until="http://", served="<html"
    ),
    "train --data fer-plus:FER_PLUS --data raf-db:RAF_DB --output models/mine": Step(
        added="--epochs 1 --batch-size 32 --arguments "
        + shlex.quote('{"widths": [8, 16, 24], "depths": [1, 1], "dropout": 0.0}'),
        makes=("models/mine/model.onnx", "models/mine/card.json"),
    ),
    "evaluate --data fer-plus:FER_PLUS --model models/mine --report report": Step(
        says=('"accuracy"',), makes=("report/index.html",)
    ),
    "calibrate --data fer-plus:FER_PLUS --model models/mine": Step(says=("threshold",)),
    "relabel --data affectnet:AFFECTNET --output three-classes": Step(
        makes=("three-classes/**/positive/*", "three-classes/**/negative/*")
    ),
}  # fmt: skip

# What a comment in the README says may be done instead, or too: options that the line has as well.
VARIANTS = {
    "display --source 0": "--no-window",
    "playback sessions/monday.mp4 --table tables/monday.parquet": "--clips moments.mp4",
}
VARIANTS_MAKE = {"--clips moments.mp4": "moments.mp4"}

NEEDS_ROS2CLI = "ros2cli is not in the Python package index; what it starts is run below"
SETS_UP = "sets up a machine or a workspace; the tests of the set-up and of the build do that"
NOT_RUN = {
    "make demo": "test/system/test_demo.py runs the demonstration that it starts",
    "make test": "is what runs this",
    "ROS_DISTRO=kilted make test": "is the same for another distribution",
    "make bench": "takes a quarter of an hour; test/test_benchmarks.py runs its parts",
    "make docs": "test/test_docs_build.py builds the site",
    "cd ~/ws/src": SETS_UP,
    "git clone": SETS_UP,
    "cd ..": SETS_UP,
    "rosdep install": SETS_UP,
    "pip install": SETS_UP,
    "colcon build": "test/system/test_build.py builds the package",
    ". install/setup.bash": SETS_UP,
    "ros2 launch": NEEDS_ROS2CLI,
    "ros2 run": NEEDS_ROS2CLI,
    "ros2 topic": NEEDS_ROS2CLI,
    "ros2 lifecycle": NEEDS_ROS2CLI,
}
RUN_ELSEWHERE = ("make help",)
PROGRAMS = ("emotion-perception", "make", "ros2", "colcon", "rosdep", "pip", "git", "python", "cd",
            "ROS_DISTRO=kilted", ".")  # fmt: skip


def test_blocks_are_of_known_languages():
    """Blocks of others would be looked at by nobody."""
    fences = re.findall(r"^ *```+(.*)$", README, re.MULTILINE)
    assert fences[1::2] == [""] * (len(fences) // 2)
    assert set(fences[::2]) == {"", "python"}


def blocks(language):
    """Return the fenced blocks of a language; "" are those without one."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def shown():
    """Return every command that the README shows, in its order, without comments."""
    commands = []
    fence = r"^```(\w*)\n(.*?)^```$|(?<!`)`([^`\n]+)`(?!`)"
    for language, block, inline in re.findall(fence, README, re.DOTALL | re.MULTILINE):
        lines = [] if language else block.splitlines() or [inline]
        for line in lines:
            commands += [part.strip() for part in line.split("  #")[0].split(" && ")]
    return [
        command
        for command in (re.sub(r"\s+#.*", "", command) for command in commands)
        if " " in command and command.split()[0] in PROGRAMS
    ]


def line_of(key):
    """Return the README's line for a key of STEPS."""
    start = "emotion-perception " + key.removesuffix(" ...")
    found = [
        line
        for line in shown()
        if line == start or (key.endswith("...") and line.startswith(start))
    ]
    assert len(found) == 1, f"the README has {len(found)} times: {start}"
    return found[0]


def test_every_line_is_known():
    known = {line_of(key) for key in STEPS}
    unknown = [
        line
        for line in shown()
        if line not in known
        and line not in RUN_ELSEWHERE
        and not any(line == start or line.startswith(start + " ") for start in NOT_RUN)
    ]
    assert unknown == []
    ours = [line for line in shown() if line.startswith("emotion-perception ")]
    assert ours == [line_of(key) for key in STEPS], "STEPS is not in the README's order"
    for start in NOT_RUN:
        assert start in README, f"{start}: not in the README any more"


# What the commands work on -------------------------------------------------------------------


def drawn_face(label, rng):
    """Return a grey uint8 (48, 48) face whose mouth tells the class."""
    tile = np.full((48, 48), 120, np.uint8)
    x, y = (int(value) for value in rng.integers(-2, 3, 2))
    for eye in (15, 33):
        cv2.circle(tile, (eye + x, 18 + y), 3, 30, -1)
    if label == 1:
        cv2.line(tile, (14 + x, 36 + y), (34 + x, 36 + y), 30, 2)
    else:
        start, end = (180, 360) if label == 0 else (0, 180)
        cv2.ellipse(tile, (24 + x, 36 + y), (10, 6), 0, start, end, 30, 2)
    return np.clip(tile + rng.normal(0, 4, tile.shape), 0, 255).astype(np.uint8)


def write_faces(folder, names, count, rng, size=48):
    """Write drawn faces into class folders, given by their names for the three classes in turn."""
    for index in range(count):
        name = names[index % 3]
        (folder / name).mkdir(parents=True, exist_ok=True)
        face = cv2.resize(drawn_face(index % 3, rng), (size, size))
        assert cv2.imwrite(str(folder / name / f"{PERSON}_idx{index}.png"), face)


def write_fer_plus(folder, count, rng):
    """Write drawn faces in the layout of FER+, half of them to train on."""
    votes = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
             "unknown", "NF"]  # fmt: skip
    (folder / "sheets").mkdir(parents=True)
    sheet = np.zeros((1536, 1536), np.uint8)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "row", "name", "usage", *votes, "unique_keep"])
        for index in range(count):
            row, column = divmod(index, 32)
            sheet[row * 48 :, column * 48 :][:48, :48] = drawn_face(index % 3, rng)
            given = [0] * 10
            given[(3, 0, 1)[index % 3]] = 10
            usage = ("Training", "Training", "PublicTest", "PrivateTest")[index // 3 % 4]
            writer.writerow([index, index, f"fer{index:07d}.png", usage, *given, 1])
    assert cv2.imwrite(str(folder / "sheets" / "sheet_000.png"), sheet)


def write_film(path, frames, fps):
    """Write BGR frames as a video."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (640, 480))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame)
    writer.release()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A folder with everything that the README's commands name."""
    for needed in ("lightning", "pyarrow"):  # not imported: that takes seconds
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed}, for training or for recorded sessions, is not installed")
    folder = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    write_fer_plus(folder / "FER_PLUS", 240, rng)
    for split in ("train", "test"):
        # RAF-DB numbers its emotions: 4 happiness, 5 sadness, 7 neutral; the others stay empty.
        write_faces(folder / "RAF_DB" / split, ("5", "7", "4"), 24, rng, size=100)
        for number in range(1, 8):
            (folder / "RAF_DB" / split / str(number)).mkdir(exist_ok=True)
    write_faces(folder / "AFFECTNET", ("sad", "neutral", "happy"), 12, rng, size=96)
    write_faces(folder / "drawn" / PERSON, ("negative", "neutral", "positive"), 90, rng)
    frames = list(demo_frames(5.0))
    (folder / "sessions").mkdir()
    write_film(folder / "sessions" / "monday.mp4", frames, 5)
    write_film(folder / "sessions" / "friday.mp4", frames[:25], 5)
    write_film(folder / "short.mp4", frames[:8], 5)
    write_film(folder / "smile.mp4", frames[:21], 5)  # one person, who smiles
    return folder


@pytest.fixture(scope="module")
def environment(scratch):
    """No screen, a home of its own, and the installed command first."""
    home = scratch / "home"
    home.mkdir()
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY")
    }
    return kept | {
        "PATH": programs, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_DATA_HOME": str(home / "data"), "SDL_VIDEODRIVER": "dummy",
        "EMOTION_PERCEPTION_PATIENTS": str(scratch / "models"),
        "OMP_NUM_THREADS": "1",  # such small networks are faster so where other tests run too
    }  # fmt: skip


@contextlib.contextmanager
def running(line, scratch, environment):
    """Start a line in a shell; end it, and all that it started, whatever happens."""
    child = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {line}"], cwd=scratch, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        # A shell that starts the tests in the background lets all of this ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    # Whoever reads what it prints waits for no longer.
    watchdog = threading.Timer(MOST_S, child.kill)
    watchdog.start()
    try:
        yield child
    finally:
        watchdog.cancel()
        child.kill()
        child.communicate()


def run(line, step, scratch, environment):
    """Run a line to its end and return what it printed."""
    with running(line, scratch, environment) as child:
        told = ""
        if step.until.startswith("http"):
            for text in child.stdout:
                told += text
                if step.until in text:
                    break
            address = re.search(r"http://\S+", told)
            assert address, told
            page = urllib.request.urlopen(address[0], timeout=20).read().decode()
            assert step.served in page
            child.send_signal(signal.SIGINT)
        elif step.until:
            wait_until_open(child, scratch / step.until)
            child.send_signal(signal.SIGINT)
        told += child.communicate(step.typed or None, timeout=MOST_S)[0]
    # Ctrl-C ends a program well, or with the status that shells give it.
    assert child.returncode in ((0, 130) if step.until else (0,)), f"{line}\n{told}"
    assert "Traceback" not in told
    return told


def wait_until_open(child, path):
    """Wait until a process holds a file open."""
    open_files = Path(f"/proc/{child.pid}/fd")
    deadline = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < deadline:
        for link in list(open_files.iterdir()):
            try:
                if link.resolve() == path.resolve():
                    return
            except OSError:
                continue  # closed meanwhile
        time.sleep(0.05)
    raise AssertionError(f"{path.name} was not opened: {child.poll()}")


def test_the_commands_in_the_readme(scratch, environment):
    for key, step in STEPS.items():
        line = line_of(key)
        for old, new in step.replaced:
            assert old in line
            line = line.replace(old, new)
        variants = [f"{line} {step.added}".strip()]
        if key in VARIANTS:
            option = VARIANTS[key]
            assert option.split()[0] in README
            variants.append(f"{line} {option}")
        for number, variant in enumerate(variants):
            told = run(variant, step if number == 0 else Step(), scratch, environment)
            for words in step.says:
                assert words in told, f"{variant}\n{told}"
        if (made := VARIANTS_MAKE.get(VARIANTS.get(key, ""))) is not None:
            film = cv2.VideoCapture(str(scratch / made))
            assert film.read()[0], f"{line} {VARIANTS[key]}: made no video"
        for pattern in step.makes:
            assert list(scratch.glob(pattern)), f"{line}: made no {pattern}"
        for path in step.goes:
            assert not (scratch / path).exists(), f"{line}: left {path}"


# The snippets --------------------------------------------------------------------------------


def test_the_notebook_snippet(scratch, environment):
    (snippet,) = [block for block in blocks("python") if "ReactionPipeline" in block]
    for words in (
        "pipeline.classify(crops)",
        "pipeline.run_many(shots)",
        "pipeline.draw(frame, reactions)",
    ):
        assert f"`{words}`" in README
    program = (
        "import cv2\nimport numpy as np\n"
        "frame_bgr = frame = cv2.VideoCapture('short.mp4').read()[1]\n" + snippet + "\n"
        "assert len(reactions) == 1 and reactions[0].reaction.name == 'POSITIVE', reactions\n"
        "from emotion_perception.pipeline import Shot\n"
        "x, y, right, bottom = (max(0, int(side)) for side in reactions[0].face.box)\n"
        "assert len(pipeline.classify([frame[y:bottom, x:right]])) == 1\n"
        "assert len(pipeline.run_many([Shot(frame, 0.0), Shot(frame, 0.0, 'back')])) == 2\n"
        "assert pipeline.draw(frame, reactions).shape == frame.shape\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=scratch, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def executable(name):
    """Return what `ros2 run emotion_perception NAME` starts."""
    from ament_index_python.packages import get_package_prefix

    path = Path(get_package_prefix("emotion_perception")) / "lib" / "emotion_perception" / name
    assert path.stat().st_mode & stat.S_IXUSR
    return path


def test_the_behaviour_and_what_ros2_run_starts(scratch, environment, domain_id):
    """The README's behaviour, the two executables that it names, and a camera, as processes."""
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    names = {line.split()[3] for line in shown() if line.startswith("ros2 run emotion_perception ")}
    assert names == {"reaction_node", "joke_behaviour"}
    (snippet,) = [block for block in blocks("python") if "ActionClient" in block]
    with_domain = environment | {"ROS_DOMAIN_ID": str(domain_id)}
    camera = f"{executable('video_source_node')} --ros-args -p source:=smile.mp4 -p loop:=true"
    node = f"{executable('reaction_node')} --ros-args -p autostart:=true"
    jokes = f"{executable('joke_behaviour')} --ros-args -p jokes:=1 -p window:=1.0 -p pause:=0.1"
    with running(node, scratch, with_domain) as judge, running(camera, scratch, with_domain):
        for line in judge.stdout:
            if "active: images from" in line:
                break
        else:
            raise AssertionError("the reaction node did not become active")
        (scratch / "behaviour.py").write_text(snippet)
        line = f"{shlex.quote(sys.executable)} behaviour.py"
        told = run(line, Step(), scratch, with_domain)
        assert told.startswith("received positively"), told
        assert "1 joke(s) told" in run(jokes, Step(), scratch, with_domain)


def test_the_launch_arguments_in_the_readme():
    """`ros2 launch` lines name files and arguments that are there."""
    for line in shown():
        if not line.startswith("ros2 launch "):
            continue
        file, *arguments = line.split()[3:]
        assert (ROOT / "launch" / file).is_file()
        assert arguments or "demo" in file
    files = [*(ROOT / "launch").glob("*.py"), ROOT / "emotion_perception/nodes/launch_arguments.py"]
    known = {name for file in files for name in re.findall(r'"([a-z_]+)"', file.read_text())}
    parameters = {row.split("`")[1] for row in README.splitlines() if row.startswith("| `")}
    assert set(re.findall(r"([a-z_]+):=", README)) <= known | parameters


def test_make_help_names_what_the_readme_names():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for line in shown():
        if "make " in line:
            target = line.split("make ")[1].split()[0]
            assert f"make {target}" in done.stdout or target == "help"

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Builds the package as a robot does, and installs it as a workstation without ROS 2 does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = (".*", "__pycache__", "build", "install", "log", "demo_output", "runs", "*.egg-info")

CHECK = """
from emotion_perception.action import ObserveReaction
from emotion_perception.msg import FaceReaction, FaceReactionArray, UserReaction
from emotion_perception.srv import LoadPatientModel
import emotion_perception

reaction = UserReaction()
assert reaction.reaction == UserReaction.UNKNOWN == 0
assert (UserReaction.NEGATIVE, UserReaction.NEUTRAL, UserReaction.POSITIVE) == (1, 2, 3)
assert reaction.reason == UserReaction.REASON_NONE == 0
assert UserReaction.REASON_NO_FACE == 1
assert UserReaction.REASON_LOW_CONFIDENCE == 2
assert UserReaction.REASON_LOW_QUALITY == 3
assert UserReaction.REASON_NOT_LOOKED == 4
assert len(FaceReaction().landmarks) == 10
assert FaceReactionArray().faces == []
assert ObserveReaction.Result().verdict.reaction == UserReaction.UNKNOWN
assert not LoadPatientModel.Response().success
print(emotion_perception.__file__)
"""


@pytest.fixture
def source(tmp_path):
    """A copy of the checkout, as `git clone` puts it into a workspace."""
    copy = tmp_path / "ws" / "src" / "emotion_perception"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    return copy


def run(*command, **options):
    done = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("options", [[], ["--symlink-install"]], ids=["copied", "symlinked"])
def test_colcon_build(source, options):
    if shutil.which("colcon") is None or not os.environ.get("AMENT_PREFIX_PATH"):
        pytest.skip("needs ROS 2 and colcon")
    ws = source.parents[1]
    assert "(ros.ament_cmake)" in run("colcon", "list", cwd=ws)
    run("colcon", "build", *options, cwd=ws)

    prefix = ws / "install" / "emotion_perception"
    script = '. "$0" && exec "$@"'
    inside = ["bash", "-c", script, ws / "install" / "setup.bash"]
    # Elsewhere, so that the copy in the source tree is not found first.
    imported = Path(run(*inside, sys.executable, "-c", CHECK, cwd=prefix).splitlines()[-1])
    assert prefix in imported.parents
    assert imported.is_symlink() == bool(options)

    share = prefix / "share" / "emotion_perception"
    for folder in ("config", "examples", "launch", "models"):
        for file in (source / folder).rglob("*"):
            assert (share / file.relative_to(source)).exists(), file
    for executable in (source / "bin").iterdir():
        installed = prefix / "lib" / "emotion_perception" / executable.name
        assert os.access(installed, os.X_OK)
    shown = run(*inside, prefix / "lib" / "emotion_perception" / "emotion-perception", "--help")
    assert "Usage" in shown


def test_pip_install(source, tmp_path):
    target = tmp_path / "target"
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", target]
    run(sys.executable, "-m", "pip", "install", *options, source)

    env = {**os.environ, "PYTHONPATH": str(target)}
    shown = run(sys.executable, "-m", "emotion_perception.cli", "--help", cwd=target, env=env)
    assert "Usage" in shown
    for file in (source / "models").rglob("*"):
        installed = target / "share" / "emotion_perception" / file.relative_to(source)
        assert installed.exists(), file
    assert (target / "bin" / "emotion-perception").is_file()

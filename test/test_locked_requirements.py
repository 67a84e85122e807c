# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What make installs is pinned by hashes, and is what the requirement files ask for."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import bootstrap_locks
import bootstrap_steps
from bootstrap_machine import SetupError

LOCKED = sorted((ROOT / "requirements" / "locked").glob("*.txt"))
PIN = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(text):
    """The requirements of a locked file: name, version, marker and hashes of each."""
    for block in re.split(r"\n(?=\S)", "\n".join(x for x in text.splitlines() if x[:1] != "#")):
        if block.strip():
            head, *hashes = [part.strip(" \\") for part in block.strip().splitlines()]
            pin = PIN.match(head)
            assert pin, f"not pinned: {head}"
            yield normal(pin[1]), pin[2], head.partition(";")[2].strip(), hashes


@pytest.mark.parametrize("file", LOCKED, ids=lambda path: path.name)
def test_every_package_has_hashes_and_no_address(file):
    text = file.read_text()
    assert not re.search(r"https?://|file:|index-url|find-links|trusted-host", text)
    found = list(entries(text))
    assert found
    for name, version, _, hashes in found:
        assert hashes, (name, version)
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), name


@pytest.mark.parametrize("file", LOCKED, ids=lambda path: path.name)
def test_locked_file_has_what_its_requirement_file_pins(file):
    locked = {(name, version) for name, version, _, _ in entries(file.read_text())}
    for line in (ROOT / "requirements" / file.name).read_text().splitlines():
        if line and not line.startswith("#"):
            pin = PIN.match(line)
            assert pin, line
            assert (normal(pin[1]), pin[2]) in locked, line


def test_files_agree_on_versions():
    """All groups go into one environment; each ROS 2 is locked by itself."""
    for python in ("3.10", "3.11", "3.12", "3.13"):
        chosen = {}
        for file in LOCKED:
            if file.name.startswith("ros-"):
                continue
            for name, version, marker, _ in entries(file.read_text()):
                if applies(marker, python):
                    assert chosen.setdefault(name, version) == version, (name, python, file.name)


def applies(marker, python):
    packaging = pytest.importorskip("packaging.markers")
    told = {
        "python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux",
        "platform_machine": "x86_64", "platform_python_implementation": "CPython",
        "implementation_name": "cpython", "platform_system": "Linux", "os_name": "posix",
    }  # fmt: skip
    return not marker or packaging.Marker(marker).evaluate(told)


def test_every_group_is_locked_and_current():
    for group in bootstrap_steps.REQUIREMENTS.values():
        for name in (*group.files, *group.complete):
            assert bootstrap_locks.is_current(name), f"{name}: run scripts/lock.py"


def test_a_changed_requirement_file_is_refused_until_it_is_locked(tmp_path, monkeypatch):
    folder = tmp_path / "requirements"
    (folder / "locked").mkdir(parents=True)
    for name in ("docs.txt", "constraints.txt"):
        (folder / name).write_bytes((ROOT / "requirements" / name).read_bytes())
    monkeypatch.setattr(bootstrap_locks, "REQUIREMENTS", folder)
    monkeypatch.setattr(bootstrap_locks, "LOCKED", folder / "locked")
    with pytest.raises(SetupError, match=r"docs\.txt .* scripts/lock\.py"):
        bootstrap_locks.locked_file("docs.txt")
    (folder / "locked" / "docs.txt").write_text(bootstrap_locks.lock_header("docs.txt") + "a==1\n")
    assert bootstrap_locks.locked_file("docs.txt").is_file()
    (folder / "docs.txt").write_text("other==1\n")
    with pytest.raises(SetupError, match=r"docs\.txt"):
        bootstrap_locks.locked_file("docs.txt")


def test_pip_refuses_a_package_of_another_hash(tmp_path):
    """With a wheel made here, so that nothing is fetched."""
    wheel = tmp_path / "tiny_thing-1.0-py3-none-any.whl"
    import zipfile

    with zipfile.ZipFile(wheel, "w") as archive:
        info = "tiny_thing-1.0.dist-info"
        archive.writestr("tiny_thing.py", "")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    asked = tmp_path / "wanted.txt"
    asked.write_text(f"tiny-thing==1.0 --hash=sha256:{'0' * 64}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-index", "--find-links", tmp_path,
         "--target", tmp_path / "there", "--no-deps", "--require-hashes", "-r", asked],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stdout + done.stderr
    assert not (tmp_path / "there").exists()

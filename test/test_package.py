# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the files that describe the package say about each other."""

import configparser
import importlib.util
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import emotion_perception

ROOT = Path(__file__).resolve().parent.parent
PYTHON_VERSIONS = ("3.10", "3.11", "3.12", "3.13")
NOT_FOR = {"3.10": {"atheris"}}
PIN_FILES = sorted((ROOT / "requirements").glob("*.txt"))
EXECUTABLES = sorted((ROOT / "bin").iterdir())


def read_pins(file: Path) -> list[Requirement]:
    lines = file.read_text().splitlines()
    pins = [line.removesuffix("\\") for line in lines if line and not line.startswith(("#", " "))]
    return [Requirement(pin) for pin in pins]


def test_one_version():
    package = ElementTree.parse(ROOT / "package.xml").findtext("version")
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert package == config["metadata"]["version"] == emotion_perception.__version__


@pytest.mark.parametrize("file", PIN_FILES, ids=lambda file: file.name)
def test_each_python_gets_exactly_one_version_of_each_pin(file):
    pins = read_pins(file)
    for version in PYTHON_VERSIONS:
        applying = [
            pin
            for pin in pins
            if not pin.marker or pin.marker.evaluate({"python_version": version})
        ]
        names = {pin.name for pin in pins} - NOT_FOR.get(version, set())
        assert sorted(pin.name for pin in applying) == sorted(names)
        for pin in applying:
            assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin


def test_constraints_pin_nothing_twice():
    pinned = [{pin.name for pin in read_pins(file)} for file in PIN_FILES if "ros" not in file.name]
    assert sum(map(len, pinned)) == len(set().union(*pinned))


def test_each_source_file_states_copyright_and_licence():
    kinds = ("*.py", "*.msg", "*.srv", "*.action", "*.cpp", "*.css", "CMakeLists.txt", "Makefile")
    skipped = {"build", "install", "log", "site", "corpus", "__pycache__"}
    files = [
        file
        for kind in kinds
        for file in ROOT.rglob(kind)
        if not skipped.intersection(parts := file.relative_to(ROOT).parts[:-1])
        and not any(part.startswith(".") for part in parts)
    ]
    assert len(files) > 400
    lacking = [
        str(file.relative_to(ROOT))
        for file in [*files, *EXECUTABLES, ROOT / ".ci" / "run"]
        if "Copyright 2026 the emotion_perception maintainers" not in (text := file.read_text())
        or "SPDX-License-Identifier: Apache-2.0" not in text
    ]
    assert lacking == []


def test_cmake_installs_each_executable():
    listed = re.search(r"foreach\(executable (.*)\)", (ROOT / "CMakeLists.txt").read_text())
    assert listed
    assert sorted(listed[1].split()) == [file.name for file in EXECUTABLES]


def test_cmake_generates_each_interface():
    text = (ROOT / "CMakeLists.txt").read_text()
    interfaces = [path for kind in ("msg", "srv", "action") for path in ROOT.glob(f"{kind}/*")]
    assert sorted(re.findall(r"(?:msg|srv|action)/\w+\.\w+", text)) == sorted(
        path.relative_to(ROOT).as_posix() for path in interfaces
    )


@pytest.mark.parametrize("file", EXECUTABLES, ids=lambda file: file.name)
def test_executable_names_a_module_with_a_main(file):
    assert os.access(file, os.X_OK)
    text = file.read_text()
    assert text.startswith("#!/usr/bin/env python3\n")
    module = re.search(r"^from (emotion_perception\S*) import main$", text, re.MULTILINE)
    assert module
    spec = importlib.util.find_spec(module[1])
    if spec is None:
        pytest.skip(f"{module[1]} does not exist yet")
    assert spec.origin
    assert re.search(r"^def main\(", Path(spec.origin).read_text(), re.MULTILINE)

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Every command that the documents show exists, with its options."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from emotion_perception.cli import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def _shown():
    """Yield each shown command line."""
    for document in DOCUMENTS:
        text = document.read_text().replace("\\\n", " ")
        for line in re.findall(r"`?(emotion-perception [a-z][^`\n#]*)", text):
            if "|" not in line:
                yield pytest.param(line.strip(), id=f"{document.name}: {line.strip()[:60]}")


def test_commands_are_found():
    assert len(list(_shown())) > 20


@pytest.mark.parametrize("line", list(_shown()))
def test_command_and_options_exist(line):
    command = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while hasattr(command, "commands") and words:
        name = words.pop(0)
        assert name in command.commands, f"no command {name}"
        command = command.commands[name]
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, f"{command.name} has no {word}"

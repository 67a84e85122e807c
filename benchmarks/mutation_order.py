"""A pytest plugin for mutation testing: quick tests first, so that a mutant soon meets its end."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

STATISTICS = Path("mutmut-stats.json")  # where mutmut keeps how long each test takes
SLOW_IMPORTS = ("torch", "lightning")


def pytest_configure(config: Any) -> None:
    """Import once, in the process that all others are forked from, what tests of images import."""
    if any(argument.startswith("test/image") for argument in config.args):
        for name in SLOW_IMPORTS:
            importlib.import_module(name)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Sort by the time that a test took on the unchanged code."""
    if STATISTICS.exists():
        seconds = json.loads(STATISTICS.read_text("utf-8"))["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))

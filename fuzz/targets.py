# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""All targets, each imported only when it is asked for: atheris must see the import."""

from __future__ import annotations

import importlib
from typing import Final

from fuzz.target import Target

MODULES: Final = {
    "image": "images",
    "compressed": "images",
    "image-file": "images",
    "model-card": "models",
    "emotion-card": "models",
    "checkpoint": "models",
    "network-file": "models",
    "onnx": "models",
    "enrolment": "patients",
    "consent": "patients",
    "registry": "patients",
    "labels": "labels",
    "spans": "labels",
    "fer-csv": "labels",
    "actions": "sessions",
    "events": "sessions",
    "ratings": "sessions",
    "table": "sessions",
    "state": "sessions",
    "bag": "recordings",
    "video": "recordings",
    "clip": "recordings",
    "parameters": "parameters",
}
"""Target to module of this package."""

PLANTED: Final = tuple(
    f"planted-{fault}" for fault in ("exception", "crash", "slow", "silence", "memory", "nothing")
)
"""Targets that try the runner itself."""

GROUPS: Final = {"decode": ("image", "compressed")}
"""Names for several."""


def load(name: str) -> Target:
    """Import a target.

    Raises:
        KeyError: there is none of this name.
    """
    module = importlib.import_module(f"fuzz.{'planted' if name in PLANTED else MODULES[name]}")
    found = [target for target in module.TARGETS if target.name == name]
    assert len(found) == 1, name
    return found[0]

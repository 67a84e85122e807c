# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Where the shipped models are."""

from __future__ import annotations

import os
from pathlib import Path

from emotion_perception.faces.model_files import ModelError

MODELS_VARIABLE = "EMOTION_PERCEPTION_MODELS"
"""Environment variable with a folder that is searched before the shipped models."""


def find_model(name: str) -> Path:
    """Find a model by name, in a checkout as well as in an installed package.

    Searched in this order: the folder in ``$EMOTION_PERCEPTION_MODELS``; ``models`` beside the
    package, as in the repository; ``share/emotion_perception/models`` under every folder above
    the package, which is where colcon and pip put data files.

    Args:
        name: folder (or file) name of the model, such as ``face-mtcnn``.

    Returns:
        Its path.

    Raises:
        ModelError: it is in none of these places; the message lists them.
    """
    chosen = os.environ.get(MODELS_VARIABLE)
    places = [Path(chosen).expanduser()] if chosen else []
    places += [place / "models" for place in _shared_places()]
    for place in places:
        if (place / name).exists():
            return place / name
    looked = ", ".join(str(place) for place in places)
    raise ModelError(
        f"model {name!r} not found; set {MODELS_VARIABLE} to the folder that holds it"
        f" (looked in: {looked})"
    )


def find_shared(name: str) -> Path:
    """Find a file that is installed with the package, such as ``msg/UserReaction.msg``.

    Raises:
        FileNotFoundError: the installation is incomplete.
    """
    for place in _shared_places():
        if (place / name).exists():
            return place / name
    raise FileNotFoundError(f"{name}: not found; the installation of emotion_perception lacks it")


def _shared_places() -> list[Path]:
    """Return where files of the package may lie: the checkout, then what was installed."""
    # Not resolved: with a symlinked install the files lead back to the source tree, and the
    # prefix that holds the installed models would be lost.
    package = Path(__file__).absolute().parent
    installed = [parent / "share" / "emotion_perception" for parent in package.parents]
    return [package.parent, *installed]

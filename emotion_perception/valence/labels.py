# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The three valence classes, and how discrete emotions collapse to them."""

from __future__ import annotations

from typing import Final

CLASSES: Final = ("negative", "neutral", "positive")
"""Order of every probability vector in this project."""

NEGATIVE, NEUTRAL, POSITIVE = range(3)

DROPPED: Final = -1
"""Target of the emotions that say nothing of valence; such images are left out."""

EMOTION_TO_VALENCE: Final[dict[str, int]] = {
    "happiness": POSITIVE,
    "neutral": NEUTRAL,
    "sadness": NEGATIVE,
    "fear": NEGATIVE,
    "disgust": NEGATIVE,
    "anger": NEGATIVE,
    "contempt": NEGATIVE,
    "surprise": DROPPED,
    "unknown": DROPPED,
    "no-face": DROPPED,
}

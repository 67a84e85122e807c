# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Trying somebody's network of emotions: run in a process of its own, by `import_network`."""

from __future__ import annotations

import sys
from pathlib import Path

from emotion_perception.apart import answer


def kind_of_output(network_file: Path, card_file: Path) -> str:
    """Return what a network's outputs are, as `emotions.output_kind` tells it.

    Raises:
        ModelError: if it cannot be used, or does not fit its card.
    """
    from emotion_perception.valence.emotion_card import read_emotion_card
    from emotion_perception.valence.emotions import EmotionNetwork, output_kind

    card = read_emotion_card(card_file)
    return output_kind(EmotionNetwork(card, network_file, threads=1).trial())


if __name__ == "__main__":
    sys.exit(answer(kind_of_output))

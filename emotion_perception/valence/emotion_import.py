# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Making a checkpoint folder of somebody's ONNX file and the card of its network."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Final

from emotion_perception.apart import try_apart
from emotion_perception.faces.model_files import ModelError, sha256_of
from emotion_perception.faces.network_file import check_network_file
from emotion_perception.limited_files import read_json
from emotion_perception.models import find_model
from emotion_perception.valence.checkpoint import CARD_FILE, ONNX_FILE
from emotion_perception.valence.emotion_card import (
    EmotionCard,
    load_emotion_card,
    read_emotion_card,
)
from emotion_perception.valence.emotions import EmotionModel

TRIAL: Final = "emotion_perception.valence.trial"
NETWORKS: Final = "networks"
"""Folder of the cards without weights, among the shipped models."""


def known_networks() -> dict[str, Path]:
    """Return the cards that come with the package, by the name of their network."""
    return {path.parent.name: path for path in sorted(find_model(NETWORKS).glob(f"*/{CARD_FILE}"))}


def card_of(network: str) -> Path:
    """Return the card of a network by its name, or a card of one's own by its path.

    Raises:
        ModelError: if there is none; the message lists the known ones.
    """
    known = known_networks()
    if network in known:
        return known[network]
    own = Path(network).expanduser()
    if own.is_dir():
        own /= CARD_FILE
    if own.is_file():
        return own
    raise ModelError(
        f"{network}: no such network; expected {', '.join(known)}, or the path of a card of your "
        "own (docs/networks.md)"
    )


def import_network(card_file: Path, network_file: Path, folder: Path) -> EmotionCard:
    """Make a checkpoint folder that the pipeline can load.

    The network is run a few times, first in a process of its own, so that a file that does not fit
    its card, or breaks what runs it, is refused now and not on the robot. Whether the softmax is
    part of the file is seen there, and noted in the folder's card, whatever the card without
    weights says.

    Args:
        card_file: card of the network.
        network_file: its weights, one ONNX file; it is copied.
        folder: to be made; must not exist.

    Returns:
        The card of the new folder.

    Raises:
        ModelError: if card or network cannot be used, or do not fit each other.
        FileExistsError: if the folder exists; weights are never overwritten.
        OSError: if the folder cannot be written.
    """
    read_emotion_card(card_file)
    told = read_json(card_file)
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; choose another --output")
    check_network_file(network_file)  # the trial does so too, but what is no network needs none
    told["output"] = try_apart(TRIAL, network_file, card_file)
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        shutil.copyfile(network_file, work / ONNX_FILE)
        told["files"] = {ONNX_FILE: sha256_of(work / ONNX_FILE)}
        text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
        (work / CARD_FILE).write_text(text, encoding="utf-8")
        EmotionModel(load_emotion_card(work), threads=1)
        work.chmod(0o755)
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return load_emotion_card(folder)

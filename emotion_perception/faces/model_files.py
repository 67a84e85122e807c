# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Shipped model files: checked against the hashes of their card before anything loads them."""

from __future__ import annotations

import hashlib
import re
import stat
from pathlib import Path
from typing import Any, Final

from emotion_perception.limited_files import BriefError, read_json

MOST_BYTES: Final = 2 << 30
"""Of one file that a card names."""


class ModelError(BriefError):
    """A model is missing, damaged or of the wrong kind; the message says which and what to do."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 lower-case hex digits.

    Raises:
        OSError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_card(directory: Path, card_name: str = "card.json") -> dict[str, Any]:
    """Read a model card without touching the weights.

    Args:
        directory: folder of the model.
        card_name: file name of the card; a JSON object whose ``files`` maps each file name to
            the SHA-256 of that file.

    Returns:
        The card.

    Raises:
        ModelError: no card there, no JSON object in it, or no usable ``files`` entry.
    """
    path = directory / card_name
    try:
        card: dict[str, Any] = read_json(path)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot read the model card ({error.strerror}); {_REPAIR}"
        ) from error
    except ValueError as error:
        raise ModelError(
            f"{path}: the model card is not valid JSON ({error}); {_REPAIR}"
        ) from error
    files = card.get("files") if isinstance(card, dict) else None
    if not isinstance(files, dict) or not files:
        raise ModelError(f"{path}: expected an object 'files' of name: sha256; {_REPAIR}")
    for name, digest in files.items():
        if not _is_file_name(name) or not isinstance(digest, str):
            raise ModelError(
                f"{path}: files: expected plain file names with a hash, got {name!r}: {digest!r}"
            )
    return card


def _is_file_name(name: str) -> bool:
    """Whether a file can be called so; JSON may hold halves of characters, and NUL."""
    return Path(name).name == name and "\0" not in name and not _HALF.search(name)


def verify_files(directory: Path, card_name: str = "card.json") -> dict[str, Any]:
    """Check every file that a model card names.

    A truncated download or a Git LFS pointer would otherwise surface as an obscure parser error,
    and a swapped file as wrong results.

    Args:
        directory: folder of the model.
        card_name: file name of the card, see `read_card`.

    Returns:
        The card.

    Raises:
        ModelError: the card is unusable, or a file is missing or differs from its hash.
    """
    card = read_card(directory, card_name)
    for name, expected in card["files"].items():
        path = directory / name
        try:
            told = path.stat()
            if not stat.S_ISREG(told.st_mode) or told.st_size > MOST_BYTES:
                raise ModelError(
                    f"{path}: expected an ordinary file of at most {MOST_BYTES / 1e9:.1f} GB;"
                    f" {_REPAIR}"
                )
            actual = sha256_of(path)
        except OSError as error:
            raise ModelError(
                f"{path}: cannot read the model file ({error.strerror}); {_REPAIR}"
            ) from error
        if actual != expected.lower():
            raise ModelError(
                f"{path}: sha256 is {actual[:12]}..., expected {expected[:12]}... as in"
                f" {card_name}; {_REPAIR}"
            )
    return card


_HALF = re.compile("[\ud800-\udfff]")
_REPAIR = "restore the model folder; the shipped ones come with the package"

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Texts in CSV files that people open in a spreadsheet.

A cell that begins with one of a few characters is taken for a formula there, which may fetch an
address or start a program. Such a text gets an apostrophe in front, which spreadsheets take for
"this is a text"; our readers take it off again. Numbers are left alone.
"""

from __future__ import annotations

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def guard(text: str) -> str:
    """Return a text as it is safe in a cell.

    Example:
        >>> guard("=1+1"), guard("-0.5"), guard("joke")
        ("'=1+1", '-0.5', 'joke')
    """
    # What has apostrophes in front already gets one more, so that each text comes back.
    bare = text.lstrip("'")
    if not bare.startswith(_FORMULA) or _is_number(text):
        return text
    return f"'{text}"


def unguard(text: str) -> str:
    """Return what `guard` was given."""
    return text[1:] if text.startswith("'") and text.lstrip("'").startswith(_FORMULA) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

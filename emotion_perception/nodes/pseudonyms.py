"""Keeps patients' pseudonyms out of the log and the diagnostics, which many people read and keep.

Where the pseudonym is the point, in ``patient_id`` of the messages and in answers to whoever named
the patient, it stays.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

HIDDEN: Final = "<patient>"

_MOST: Final = 32


class Pseudonyms:
    """Knows what patients were called lately and takes that out of texts.

    Example:
        >>> known = Pseudonyms()
        >>> known.note("P-017")
        >>> known.hide("/models/P-017/0001: damaged")
        '/models/<patient>/0001: damaged'
    """

    def __init__(self) -> None:
        self._known: deque[str] = deque(maxlen=_MOST)

    def note(self, name: object) -> None:
        """Remember what somebody gave as a patient's pseudonym, valid or not; empty is nobody."""
        text = "" if name is None else str(name)
        if name and text not in self._known:
            self._known.append(text)

    def hide(self, text: str) -> str:
        """Return a text without the pseudonyms, in which other words stay whole."""
        if not self._known:
            return text
        longest_first = sorted(self._known, key=len, reverse=True)
        either = "|".join(map(re.escape, longest_first))
        return re.sub(rf"(?<![A-Za-z0-9])(?:{either})(?![A-Za-z0-9])", HIDDEN, text)

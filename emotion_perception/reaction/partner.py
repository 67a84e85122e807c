# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Whom the robot is dealing with: one of the faces in view, by a rule that the robot chooses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STRATEGIES: Final = ("largest", "centre", "locked", "face_id", "enrolled")
"""largest: the largest face; centre: the one nearest to the middle of the image; locked: the
largest, kept until gone; face_id: the one that was named; enrolled: the patient."""


@dataclass(frozen=True, kw_only=True)
class PartnerOptions:
    """How the partner is chosen.

    Attributes:
        strategy: one of STRATEGIES.
        face_id: whom ``face_id`` names.
        patience: seconds for which a locked partner may be unseen.
        margin: a face must be so many times as large, or as near to the middle, as the partner
            to take over; keeps two alike from taking turns.
    """

    strategy: str = "largest"
    face_id: str = ""
    patience: float = 3.0
    margin: float = 1.15

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(
                f"partner strategy: expected one of {', '.join(STRATEGIES)}, got {self.strategy!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A face in view.

    Attributes:
        face_id: whose.
        area: of its box inside the frame, pixels.
        offset: distance of its middle from that of the frame, in half widths of the frame.
        alive: False for what seems to be a picture of a face.
        likeness: to the enrolled patient, -1 to 1; NaN if nobody is enrolled.
        is_patient: whether that is enough.
    """

    face_id: str
    area: float
    offset: float
    alive: bool = True
    likeness: float = math.nan
    is_patient: bool = False


class PartnerChooser:
    """Chooses the partner frame by frame.

    Args:
        options: how.
    """

    def __init__(self, options: PartnerOptions | None = None) -> None:
        self.options = options or PartnerOptions()
        self._partner = ""
        self._seen = -math.inf

    def choose(self, candidates: Sequence[Candidate], stamp: float) -> str:
        """Return the face_id of the partner, or nothing if none of these is.

        Args:
            candidates: the faces of this frame.
            stamp: its time, seconds.
        """
        options = self.options
        by_id = {candidate.face_id: candidate for candidate in candidates}
        if options.strategy == "face_id":
            return options.face_id if options.face_id in by_id else ""
        if options.strategy == "enrolled":
            known = [candidate for candidate in candidates if candidate.is_patient]
            best = max(known, key=lambda c: c.likeness, default=None)
            return best.face_id if best else ""
        if stamp < self._seen:
            self._partner = ""
        if options.strategy == "locked" and self._partner:
            if self._partner in by_id:
                self._seen = stamp
                return self._partner
            if stamp - self._seen <= options.patience:
                return ""
        # A poster is nobody to talk to while somebody is there.
        real = [candidate for candidate in candidates if candidate.alive] or list(candidates)
        if not real:
            return ""
        best = max(real, key=self._merit)
        for held in real:
            if held.face_id == self._partner and (
                self._merit(best) < options.margin * self._merit(held)
            ):
                best = held
        self._partner, self._seen = best.face_id, stamp
        return self._partner

    def _merit(self, candidate: Candidate) -> float:
        if self.options.strategy == "centre":
            return 1 / (0.05 + candidate.offset)
        return candidate.area

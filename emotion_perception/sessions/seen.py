# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the table of a session says of each frame, as playback draws it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face
from emotion_perception.reaction.reaction import FaceReaction, Reaction, Reason
from emotion_perception.sessions.event_summary import EVERYBODY, PARTNER
from emotion_perception.sessions.events import frame_seconds
from emotion_perception.sessions.table import (
    PROBABILITIES,
    REACTIONS,
    REASONS,
    Session,
    SessionError,
)

NOBODY: Final = -1
"""Beside the values of Reaction, in `Course.reactions`."""

_HIDE_S: Final = 0.5
"""A face that is missed for so long may still be there, and stays hidden; longer where frames were
left out."""


@dataclass(frozen=True, eq=False)
class Course:
    """How one person reacted over the whole recording.

    Attributes:
        times: float64 (N,), of the judged frames, seconds.
        ends: float64 (N,), until when each of them holds.
        valence: float64 (N,), -1 to 1; NaN where nothing was judged.
        reactions: int64 (N,), values of Reaction, or NOBODY.
    """

    times: NDArray[np.float64]
    ends: NDArray[np.float64]
    valence: NDArray[np.float64]
    reactions: NDArray[np.int64]


class Seen:
    """The faces of each frame of a session.

    Args:
        session: its table.

    Attributes:
        indices: int64 (N,), of the frames in the table.
        times: float64 (N,), theirs, seconds.
        face_ids: of everybody, in order of appearance.

    Raises:
        SessionError: the table has no row, or one without frame and time.
    """

    def __init__(self, session: Session) -> None:
        rows = session.rows
        if not len(rows):
            raise SessionError(f"{session.path}: no frame in it")
        frames = rows["frame"].to_numpy(np.float64, na_value=np.nan)
        times = rows["time"].to_numpy(np.float64, na_value=np.nan)
        if not (np.isfinite(frames).all() and np.isfinite(times).all()):
            raise SessionError(f"{session.path}: frame, time: expected a number in every row")
        order = np.lexsort((np.arange(len(rows)), frames))
        rows = rows.iloc[order]
        self.indices, starts = np.unique(frames[order].astype(np.int64), return_index=True)
        self.times = times[order][starts]
        if (np.diff(self.times) <= 0).any():
            raise SessionError(f"{session.path}: time: expected it to rise from frame to frame")
        self._starts = np.append(starts, len(rows))
        self._every = max(1, session.info.every)
        self._usual = float(np.median(np.diff(self.times))) if len(self.times) > 1 else 0.04
        self._lasts = frame_seconds(self.times, session)
        self._hide_s = max(_HIDE_S, 1.5 * self._usual)
        self._time = times[order]
        self._ids = rows["face_id"].fillna("").to_numpy(str)
        self._partner = rows["is_partner"].eq(True).to_numpy(bool)
        sides = [
            rows[name].to_numpy(np.float64, na_value=np.nan) for name in ("x1", "y1", "x2", "y2")
        ]
        self._boxes = np.stack(sides, axis=1)
        self._there = np.isfinite(self._boxes).all(axis=1)
        shares = [rows[name].to_numpy(np.float64, na_value=np.nan) for name in PROBABILITIES]
        self._shares = np.stack(shares, axis=1)
        self._reactions = _codes(rows["reaction"].fillna("").to_numpy(str), REACTIONS)
        self._reasons = _codes(rows["reason"].fillna("").to_numpy(str), REASONS)
        self._problems = rows["problem"].fillna("").to_numpy(str)
        self.face_ids = list(dict.fromkeys(self._ids[self._there & (self._ids != "")].tolist()))

    def knows(self, index: int) -> bool:
        """Whether a frame was looked at, or left out between two that were."""
        place = self._place(index)
        return place >= 0 and index - int(self.indices[place]) < self._every

    def faces(self, index: int) -> list[FaceReaction]:
        """Return the faces of a frame; of one that was left out, those of the one before it."""
        if not self.knows(index):
            return []
        place = self._place(index)
        rows = range(self._starts[place], self._starts[place + 1])
        return [self._face(row) for row in rows if self._there[row]]

    def of(self, person: str, index: int) -> FaceReaction | None:
        """Return the partner, or a person by id, in a frame; None where it is not there."""
        for face in self.faces(index):
            if face.is_partner if person in (PARTNER, EVERYBODY) else face.face_id == person:
                return face
        return None

    def hidden(self, time: float, keep: str | None) -> NDArray[np.float64]:
        """Return what to blur at a time: each face's places then and shortly before and after.

        Args:
            time: of the frame, seconds.
            keep: who is not blurred: partner or an id; None blurs everybody.

        Returns:
            (M, 4), x1, y1, x2, y2 in pixels of the recording.
        """
        first = int(np.searchsorted(self._time, time - self._hide_s - 1e-9))
        stop = int(np.searchsorted(self._time, time + self._hide_s + 1e-9, side="right"))
        rows = np.arange(first, stop)
        rows = rows[self._there[rows]]
        if keep == PARTNER:
            now = rows[self._partner[rows] & (np.abs(self._time[rows] - time) < 1e-9)]
            named = self._ids[now][self._ids[now] != ""]
            rows = rows[~self._partner[rows] & ~np.isin(self._ids[rows], named)]
        elif keep is not None:
            rows = rows[self._ids[rows] != keep]
        chosen: list[int] = []
        for name in dict.fromkeys(self._ids[rows].tolist()):
            own = rows[self._ids[rows] == name]
            past, coming = own[self._time[own] <= time + 1e-9], own[self._time[own] >= time - 1e-9]
            chosen += own[self._time[own] == self._time[past[-1]]].tolist() if len(past) else []
            chosen += own[self._time[own] == self._time[coming[0]]].tolist() if len(coming) else []
        return np.asarray(self._boxes[sorted(set(chosen))].reshape(-1, 4))

    def course(self, person: str) -> Course:
        """Return how the partner, or a person by id, reacted over the whole recording."""
        valence = np.full(len(self.times), np.nan)
        reactions = np.full(len(self.times), NOBODY)
        by_partner = person in (PARTNER, EVERYBODY)
        chosen = (self._partner if by_partner else self._ids == person) & self._there
        rows = np.flatnonzero(chosen)
        places = np.searchsorted(self._starts, rows, side="right") - 1
        valence[places] = self._shares[rows, 2] - self._shares[rows, 0]
        reactions[places] = self._reactions[rows]
        return Course(self.times, self.times + self._lasts, valence, reactions)

    def _place(self, index: int) -> int:
        return int(np.searchsorted(self.indices, index, side="right")) - 1

    def _face(self, row: int) -> FaceReaction:
        reaction, reason = Reaction(self._reactions[row]), Reason(self._reasons[row])
        if reaction != Reaction.UNKNOWN:
            reason = Reason.NONE
        elif reason == Reason.NONE:
            reason = Reason.LOW_CONFIDENCE
        box = self._boxes[row].astype(np.float32)
        return FaceReaction(
            face=Face(box, 1.0, np.full((5, 2), np.nan, np.float32)),
            probabilities=np.nan_to_num(self._shares[row]).astype(np.float32),
            reaction=reaction, reason=reason, stamp=float(self._time[row]),
            face_id=str(self._ids[row]), is_partner=bool(self._partner[row]),
            problem=str(self._problems[row]),
        )  # fmt: skip


def _codes(words: NDArray[np.str_], known: tuple[str, ...]) -> NDArray[np.int64]:
    """Turn words into their places among those known; any other one is the first."""
    codes = np.zeros(len(words), np.int64)
    for code, word in enumerate(known):
        codes[words == word] = code
    return codes

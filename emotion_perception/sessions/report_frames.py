# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a report counts: for each frame of a session how long it stands and how the person was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.sessions.events import frame_seconds, row_times
from emotion_perception.sessions.table import PROBABILITIES, Session, SessionError, column
from emotion_perception.valence.labels import CLASSES, NEGATIVE, POSITIVE

if TYPE_CHECKING:
    import pandas

STATES: Final = (*CLASSES, "unknown", "no_face")
"""Of each moment: what the robot was told of the person in front of it."""

UNKNOWN: Final = STATES.index("unknown")
NO_FACE: Final = STATES.index("no_face")

CAUSES: Final = (
    "no_face", "others", "dark", "turned", "small", "blurred", "picture", "low_quality",
    "low_confidence", "not_looked",
)  # fmt: skip
"""Why nothing is known of a moment; ``others``: faces were there, but not the person's."""


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of a session, F of them; where there are several faces, the partner's counts.

    Attributes:
        times: float64 (F,) seconds since the first frame, ascending.
        seconds: float64 (F,), for how long each stands.
        states: int64 (F,), index into STATES.
        causes: str (F,), one of CAUSES where the state is unknown or no_face, else empty.
        valence: float64 (F,), smoothed, -1 to 1; NaN where the face was not judged.
        faces: int64 (F,), how many were in view.
        face_ids: str (F,), the partner's; empty where nobody is.
    """

    times: NDArray[np.float64]
    seconds: NDArray[np.float64]
    states: NDArray[np.int64]
    causes: NDArray[np.str_]
    valence: NDArray[np.float64]
    faces: NDArray[np.int64]
    face_ids: NDArray[np.str_]

    @property
    def total(self) -> float:
        """Seconds in all."""
        return float(self.seconds.sum())

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Whether a frame has an answer: negative, neutral or positive."""
        return np.asarray(self.states < len(CLASSES))

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Whether the valence is known."""
        return np.isfinite(self.valence)

    @property
    def end(self) -> float:
        """When the last frame ends, seconds since the first."""
        return float(self.times[-1] + self.seconds[-1]) if len(self.times) else 0.0

    def share(self, where: NDArray[np.bool_]) -> float:
        """Return the share of the time in which something holds (F,); NaN without any time."""
        return float(self.seconds[where].sum()) / self.total if self.total else float("nan")


def frames_of(session: Session) -> Frames:
    """Return the frames of a session as its first model judged them.

    Raises:
        SessionError: a row has no time, or the table no model.
    """
    if not session.info.models:
        raise SessionError(f"{session.path}: models: expected at least one")
    rows = session.rows
    times = row_times(session)
    face_ids = _texts(rows, "face_id")
    partner = rows["is_partner"].eq(True).to_numpy(bool) & (face_ids != "")
    # Of each time the partner's row, else any: of a frame without one it says nothing.
    order = np.lexsort((np.arange(len(rows)), ~partner, times))
    clock, first, number = np.unique(times[order], return_index=True, return_inverse=True)
    chosen = order[first]
    there = partner[chosen]
    faces = np.bincount(number, weights=face_ids[order] != "", minlength=len(clock))
    states, causes = _states(session, chosen, there, faces > 0)
    return Frames(
        times=clock,
        seconds=frame_seconds(clock, session),
        states=states,
        causes=causes,
        valence=np.where(there, _valence(session, chosen), np.nan),
        faces=faces.astype(np.int64),
        face_ids=np.where(there, face_ids[chosen], ""),
    )


def reactions_of(session: Session, name: str) -> NDArray[np.str_]:
    """Return what a model told in each row (N,), empty where it told nothing."""
    model = session.model(name)
    return _texts(session.rows, column("reaction", model, session.info.models))


def _states(
    session: Session, chosen: NDArray[np.int64], there: NDArray[np.bool_],
    others: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:  # fmt: skip
    told = _texts(session.rows, "reaction")[chosen]
    reason = _texts(session.rows, "reason")[chosen]
    problem = _texts(session.rows, "problem")[chosen]
    states = np.full(len(chosen), UNKNOWN, np.int64)
    for index, name in enumerate(CLASSES):
        states[told == name] = index
    states[~there] = NO_FACE
    poor = np.where(np.isin(problem, CAUSES), problem, "low_quality")
    known = np.isin(reason, ("low_confidence", "not_looked"))
    causes = np.where(known, reason, poor)
    causes = np.where(there, causes, np.where(others, "others", "no_face"))
    return states, np.where(states < len(CLASSES), "", causes)


def _valence(session: Session, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    p = session.rows[list(PROBABILITIES)].to_numpy(np.float64, na_value=np.nan)[chosen]
    with np.errstate(invalid="ignore"):
        judged = np.isfinite(p).all(axis=1) & (p.sum(axis=1) > 0)
    return np.asarray(np.where(judged, p[:, POSITIVE] - p[:, NEGATIVE], np.nan), np.float64)


def _texts(rows: pandas.DataFrame, name: str) -> NDArray[Any]:
    return np.asarray(rows[name].fillna("").to_numpy(object), np.str_)

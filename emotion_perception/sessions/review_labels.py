# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From what raters answered to labelled spans that ``emotion-perception capture`` takes.

A frame becomes a span of one frame period, an event the span from its onset to its offset. Where
labels overlap, that of a single frame counts more than that of an event around it, and what two
events contradict each other about is left out.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from emotion_perception.sessions.csv_files import write_csv
from emotion_perception.sessions.ratings import Key, Rating, majority
from emotion_perception.sessions.table import Session, SessionError

HEADER: Final = ("file", "start", "end", "valence")

_MS: Final = 1e-3


@dataclass(frozen=True)
class Labelled:
    """A stretch with a label; seconds since the first frame, the end not included."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Export:
    """What became of the answers.

    Attributes:
        spans: in order of time; none overlap.
        taken: items with a label.
        faces: face_ids that these are of.
        ties: items on which raters differ and no label has most votes.
        unclear: items that nobody, or not most, gave a class.
        hidden: items left out because a larger face is in view, which capture would take.
        contradicting: seconds left out because two events say different things.
    """

    spans: tuple[Labelled, ...]
    taken: int
    faces: tuple[str, ...]
    ties: int
    unclear: int
    hidden: int
    contradicting: float


def labels_of(
    session: Session, ratings: Mapping[str, Mapping[Key, Rating]], person: str | None = None
) -> Export:
    """Merge the answers of all raters by majority.

    Args:
        session: the table.
        ratings: of each rater.
        person: face_id; None takes all faces that were rated.

    """
    votes: dict[Key, list[Rating]] = {}
    for answers in ratings.values():
        for key, rating in answers.items():
            if person in (None, rating.face_id):
                votes.setdefault(key, []).append(rating)
    largest = _Largest(session)
    half = frame_period(session) / 2
    frames: list[Labelled] = []
    events: list[Labelled] = []
    faces: set[str] = set()
    ties = unclear = hidden = 0
    for given in votes.values():
        about, label = given[0], majority(given)
        if label is None:
            classes = {vote.label for vote in given} - {""}
            ties += bool(classes)
            unclear += not classes
            continue
        single = about.kind == "frame"
        # Half a period earlier, so that readers who round times find the same frames in it.
        start = max(0.0, about.onset_s - half)
        end = about.onset_s + half if single else about.offset_s - half
        if not largest.is_it(about.face_id, start, end):
            hidden += 1
        elif end - start > _MS:
            (frames if single else events).append(Labelled(start, end, label))
            faces.add(about.face_id)
    spans, contradicting = flattened(events, frames)
    return Export(
        spans=tuple(spans), taken=len(frames) + len(events), faces=tuple(sorted(faces)), ties=ties,
        unclear=unclear, hidden=hidden, contradicting=contradicting,
    )  # fmt: skip


def flattened(
    events: Sequence[Labelled], frames: Sequence[Labelled]
) -> tuple[list[Labelled], float]:
    """Make spans that do not overlap; labels of frames come before those of events.

    Returns:
        The spans, and the seconds that were left out because labels contradict each other.
    """
    starting: dict[float, list[tuple[Labelled, bool]]] = {}
    for spans, single in ((events, False), (frames, True)):
        for span in spans:
            starting.setdefault(span.start, []).append((span, single))
    ends = sorted({end for span in (*events, *frames) for end in (span.start, span.end)})
    active: list[tuple[Labelled, bool]] = []
    made: list[Labelled] = []
    contradicting = 0.0
    for start, end in itertools.pairwise(ends):
        active = [(span, single) for span, single in active if span.end > start]
        active += starting.get(start, [])
        labels = {span.label for span, single in active if single}
        labels = labels or {span.label for span, _ in active}
        if len(labels) > 1:
            contradicting += end - start
        if len(labels) != 1:
            continue
        label = labels.pop()
        if made and made[-1].end == start and made[-1].label == label:
            made[-1] = Labelled(made[-1].start, end, label)
        else:
            made.append(Labelled(start, end, label))
    return [span for span in made if span.end - span.start > _MS], contradicting


def frame_period(session: Session) -> float:
    """Return the usual distance of two frames of the recording, seconds."""
    rows = session.rows[["frame", "time"]].drop_duplicates("frame").sort_values("frame")
    frames, times = rows.frame.to_numpy(np.float64), rows.time.to_numpy(np.float64)
    steps = np.diff(times) / np.maximum(np.diff(frames), 1)
    steps = steps[np.isfinite(steps) & (steps > 0)]
    if len(steps):
        return float(np.median(steps))
    return 1 / session.info.rate if session.info.rate > 0 else 0.04


def write_spans(path: Path, recording: str, spans: Sequence[Labelled]) -> None:
    """Write spans as ``capture --labels`` reads them.

    Args:
        path: of the CSV file, which must not exist: it may hold labels made by hand.
        recording: name of the video.
        spans: what `labels_of` gave.

    Raises:
        SessionError: the file is there already, or there is no span.
    """
    if path.exists():
        raise SessionError(f"{path}: is there already; give another name or remove it")
    if not spans:
        raise SessionError(f"{path}: not written, no answer gives a label")
    rows = ((recording, f"{span.start:.6f}", f"{span.end:.6f}", span.label) for span in spans)
    write_csv(path, HEADER, rows)


class _Largest:
    """Whether a face is the largest of its frames, which is the one that capture takes."""

    def __init__(self, session: Session) -> None:
        rows = session.rows[["time", "face_id", "x1", "y1", "x2", "y2"]].dropna()
        area = (rows.x2 - rows.x1) * (rows.y2 - rows.y1)
        first = area.groupby(rows.time).idxmax()
        self._times: list[float] = first.index.tolist()
        self._faces: list[str] = rows.face_id.loc[first].tolist()

    def is_it(self, face_id: str, start: float, end: float) -> bool:
        """Whether no other face is larger in any frame from ``start`` to before ``end``."""
        low, high = bisect.bisect_left(self._times, start), bisect.bisect_left(self._times, end)
        return all(face == face_id for face in self._faces[low:high])

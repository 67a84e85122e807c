# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One rater's review of one session: what was answered, what may be shown, what is stored."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from emotion_perception.sessions.ratings import Rating, RatingFile, now, one_line, read_ratings
from emotion_perception.sessions.review_items import Item, Said
from emotion_perception.sessions.table import Session, SessionError
from emotion_perception.valence.labels import CLASSES

ANSWERS: Final = ("right", "wrong", "unsure", *CLASSES)
"""What a rater can answer; a class says by itself whether the model was right."""

AROUND_S: Final = 5.0
"""The line of the valence is drawn from so long before an item to so long after it."""

_POINTS: Final = 200
_LONGEST_S: Final = 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class ReviewOptions:
    """How to review.

    Attributes:
        rater: who, as `check_rater` allows it.
        what: events or frames, for the page.
        blind: hide what the model said until the rater has answered.
        pictures: whether there is a recording to show.
    """

    rater: str
    what: str
    blind: bool
    pictures: bool

    def __post_init__(self) -> None:
        if self.blind and not self.pictures:
            raise SessionError(
                "--blind: needs --recording; without pictures there is nothing to judge by"
            )


class Review:
    """The items of a session with the answers of one rater; threads may share it.

    Args:
        session: what was read.
        items: to review, in order.
        options: how.
        file: takes the answers.
    """

    def __init__(
        self, session: Session, items: Sequence[Item], options: ReviewOptions, file: RatingFile
    ) -> None:
        self.session = session
        self.items = list(items)
        self.options = options
        self._file = file
        self._ratings = read_ratings(file.path)
        self._lock = threading.Lock()

    @property
    def answered(self) -> int:
        """How many of the items have an answer."""
        return sum(self._rating(item) is not None for item in self.items)

    @property
    def elsewhere(self) -> int:
        """How many stored answers are of other items, or of what another model said of these."""
        return len(self._ratings) - self.answered

    def state(self) -> dict[str, Any]:
        """Return what the page needs to begin."""
        info = self.session.info
        return {
            "session": info.session, "participant": info.participant, "recording": info.recording,
            "rater": self.options.rater, "what": self.options.what, "blind": self.options.blind,
            "pictures": self.options.pictures, "models": len(info.models),
            "answered": [self._rating(item) is not None for item in self.items],
        }  # fmt: skip

    def item(self, index: int) -> dict[str, Any]:
        """Return what the page may show of an item.

        Raises:
            IndexError: there is none.
        """
        item = self.items[_checked(index, len(self.items))]
        rating = self._rating(item)
        told: dict[str, Any] = {
            "index": index, "kind": item.kind, "face_id": item.face_id, "time": item.time,
            "frame": item.frame, "onset": item.onset, "offset": item.offset,
            "rating": None, "said": None, "line": None, "may_see": False,
        }  # fmt: skip
        if rating is not None:
            told["rating"] = {"label": rating.label, "verdict": None}
        if self._hidden(rating):
            told["may_see"] = rating is not None
            return told
        if rating is not None:
            told["rating"]["verdict"] = rating.verdict
        told["said"] = [_said(said) for said in item.said]
        told["line"] = self._line(item)
        return told

    def answer(self, index: int, answer: str, seconds: float) -> dict[str, Any]:
        """Store an answer and return the item as `item` does.

        Args:
            index: of the item.
            answer: one of ANSWERS; right and wrong only where the model's answer is shown.
            seconds: from seeing the item to the answer.

        Raises:
            IndexError: there is no such item.
            ValueError: that cannot be answered.
            OSError: the answer could not be stored.
        """
        item = self.items[_checked(index, len(self.items))]
        if answer not in ANSWERS:
            raise ValueError(f"answer: expected one of {', '.join(ANSWERS)}")
        if not math.isfinite(seconds):
            raise ValueError("seconds: expected a number")
        with self._lock:
            hidden = self._hidden(self._rating(item))
            if hidden and answer in ("right", "wrong"):
                raise ValueError(f"answer: {answer} says nothing while the answer is hidden")
            told = item.said[0].answer
            label = told if answer == "right" else answer if answer in CLASSES else ""
            verdict = answer
            if label:
                verdict = "right" if label == told else "wrong"
            self._store(
                Rating(
                    kind=item.kind, face_id=one_line(item.face_id), frame=item.frame,
                    onset_s=item.onset, offset_s=item.offset, time_s=item.time,
                    model_answer=told, model_id=item.said[0].model_id, verdict=verdict,
                    label=label, blind=hidden, seen=not hidden,
                    seconds=round(min(max(seconds, 0.0), _LONGEST_S), 2), answered=now(),
                )
            )  # fmt: skip
        return self.item(index)

    def reveal(self, index: int) -> dict[str, Any]:
        """Show what the model said of an item that was answered, and store that it was shown.

        Raises:
            IndexError: there is no such item.
            ValueError: it was not answered yet.
        """
        item = self.items[_checked(index, len(self.items))]
        with self._lock:
            rating = self._rating(item)
            if rating is None:
                raise ValueError("what the model said is shown after the answer")
            if not rating.seen:
                self._store(replace(rating, seen=True))
        return self.item(index)

    def _rating(self, item: Item) -> Rating | None:
        """Return the answer to an item, if it was to what is said of it now."""
        rating = self._ratings.get(item.key)
        if rating is None:
            return None
        said = item.said[0]
        same = (rating.model_id, rating.model_answer) == (one_line(said.model_id), said.answer)
        return rating if same else None

    def _store(self, rating: Rating) -> None:
        self._file.add(rating)
        self._ratings[rating.key] = rating

    def _hidden(self, rating: Rating | None) -> bool:
        """Whether the model's answer is hidden, given the answer so far."""
        return self.options.blind and not (rating is not None and rating.seen)

    def _line(self, item: Item) -> list[list[float | None]]:
        """Return time and valence of the face around an item; None where it was not judged."""
        rows = self.session.rows
        start, end = item.onset - AROUND_S, item.offset + AROUND_S
        mine = rows[(rows.face_id == item.face_id) & (rows.time >= start) & (rows.time <= end)]
        step = max(1, math.ceil(len(mine) / _POINTS))
        times = mine.time.to_numpy(np.float64)[::step]
        judged = mine.p_negative.notna().to_numpy()[::step]
        values = mine.valence.to_numpy(np.float64, na_value=np.nan)[::step]
        return [
            [round(float(time), 3), round(float(value), 4) if known and value == value else None]
            for time, value, known in zip(times, values, judged, strict=True)
        ]


def _said(said: Said) -> dict[str, Any]:
    return {
        "model": said.model, "answer": said.answer, "sure": said.sure,
        "probabilities": said.probabilities,
    }  # fmt: skip


def _checked(index: int, count: int) -> int:
    if not 0 <= index < count:
        raise IndexError(f"no item {index}")
    return index

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How a person received the robot's actions, counted for the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emotion_perception.reaction.observation import Observation, Outcome
from emotion_perception.sessions.actions import actions_path, read_observed
from emotion_perception.sessions.table import Session, SessionError
from emotion_perception.training.intervals import wilson
from emotion_perception.valence.labels import CLASSES

ANSWERS: Final = (*CLASSES, "unclear", "not_seen")
"""How an action was received; ``unclear``: the face was seen, but showed nothing clear;
``not_seen``: nobody was there, left, or too little of the face was seen."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One action of the robot and how it was received.

    Attributes:
        number: from 1, in order of time.
        action_id: which action.
        start: when it began, seconds since the first frame.
        answer: one of ANSWERS.
        change: of the valence, NaN where it is not known.
        bounds: 95 % interval of the change.
    """

    number: int
    action_id: str
    start: float
    answer: str
    change: float
    bounds: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Responses:
    """How one kind of action was received.

    Attributes:
        action_id: which; empty for all together.
        counts: of each of ANSWERS.
        bounds: of each class the 95 % interval (Wilson) of its share of the clear answers.
    """

    action_id: str
    counts: dict[str, int]
    bounds: dict[str, tuple[float, float]]

    @property
    def total(self) -> int:
        """How often the robot did it."""
        return sum(self.counts.values())

    @property
    def clear(self) -> int:
        """How often the answer was negative, neutral or positive."""
        return sum(self.counts[name] for name in CLASSES)

    def share(self, name: str) -> float:
        """Return the share of a class among the clear answers; NaN if there are none."""
        return self.counts[name] / self.clear if self.clear else float("nan")


def count_of(action_id: str, answers: Sequence[Answer]) -> Responses:
    """Count how actions were received."""
    found = Counter(answer.answer for answer in answers)
    counts = {name: found[name] for name in ANSWERS}
    clear = sum(counts[name] for name in CLASSES)
    return Responses(
        action_id=action_id,
        counts=counts,
        bounds={name: wilson(counts[name], clear) for name in CLASSES},
    )


def responses_of(answers: Sequence[Answer]) -> list[Responses]:
    """Count for each action how it was received, the most frequent first."""
    names = Counter(answer.action_id for answer in answers)
    ordered = sorted(names, key=lambda name: (-names[name], name))
    return [count_of(name, [a for a in answers if a.action_id == name]) for name in ordered]


def read_answers(session: Session) -> tuple[list[Answer], int] | None:
    """Read the actions beside a table as its first model judged them.

    Returns:
        The actions, and how many more could not be looked at at all: they are not within the
        recording, or have times that the robot refuses. None if there is no file of actions.

    Raises:
        SessionError: it is of another kind, table or model.
    """
    path, model = actions_path(session.path), session.model().name
    if not path.exists():
        return None
    every = read_observed(path, session.info.job)
    own = [each for each in every if each.model == model]
    if every and not own:
        raise SessionError(
            f"{path}: model: expected {model}, got {every[0].model}; make it anew from the table"
        )
    looked_at = [each for each in own if each.observation.outcome is not Outcome.REFUSED]
    looked_at.sort(key=lambda each: each.time)
    answers = [
        Answer(
            number=number,
            action_id=each.action_id,
            start=each.time,
            answer=_answer(each.observation),
            change=each.observation.change,
            bounds=each.observation.interval,
        )
        for number, each in enumerate(looked_at, 1)
    ]
    return answers, len(own) - len(looked_at)


def _answer(found: Observation) -> str:
    if found.outcome is not Outcome.OBSERVED:
        return "not_seen"
    return found.reaction.name.lower() if found.reaction else "unclear"

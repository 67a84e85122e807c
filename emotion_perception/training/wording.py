# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What an evaluation says, in words for people who treat patients and train no networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from emotion_perception.training.evaluate import Evaluation
from emotion_perception.training.groups import SMALL, Fairness, Part
from emotion_perception.training.intervals import PairedDifference
from emotion_perception.training.metrics import Baseline
from emotion_perception.valence.labels import CLASSES

_LIKELY = 0.05
_MANY_PERSONS = 10
_WELL, _ROUGHLY = 0.02, 0.05
_SELDOM = 0.01


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share as ``87 %``; a dash for none."""
    return f"{100 * share:.{digits}f} %" if share is not None and math.isfinite(share) else "–"


def between(bounds: Sequence[float], digits: int = 0) -> str:
    """Return an interval as ``86 to 88 %``; a dash for none."""
    if not all(map(math.isfinite, bounds)):
        return "–"
    return f"{100 * bounds[0]:.{digits}f} to {100 * bounds[1]:.{digits}f} %"


def how_often_right(evaluation: Evaluation, baseline: Baseline) -> str:
    """Say how often the model is right if it must answer, and what a guess would give."""
    return (
        f"If it must answer every time, the model says what people say of "
        f"{percent(evaluation.accuracy)} of these {evaluation.images:,} faces (with other faces of "
        f"this kind: "
        f"{between(evaluation.accuracy_interval)}). Without looking, always answering "
        f"“{baseline.answer}” would be right for {percent(baseline.accuracy)}."
    )


def how_often_unknown(evaluation: Evaluation) -> str:
    """Say how often the model says that it doesn't know, and how good the answers then are."""
    unknown = 1 - evaluation.coverage
    if not evaluation.coverage:
        return "It says “I don't know” every time: its threshold is above all it is ever sure of."
    if not unknown:
        return "It never says “I don't know” on these faces."
    share = percent(unknown, 1 if unknown < _SELDOM else 0)
    return (
        f"It may say “I don't know”, and does for {share} of the faces. "
        f"Of the answers it then gives, {percent(evaluation.accuracy_covered)} are right."
    )


def what_it_confuses(evaluation: Evaluation) -> str:
    """Say which class is found how often, and the most common mistake."""
    known = {name: share for name, share in evaluation.recall.items() if math.isfinite(share)}
    found = ", ".join(f"{percent(share)} of the {name} ones" for name, share in known.items())
    words = f"It recognises {found}."
    missing = [name for name in CLASSES if name not in known]
    if missing:
        words += f" There is no {' and no '.join(missing)} face here: of those nothing is known."
    mistakes = np.array(evaluation.confusion) * (1 - np.eye(len(CLASSES), dtype=int))
    if mistakes.any():
        row, column = np.unravel_index(int(mistakes.argmax()), mistakes.shape)
        words += (
            f" Its most common mistake is to call a {CLASSES[row]} face {CLASSES[column]} "
            f"({mistakes[row, column]:,} of {sum(evaluation.confusion[row]):,})."
        )
    return words


def how_sure(evaluation: Evaluation) -> str:
    """Say whether its confidence can be believed."""
    points = 100 * evaluation.ece
    chance = 100 * evaluation.ece_by_chance
    if evaluation.ece <= max(_WELL, evaluation.ece_by_chance):
        verdict = "Its confidence can be taken at its word"
    elif evaluation.ece <= _ROUGHLY:
        verdict = "Its confidence is a rough guide"
    else:
        verdict = "Its confidence should not be taken at its word"
    return (
        f"{verdict}: how sure it is and how often it is then right differ by {points:.1f} "
        f"percentage points on average (with this many faces, up to {chance:.1f} by chance)."
    )


def for_whom_worse(fairness: Sequence[Fairness], persons: Sequence[Part]) -> list[str]:
    """Say for which groups and persons the model is worse, and whether that may be chance."""
    words = []
    for found in fairness:
        name = found.grouping
        if not math.isfinite(found.gap):
            words.append(
                f"By {name}: nothing can be said: fewer than two groups have {SMALL} people or "
                f"more and a class in common."
            )
            continue
        parts = {part.name: part for part in found.parts}
        best, worst = parts[found.best], parts[found.worst]
        if found.gap <= 0:
            words.append(f"By {name}: no difference.")
            continue
        why = (
            "Chance alone would hardly make such a gap"
            if found.chance < _LIKELY
            else "Such a gap may well be chance"
        )
        words.append(
            f"By {name}: right for {percent(found.recalls[worst.name])} of “{worst.name}” "
            f"({worst.images:,} images) and for {percent(found.recalls[best.name])} of "
            f"“{best.name}” ({best.images:,}), {_alike(found.classes)}. "
            f"{why} (it comes up in {percent(found.chance, 1)} of random groupings)."
        )
    if len(persons) >= _MANY_PERSONS:
        ranked = sorted(part.accuracy for part in persons)
        words.append(
            f"By person: of {len(persons)} persons, half are judged rightly in "
            f"{percent(float(np.median(ranked)))} of their images or more; for the tenth of them "
            f"that fares worst it is {percent(float(np.quantile(ranked, 0.1)))} or less."
        )
    elif len(persons) > 1:
        worst_person = persons[0]
        words.append(
            f"By person: worst for “{worst_person.name}”, right for "
            f"{percent(worst_person.accuracy)} of {worst_person.images:,} images."
        )
    if not fairness:
        words.append(
            "This data does not say how old the people are or of which sex or skin colour: for "
            "which groups the model is worse is not known from it."
        )
    return words


def _alike(classes: Sequence[str]) -> str:
    if len(classes) == 1:
        return f"of the {classes[0]} faces"
    return f"the {' and '.join(classes)} faces counting alike"


def how_different(name: str, first: str, difference: PairedDifference) -> str:
    """Say whether one model is better than another on the same faces."""
    if not difference.won and not difference.lost:
        return f"“{name}” is right and wrong on the same faces as “{first}”."
    low, high = difference.accuracy_interval
    points = 100 * difference.accuracy
    bounds = f"95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
    if low > 0:
        verdict = f"“{name}” is better than “{first}”"
    elif high < 0:
        verdict = f"“{name}” is worse than “{first}”"
    else:
        verdict = f"Between “{name}” and “{first}” no difference is proven"
    return (
        f"{verdict}: {points:+.1f} percentage points of right answers ({bounds}). It gets "
        f"{difference.won:,} faces right that the other does not, and loses {difference.lost:,}."
    )


def drawn_over(over: str) -> str:
    """Say what the intervals allow for."""
    if over == "images":
        return (
            "The intervals allow for other images of this kind. If several images show one person, "
            "they are too narrow, for this data does not say who is shown."
        )
    return (
        f"The intervals allow for other {over}: whole {over} are drawn, since images of one are "
        "alike."
    )

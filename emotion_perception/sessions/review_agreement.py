# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How far raters agree with each other and with the model."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.sessions.agreement import confusion, kappa_of
from emotion_perception.sessions.ratings import Key, Rating, raters_of, ratings_path, read_ratings
from emotion_perception.sessions.table import SessionError
from emotion_perception.training.intervals import bootstrap, confusion_columns, interval
from emotion_perception.valence.labels import CLASSES

MODEL: Final = "the model"

BLOCK_S: Final = 10.0
"""Items of one block of the recording are drawn together: neighbours are alike."""


@dataclass(frozen=True)
class Difference:
    """An item on which two differ.

    Attributes:
        kind: event or frame.
        face_id: whose face.
        onset: seconds; of a frame, its time.
        offset: seconds.
        first: what the first said.
        second: what the second said.
    """

    kind: str
    face_id: str
    onset: float
    offset: float
    first: str
    second: str


@dataclass(frozen=True, eq=False)
class PairAgreement:
    """How far two agree on items of one kind.

    Attributes:
        kind: events or frames.
        first: a rater.
        second: a rater, or MODEL, with its id if the answers are about several.
        items: that both have answered.
        blind: of these, with a class from both and rated without seeing the model's answer.
        unclear: of the items, those without a class from both (can't tell, wrong without a class).
        agreement: share of the items with a class from both on which it is the same; NaN without.
        kappa: Cohen's, NaN where it is not defined.
        kappa_interval: 95 % of it, by the bootstrap over blocks of the recording; NaN where there
            are too few of them, or the draws show no spread.
        counts: int64 (3, 3), rows are the first's classes, columns the second's.
        differences: the items with different classes, in order of time.
    """

    kind: str
    first: str
    second: str
    items: int
    blind: int
    unclear: int
    agreement: float
    kappa: float
    kappa_interval: tuple[float, float]
    counts: NDArray[np.int64]
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values; None where a figure is not defined."""
        low, high = (_known(value) for value in self.kappa_interval)
        return {
            "kind": self.kind, "first": self.first, "second": self.second, "items": self.items,
            "blind": self.blind, "unclear": self.unclear, "agreement": _known(self.agreement),
            "kappa": _known(self.kappa), "kappa_interval": [low, high], "classes": list(CLASSES),
            "counts": self.counts.tolist(),
            "differences": [
                {
                    "face_id": found.face_id, "onset_s": found.onset, "offset_s": found.offset,
                    "first": found.first, "second": found.second,
                }
                for found in self.differences
            ],
        }  # fmt: skip


def read_all_ratings(table: Path) -> dict[str, dict[Key, Rating]]:
    """Read the answers of each rater of a session.

    Raises:
        SessionError: nobody has rated it, or a file is no file of ratings.
    """
    found = {rater: read_ratings(ratings_path(table, rater)) for rater in raters_of(table)}
    if not any(found.values()):
        raise SessionError(
            f"{table}: no answers yet; start with emotion-perception review {table.name} --rater R1"
        )
    return found


def compare_raters(ratings: Mapping[str, Mapping[Key, Rating]]) -> list[PairAgreement]:
    """Compare each pair of raters, and each rater with the model, for events and for frames.

    Args:
        ratings: the answers of each rater.

    Returns:
        Pairs with no item in common are left out.
    """
    pairs = []
    judges = sorted({r.model_id for answers in ratings.values() for r in answers.values()})
    for kind in ("event", "frame"):
        for a, b in itertools.combinations(ratings, 2):
            common = [key for key in ratings[a] if key[0] == kind and key in ratings[b]]
            rows = [(ratings[a][key], ratings[b][key]) for key in common]
            pairs.append(
                _compared(
                    kind, a, b, [r for r, _ in rows], [r.label for r, _ in rows],
                    [r.label for _, r in rows], [r.blind and other.blind for r, other in rows],
                )
            )  # fmt: skip
        for a, model_id in itertools.product(ratings, judges):
            own = [
                rating
                for key, rating in ratings[a].items()
                if key[0] == kind and rating.model_id == model_id
            ]
            name = MODEL if len(judges) == 1 else f"{MODEL} {model_id}"
            pairs.append(
                _compared(
                    kind, a, name, own, [r.label for r in own], [r.model_answer for r in own],
                    [r.blind for r in own],
                )
            )  # fmt: skip
    return [pair for pair in pairs if pair.items]


def _compared(
    kind: str, first: str, second: str, about: list[Rating], a: list[str], b: list[str],
    blind: list[bool],
) -> PairAgreement:  # fmt: skip
    clear = [x in CLASSES and y in CLASSES for x, y in zip(a, b, strict=True)]
    kept = [index for index, good in enumerate(clear) if good]
    counts = confusion(a, b, CLASSES)
    total = int(counts.sum())
    differences = [
        Difference(about[i].kind, about[i].face_id, about[i].onset_s, about[i].offset_s, a[i], b[i])
        for i in kept
        if a[i] != b[i]
    ]
    return PairAgreement(
        kind=f"{kind}s",
        first=first,
        second=second,
        items=len(a),
        blind=sum(blind[i] for i in kept),
        unclear=len(a) - len(kept),
        agreement=float(np.trace(counts)) / total if total else float("nan"),
        kappa=kappa_of(counts),
        kappa_interval=_kappa_interval(
            [a[i] for i in kept], [b[i] for i in kept], [about[i].time_s for i in kept]
        ),
        counts=counts,
        differences=tuple(sorted(differences, key=lambda found: (found.onset, found.face_id))),
    )


def _kappa_interval(a: list[str], b: list[str], times: list[float]) -> tuple[float, float]:
    blocks = np.array([int(time // BLOCK_S) for time in times], np.int64)
    if len(set(blocks.tolist())) < 2:
        return float("nan"), float("nan")
    numbers = [np.array([CLASSES.index(label) for label in labels], np.int64) for labels in (a, b)]

    def kappas(cells: NDArray[np.float64]) -> NDArray[np.float64]:
        shape = (len(CLASSES), len(CLASSES))
        return np.array([kappa_of(draw.reshape(shape)) for draw in cells], np.float64)

    columns = confusion_columns(numbers[0], numbers[1])
    low, high = interval(bootstrap(columns, {"kappa": kappas}, clusters=blocks)["kappa"])
    # Draws that are all alike tell nothing of chance: somebody has said the same one thing always.
    return (low, high) if high - low > 1e-9 else (float("nan"), float("nan"))


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None

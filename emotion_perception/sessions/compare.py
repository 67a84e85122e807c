# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How far the models of one table say the same, and where they differ."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from emotion_perception.sessions.agreement import agreement, cohens_kappa
from emotion_perception.sessions.table import Session, column
from emotion_perception.valence.labels import CLASSES

LEAST_S: Final = 0.5
"""Shorter differences are not listed: one model was a moment later."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A stretch in which two models told different reactions of one face.

    Attributes:
        face_id: whose.
        start: seconds since the first frame.
        end: of the last frame of it.
        first: what the first model told.
        second: what the second one told.
    """

    face_id: str
    start: float
    end: float
    first: str
    second: str


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models on the same frames.

    Attributes:
        first: name of a model.
        second: of another.
        frames: frames of faces that both could judge.
        told: of these, those in which both told a reaction.
        agreement: share of the latter in which it was the same.
        kappa: Cohen's, of the latter; NaN where there is nothing to agree on.
        differences: longer stretches in which it was not.
    """

    first: str
    second: str
    frames: int
    told: int
    agreement: float
    kappa: float
    differences: tuple[Difference, ...]


def compare(session: Session) -> list[Comparison]:
    """Compare each pair of models of a table by the reactions that they told, smoothed as live."""
    models = session.info.models
    found = []
    for a, b in itertools.combinations(models, 2):
        names = [column("reaction", model, models) for model in (a, b)]
        own = column("frame_p_neutral", a, models)
        rows = session.rows[session.rows[own].notna()]
        first, second = (rows[name].to_numpy(object) for name in names)
        told = np.isin(first, CLASSES) & np.isin(second, CLASSES)
        differences = []
        for face_id, of_face in rows[told].groupby("face_id", sort=True):
            differences += _stretches(
                str(face_id), of_face["time"].to_numpy(), of_face[names[0]].tolist(),
                of_face[names[1]].tolist(),
            )  # fmt: skip
        found.append(
            Comparison(
                first=a.name, second=b.name, frames=len(rows), told=int(told.sum()),
                agreement=agreement(first[told], second[told]),
                kappa=cohens_kappa(first[told], second[told], CLASSES),
                differences=tuple(sorted(differences, key=lambda d: (d.start, d.face_id))),
            )
        )  # fmt: skip
    return found


def describe(found: Comparison) -> str:
    """Say it in a sentence."""
    pair = f"{found.first} and {found.second}"
    if not found.told:
        return f"{pair} both told a reaction in none of {found.frames} frames"
    kappa = "no kappa" if math.isnan(found.kappa) else f"Cohen's kappa {found.kappa:.2f}"
    return (
        f"{pair} agree in {found.agreement:.1%} of {found.told} frames with a reaction of both,"
        f" {kappa}"
    )


def _stretches(
    face_id: str, times: Sequence[float], first: Sequence[str], second: Sequence[str]
) -> list[Difference]:
    found: list[Difference] = []
    for (a, b), group in itertools.groupby(
        zip(times, first, second, strict=True), key=lambda row: (row[1], row[2])
    ):
        seconds = [row[0] for row in group]
        if a != b and seconds[-1] - seconds[0] >= LEAST_S:
            found.append(
                Difference(
                    face_id=face_id, start=float(seconds[0]), end=float(seconds[-1]), first=a,
                    second=b,
                )
            )  # fmt: skip
    return found

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The tables of a report, once for CSV and once for the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion_perception.spreadsheet import guard
from emotion_perception.training.evaluate import Evaluation, Judged
from emotion_perception.training.faces import FaceSet
from emotion_perception.training.groups import Fairness, Part, by_person, by_recording, fairness
from emotion_perception.training.intervals import PairedDifference
from emotion_perception.training.metrics import (
    Baseline,
    ReliabilityBin,
    class_figures,
    coverage_curve,
    reliability,
)
from emotion_perception.valence.labels import CLASSES

Table = tuple[list[str], list[list[Any]]]

_CURVE_ROWS = 200


@dataclass(frozen=True, eq=False)
class Section:
    """All that the report says of one model.

    Attributes:
        judged: what the model said.
        evaluation: its figures.
        bins: for the reliability diagram.
        coverage: share answered at every possible threshold.
        accuracy: of these answers.
        thresholds: those thresholds.
        persons: worst first.
        recordings: worst first.
        groupings: how groups fare.
        difference: from the first model of the report; None for that one.
    """

    judged: Judged
    evaluation: Evaluation
    bins: list[ReliabilityBin]
    coverage: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    persons: list[Part]
    recordings: list[Part]
    groupings: list[Fairness]
    difference: PairedDifference | None


def section(
    judged: Judged, evaluation: Evaluation, labelled: FaceSet, difference: PairedDifference | None
) -> Section:
    """Work out all that is said of one model."""
    p, threshold = judged.probabilities, judged.threshold
    right = p.argmax(axis=1) == labelled.labels
    thresholds, coverage, accuracy = coverage_curve(p.max(axis=1), right)
    return Section(
        judged=judged,
        evaluation=evaluation,
        bins=reliability(p, labelled.labels),
        coverage=coverage,
        accuracy=accuracy,
        thresholds=thresholds,
        persons=by_person(p, labelled, threshold),
        recordings=by_recording(p, labelled, threshold),
        groupings=fairness(p, labelled, threshold),
        difference=difference,
    )


def csv_tables(
    sections: Sequence[Section], labelled: FaceSet, baseline: Baseline
) -> dict[str, Table]:
    """Return every table by file name; those without rows are left out."""
    tables = {
        "summary": summary_table(sections, baseline),
        "classes": _stack(sections, _class_table, labelled),
        "confusion": _stack(sections, _confusion_table, labelled),
        "reliability": _stack(sections, _reliability_table, labelled),
        "coverage": _stack(sections, _coverage_table, labelled),
        "persons": _stack(sections, lambda s, _: part_table("person", s.persons), labelled),
        "recordings": _stack(
            sections, lambda s, _: part_table("recording", s.recordings), labelled
        ),
        "groups": _stack(sections, lambda s, _: group_table(s.groupings), labelled),
        "comparison": comparison_table(sections),
        "answers": _stack(sections, _answer_table, labelled),
    }
    return {name: table for name, table in tables.items() if table[1]}


def to_csv(table: Table) -> str:
    """Write a table as CSV that a spreadsheet opens without running what a name may hold."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    head, rows = table
    writer.writerows([_cell(value) for value in row] for row in [head, *rows])
    return file.getvalue()


def summary_table(sections: Sequence[Section], baseline: Baseline) -> Table:
    """Return one row a figure, one column a model, and the guess by class frequency."""
    rows: list[list[Any]] = []
    names = [
        "images", "accuracy", "macro_recall", "macro_f1", "ece", "brier", "nll", "threshold",
        "coverage", "accuracy_covered", "accuracy_at_85",
    ]  # fmt: skip
    guess = asdict(baseline)
    for name in names:
        rows.append([name, *(getattr(s.evaluation, name) for s in sections), guess.get(name)])
        if hasattr(sections[0].evaluation, f"{name}_interval"):
            for end, word in enumerate(("low", "high")):
                values = [getattr(s.evaluation, f"{name}_interval")[end] for s in sections]
                rows.append([f"{name}_{word}", *values, None])
    rows.append(["model_id", *(s.evaluation.model_id for s in sections), ""])
    rows.append(["interval_over", *(s.evaluation.over for s in sections), ""])
    head = ["figure", *(s.judged.name for s in sections), f"always {baseline.answer}"]
    return head, rows


def comparison_table(sections: Sequence[Section]) -> Table:
    """Return how each further model differs from the first."""
    head = [
        "model", "compared_with", "accuracy", "accuracy_low", "accuracy_high", "macro_recall",
        "macro_recall_low", "macro_recall_high", "better", "won", "lost",
    ]  # fmt: skip
    rows = [
        [s.judged.name, sections[0].judged.name, d.accuracy, *d.accuracy_interval, d.macro_recall,
         *d.macro_recall_interval, d.better, d.won, d.lost]
        for s in sections
        if (d := s.difference) is not None
    ]  # fmt: skip
    return head, rows


def part_table(kind: str, parts: Iterable[Part]) -> Table:
    """Return one row a person, recording or group."""
    head = [kind, "images", "units", *CLASSES, "accuracy", "low", "high", "macro_recall",
            "answered", "right_of_answered", "few"]  # fmt: skip
    rows = [
        [part.name, part.images, part.units, *part.counts.values(), part.accuracy,
         *part.accuracy_interval, part.macro_recall, part.coverage, part.accuracy_covered,
         "few" if part.small else ""]
        for part in parts
    ]  # fmt: skip
    return head, rows


def group_table(groupings: Sequence[Fairness]) -> Table:
    """Return one row a group of each grouping."""
    head, rows = part_table("group", [])
    for found in groupings:
        rows += [[found.grouping, *row] for row in part_table("group", found.parts)[1]]
    return ["grouping", *head], rows


def _stack(sections: Sequence[Section], table: Any, labelled: FaceSet) -> Table:
    """Return one model's table below the other's, with the model's name in front."""
    made = [(s.judged.name, table(s, labelled)) for s in sections]
    head: list[str] = made[0][1][0]
    return ["model", *head], [[name, *row] for name, (_, rows) in made for row in rows]


def _class_table(found: Section, labelled: FaceSet) -> Table:
    figures = class_figures(found.judged.probabilities, labelled.labels)
    return ["class", "images", "precision", "recall", "f1", "auc"], [
        [f.name, f.images, f.precision, f.recall, f.f1, f.auc] for f in figures
    ]


def _confusion_table(found: Section, _labelled: FaceSet) -> Table:
    head = ["label", *(f"said_{name}" for name in CLASSES),
            *(f"share_{name}" for name in CLASSES)]  # fmt: skip
    counts, rates = found.evaluation.confusion, found.evaluation.confusion_rates
    return head, [[name, *counts[index], *rates[index]] for index, name in enumerate(CLASSES)]


def _reliability_table(found: Section, _labelled: FaceSet) -> Table:
    return ["from", "to", "images", "confidence", "accuracy"], [
        [b.low, b.high, b.images, b.confidence, b.accuracy] for b in found.bins
    ]


def _coverage_table(found: Section, _labelled: FaceSet) -> Table:
    count = len(found.coverage)
    at = np.unique(np.linspace(0, count - 1, min(count, _CURVE_ROWS)).astype(int))
    columns = (found.thresholds[at], found.coverage[at], found.accuracy[at])
    return ["threshold", "answered", "right_of_answered"], [
        [float(value) for value in row] for row in zip(*columns, strict=True)
    ]


def _answer_table(found: Section, labelled: FaceSet) -> Table:
    head = ["file", "person", "recording", "label", "said", *(f"p_{name}" for name in CLASSES),
            "answered"]  # fmt: skip
    p = found.judged.probabilities
    rows: list[list[Any]] = [
        [str(labelled.files[i]), str(labelled.persons[i]), str(labelled.recordings[i]),
         CLASSES[labelled.labels[i]], CLASSES[p[i].argmax()], *map(float, p[i]),
         "yes" if p[i].max() >= found.judged.threshold else "no"]
        for i in range(len(labelled))
    ]  # fmt: skip
    return head, rows


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    if isinstance(value, str):
        return guard(value)
    return "" if value is None else value

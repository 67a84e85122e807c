# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The report of an evaluation: one page that needs nothing else, its tables and its figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotion_perception.training import figures, wording
from emotion_perception.training.evaluate import (
    Evaluation,
    Judged,
    compare,
    evaluate_judged,
    require_labels,
)
from emotion_perception.training.faces import DataError, FaceSet
from emotion_perception.training.metrics import baseline
from emotion_perception.training.output_folder import new_folder, refuse_existing
from emotion_perception.training.report_page import PARTS_SHOWN, Picture, page_of
from emotion_perception.training.report_tables import Section, csv_tables, section, to_csv

PAGE = "index.html"
_SHEET = 48


def write_report(
    directory: Path, faces: FaceSet, judged: Sequence[Judged], *, title: str, data: str,
    learning: dict[str, figures.Curve] | None = None, with_images: bool = False,
) -> list[Evaluation]:  # fmt: skip
    """Score what models said of the same faces and write a report folder.

    The folder is made beside its place and moved there when it is complete. It names files and
    persons, so nobody else may read it (mode 0700).

    Args:
        directory: to write; must not exist.
        faces: the faces; those without a label are left out.
        judged: one entry a model, its probabilities for the labelled faces; the first is what the
            others are compared with.
        title: of the page.
        data: what the faces are, in a few words.
        learning: logged figures of the training, as learning_curves returns them.
        with_images: put sheets of faces in. They are personal data.

    Returns:
        The figures of each model.

    Raises:
        FileExistsError: if the folder exists.
        DataError: if there is no labelled face, or the models judged others.
    """
    refuse_existing(directory)
    labelled = faces.labelled()
    require_labels(labelled)
    for model in judged:
        if len(model.probabilities) != len(labelled):
            raise DataError(
                f"{model.name}: {len(model.probabilities)} answers for {len(labelled)} faces"
            )
    first = judged[0]
    sections = [
        section(
            model, evaluate_judged(model, labelled), labelled,
            None if model is first
            else compare(first.probabilities, model.probabilities, labelled),
        )
        for model in judged
    ]  # fmt: skip
    guess = baseline(labelled.labels)
    pictures = [
        _pictures(found, labelled, index, with_images) for index, found in enumerate(sections)
    ]
    shared = [_coverage_picture(sections)]
    if learning:
        shared.append(_learning_picture(learning))
    page = page_of(title, data, sections, labelled, guess, pictures, shared)
    with new_folder(directory) as work:
        (work / "figures").mkdir()
        for picture in (*shared, *(p for each in pictures for p in each)):
            (work / "figures" / f"{picture.name}.png").write_bytes(picture.png)
        for name, table in csv_tables(sections, labelled, guess).items():
            _write(work / f"{name}.csv", to_csv(table))
        values = [{"name": s.judged.name, **s.evaluation.to_json()} for s in sections]
        _write(work / "evaluation.json", json.dumps({"data": data, "models": values}, indent=2))
        _write(work / PAGE, page)
    return [found.evaluation for found in sections]


def _pictures(found: Section, labelled: FaceSet, index: int, with_images: bool) -> list[Picture]:
    """Return the figures of one model."""
    evaluation, name = found.evaluation, found.judged.name
    stem = f"model{index + 1}"
    made = [
        Picture(
            f"{stem}_confusion",
            figures.confusion_figure(evaluation),
            f"Confusion matrix of {name}. {wording.what_it_confuses(evaluation)}",
            "Each row: what the model says of faces that people call so. The diagonal is right.",
        ),
        Picture(
            f"{stem}_reliability",
            figures.reliability_figure(found.bins),
            f"Reliability diagram of {name}. {wording.how_sure(evaluation)}",
            "On the dashed line the model is as sure as it is right; below it, it is too sure.",
        ),
    ]
    parts = [(f"{stem}_{n + 1}", f.grouping, f.parts) for n, f in enumerate(found.groupings)]
    parts += [(f"{stem}_persons", "person", found.persons)] if len(found.persons) > 1 else []
    parts += [(f"{stem}_recordings", "recording", found.recordings)] if (
        len(found.recordings) > 1
    ) else []  # fmt: skip
    for file, kind, rows in parts:
        shown = rows[:PARTS_SHOWN]
        rest = (
            f" The {PARTS_SHOWN} with the lowest share of {len(rows)}."
            if len(rows) > PARTS_SHOWN
            else ""
        )
        listed = ", ".join(f"{p.name} {wording.percent(p.accuracy)}" for p in shown[:8])
        made.append(
            Picture(
                file,
                figures.parts_figure(shown, evaluation.accuracy),
                f"Share of right answers of {name} by {kind}: {listed}",
                f"Share of right answers by {kind}; number of images in brackets.{rest}",
            )
        )
    return made + (_sheets(found, labelled, stem) if with_images else [])


def _sheets(found: Section, labelled: FaceSet, stem: str) -> list[Picture]:
    """Return sheets of the surest mistakes and of right answers drawn at random."""
    p = found.judged.probabilities
    right = p.argmax(axis=1) == labelled.labels
    wrong_at = np.flatnonzero(~right)
    surest = wrong_at[np.argsort(-p[wrong_at].max(axis=1), kind="stable")][:_SHEET]
    right_at = np.flatnonzero(right)
    drawn: NDArray[np.int64] = np.sort(np.random.default_rng(0).permutation(right_at)[:_SHEET])
    made = []
    for kind, chosen, words in (
        ("wrong", surest, f"The {len(surest)} mistakes it is surest of, of {len(wrong_at):,}"),
        ("right", drawn, f"{len(drawn)} right answers, drawn at random of {len(right_at):,}"),
    ):
        if len(chosen):
            made.append(
                Picture(
                    f"{stem}_{kind}",
                    figures.contact_sheet(labelled, p, chosen),
                    f"{words}: faces with what people and what the model say.",
                    f"{words}. The colour of the frame is the answer.",
                    wide=True,
                )
            )
    return made


def _coverage_picture(sections: Sequence[Section]) -> Picture:
    lines = [(s.judged.name, (s.coverage, s.accuracy)) for s in sections]
    points = [(s.evaluation.coverage, s.evaluation.accuracy_covered) for s in sections]
    alt = "; ".join(
        f"{s.judged.name}: answering all, {wording.percent(s.evaluation.accuracy)} are right; the "
        f"surest 85 %, {wording.percent(s.evaluation.accuracy_at_85)}"
        for s in sections
    )
    return Picture(
        "coverage",
        figures.coverage_figure(lines, points),
        f"Accuracy against the share of images answered. {alt}.",
        "The fewer faces a model must answer, the surer it may be: to the left, it says "
        "“I don't know” more often.",
    )


def _learning_picture(curves: dict[str, figures.Curve]) -> Picture:
    last = ", ".join(f"{name} {values[-1]:.3f}" for name, (_, values) in curves.items())
    return Picture(
        "learning", figures.learning_figure(curves),
        f"Learning curves; at the last epoch: {last}.", "What was logged in each epoch.",
    )  # fmt: skip


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")

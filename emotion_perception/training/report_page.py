# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The page of a report: HTML that fetches nothing, runs nothing and escapes every name."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import numpy as np

import emotion_perception
from emotion_perception.training import wording
from emotion_perception.training.evaluate import Evaluation
from emotion_perception.training.faces import FaceSet
from emotion_perception.training.groups import SMALL, Fairness, Part
from emotion_perception.training.metrics import Baseline, class_figures
from emotion_perception.training.report_tables import Section

PARTS_SHOWN = 20
"""Persons or recordings that the page lists; the CSV files have all."""

_STYLE = """
:root{color-scheme:light}body{font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff;
max-width:62rem;margin:2rem auto;padding:0 1rem}h1{line-height:1.2}h2{margin-top:2.5rem;
border-bottom:1px solid #ccc}table{border-collapse:collapse;margin:1rem 0;font-size:.9rem}
caption{text-align:left;color:#555;padding:.2rem 0}th,td{padding:.25rem .7rem;text-align:right;
border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left;max-width:26rem;
min-width:7rem;
overflow-wrap:anywhere}td{white-space:nowrap}td:first-child{white-space:normal}
thead th{border-bottom:2px solid #888}.short{background:#f2f6fa;
border-left:4px solid #0072b2;padding:.5rem 1.2rem}.few td{color:#777}.wide{overflow-x:auto}
figure{display:inline-block;margin:.5rem 1rem .5rem 0;vertical-align:top;width:29rem;max-width:100%}
figure.wide{width:100%}.short h2{margin-top:.6rem;border:0}
figure img{max-width:100%;height:auto}figcaption{font-size:.85rem;color:#555;max-width:34rem}
"""


@dataclass(frozen=True)
class Picture:
    """A figure of the report.

    Attributes:
        name: of its file.
        png: its content.
        alt: what it shows, for those who cannot see it.
        caption: below it.
        wide: whether it takes the width of the page.
    """

    name: str
    png: bytes
    alt: str
    caption: str
    wide: bool = False


def page_of(
    title: str,
    data: str,
    sections: Sequence[Section],
    labelled: FaceSet,
    guess: Baseline,
    pictures: Sequence[Sequence[Picture]],
    shared: Sequence[Picture],
) -> str:
    """Return the page.

    Args:
        title: of the page.
        data: what the faces are.
        sections: one a model.
        labelled: the faces.
        guess: by class frequency.
        pictures: of each model.
        shared: pictures of all models.
    """
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    counts = ", ".join(f"{count:,} {name}" for name, count in labelled.counts().items())
    parts = [
        f"<p>{_text(data)}: {len(labelled):,} labelled faces ({counts}). Written {now} by "
        f"emotion_perception {_text(emotion_perception.__version__)}.</p>"
    ]
    several = len(sections) > 1
    for found in sections:
        parts.append(_short(found, guess, sections[0].judged.name, several))
    parts.append("<h2>Figures</h2>" + _summary(sections, guess))
    parts.append(f"<p>{_text(wording.drawn_over(sections[0].evaluation.over))}</p>")
    parts += [_picture(picture) for picture in shared]
    for found, own in zip(sections, pictures, strict=True):
        heading = f"Model {found.judged.name}" if several else "In detail"
        parts.append(f"<h2>{_text(heading)}</h2>")
        parts.append(_classes(found, labelled))
        parts += [_picture(picture) for picture in own]
        for grouping in found.groupings:
            parts.append(_part_table(f"By {grouping.grouping}", grouping.parts, grouping))
        parts.append(_part_table("By person", found.persons))
        parts.append(_part_table("By recording", found.recordings))
    parts.append(_glossary())
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        # Nothing is fetched and no script runs, whatever a name holds.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main><h1>{_text(title)}</h1>\n{body}\n</main></body></html>\n"
    )


def _short(found: Section, guess: Baseline, first: str, several: bool) -> str:
    evaluation = found.evaluation
    sentences = [
        wording.how_often_right(evaluation, guess),
        wording.how_often_unknown(evaluation),
        wording.what_it_confuses(evaluation),
        wording.how_sure(evaluation),
        *wording.for_whom_worse(found.groupings, found.persons),
    ]
    if found.difference is not None:
        sentences.insert(0, wording.how_different(found.judged.name, first, found.difference))
    heading = f"In short: {found.judged.name}" if several else "In short"
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
    return f'<section class="short"><h2>{_text(heading)}</h2><ul>{items}</ul></section>'


def _summary(sections: Sequence[Section], guess: Baseline) -> str:
    several = len(sections) > 1
    rows: list[list[str]] = []

    def row(name: str, show: Any, guessed: str = "") -> None:
        rows.append([name, *(show(found.evaluation) for found in sections), guessed])

    def share(name: str) -> Any:
        def show(evaluation: Evaluation) -> str:
            text = wording.percent(getattr(evaluation, name), 1)
            bounds = getattr(evaluation, f"{name}_interval", None)
            return f"{text} ({wording.between(bounds, 1)})" if bounds else text

        return show

    row("Accuracy", share("accuracy"), wording.percent(guess.accuracy, 1))
    row("Macro recall", share("macro_recall"), wording.percent(guess.macro_recall, 1))
    row("Macro F1", share("macro_f1"))
    row("Accuracy of the surest 85 %", share("accuracy_at_85"))
    row("Threshold for an answer", lambda e: f"{e.threshold:.3f}")
    row("Answered", share("coverage"))
    row("Accuracy of these", share("accuracy_covered"))
    row("Calibration error (ECE)", lambda e: f"{e.ece:.4f}")
    row("Brier score", lambda e: f"{e.brier:.3f}", f"{guess.brier:.3f}")
    row("Cross-entropy against the votes", lambda e: f"{e.nll:.3f}", f"{guess.nll:.3f}")
    row("Checkpoint", lambda e: e.model_id)
    head = ["", *(f.judged.name if several else "model" for f in sections),
            f"always “{guess.answer}”"]  # fmt: skip
    return _table("All figures, with 95 % intervals", head, rows)


def _classes(found: Section, labelled: FaceSet) -> str:
    rows = [
        [f.name, f"{f.images:,}", *(wording.percent(v, 1) for v in (f.precision, f.recall, f.f1)),
         "–" if np.isnan(f.auc) else f"{f.auc:.3f}"]
        for f in class_figures(found.judged.probabilities, labelled.labels)
    ]  # fmt: skip
    head = ["class", "images", "precision", "recall", "F1", "AUC"]
    return _table("Classes", head, rows)


def _part_table(caption: str, parts: Sequence[Part], found: Fairness | None = None) -> str:
    if not parts:
        return ""
    rows = [
        [part.name, f"{part.images:,}", f"{part.units:,}", wording.percent(part.accuracy, 1),
         wording.between(part.accuracy_interval), wording.percent(part.macro_recall, 1),
         wording.between(part.macro_recall_interval), wording.percent(part.coverage),
         wording.percent(part.accuracy_covered, 1), "few" if part.small else ""]
        for part in parts[:PARTS_SHOWN]
    ]  # fmt: skip
    if len(parts) > PARTS_SHOWN:
        caption += f" (the {PARTS_SHOWN} worst of {len(parts)}; all are in the CSV file)"
    if found is not None and np.isfinite(found.gap):
        caption += f"; largest gap {100 * found.gap:.1f} points in the recall of "
        caption += f"{' and '.join(found.classes)}, by chance {found.chance:.3f}"
    head = [
        "", "images", "standing alone", "accuracy", "95 %", "macro recall", "95 %", "answered",
        "right of these", "",
    ]  # fmt: skip
    few = [part.small for part in parts[:PARTS_SHOWN]]
    return _table(caption, head, rows, few)


def _table(
    caption: str, head: Sequence[str], rows: Sequence[Sequence[str]],
    grey: Sequence[bool] | None = None,
) -> str:  # fmt: skip
    top = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)
    lines = []
    for index, row in enumerate(rows):
        cells = "".join(f"<td>{_text(cell)}</td>" for cell in row)
        lines.append(
            f'<tr class="few">{cells}</tr>' if grey and grey[index] else f"<tr>{cells}</tr>"
        )
    return (
        f'<div class="wide"><table><caption>{_text(caption)}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    kind = ' class="wide"' if picture.wide else ""
    return (
        f'<figure{kind}><img src="data:image/png;base64,{data}" alt="{_text(picture.alt)}">'
        f"<figcaption>{_text(picture.caption)}</figcaption></figure>"
    )


def _glossary() -> str:
    words = {
        "Accuracy": "share of the faces for which the model says what most people say.",
        "Recall": "of the faces of a class, the share that is found. Macro: the mean over classes.",
        "Precision": "of the answers of a class, the share that is right.",
        "F1": "one figure for recall and precision, their harmonic mean.",
        "AUC": "chance that a face of the class gets a higher probability of it than another face.",
        "ECE": "mean difference between how sure the model is and how often it is right.",
        "Brier score": "squared distance between the probabilities and the label; 0 is best.",
        "Cross-entropy": "how far the probabilities are from how people voted; less is better. "
        "It can't fall to 0 where people disagree.",
        "95 % interval": "where the figure would lie with other images or people of this kind.",
        "Few": f"fewer than {SMALL} images or people that stand alone: shown, not to be relied on.",
    }
    items = "".join(f"<dt><b>{_text(k)}</b></dt><dd>{_text(v)}</dd>" for k, v in words.items())
    return f"<h2>Words</h2><dl>{items}</dl>"


def _text(value: str) -> str:
    # A file name may hold bytes that are no text; they must not stop the page from being written.
    return html.escape(str(value).encode("utf-8", "replace").decode("utf-8"), quote=True)

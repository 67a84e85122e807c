# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How good a recording was and what judged it: the last parts of a session's page."""

from __future__ import annotations

import math

from emotion_perception.sessions.report_data import Summary
from emotion_perception.sessions.report_page import Section, Table
from emotion_perception.sessions.report_wording import (
    CAUSE_NAMES,
    between,
    capital,
    clock,
    duration,
    percent,
)


def quality(summary: Summary) -> Section:
    """Say what hindered the judging, and what could not be read."""
    info = summary.session.info
    rows: list[list[str]] = [
        [capital(CAUSE_NAMES[name]), percent(found.value, 1), duration(found.seconds)]
        for name, found in summary.causes.items()
        if found.seconds > 0
    ]
    texts = []
    blocks: list[Table] = []
    if rows:
        blocks.append(Table("Why there was no answer", ["", "share of the time", "time"], rows))
    elif summary.total:
        texts.append("There was an answer all the time.")
    if summary.states["no_face"].seconds > 0:
        texts.append(
            f"The longest time without the person's face was {duration(summary.longest_gap)}."
        )
    if summary.several > 0:
        texts.append(
            f"Several faces were in view for {percent(summary.several)} of the time; the figures "
            "are those of the one whom the robot took for the person it dealt with."
        )
    if summary.people > 1:
        texts.append(
            f"That person was lost and found again, or changed: {summary.people} faces were "
            "followed one after another, and nobody checked whether they are the same person."
        )
    if info.unreadable:
        parts = [
            [f"{clock(part.start, tenths=True)} to {clock(part.end, tenths=True)}",
             "not known" if part.frames < 0 else str(part.frames), part.why]
            for part in info.unreadable
        ]  # fmt: skip
        blocks.append(Table("Parts that could not be read", ["time", "frames", "why"], parts))
    else:
        texts.append("All of the recording could be read.")
    texts += [f"Note: {note}." for note in info.notes]
    return Section("How good the recording was", texts, blocks)


def judged_by(summary: Summary) -> Section:
    """Say what judged the session, and how far several models agree."""
    info = summary.session.info
    models = Table(
        "Models", ["name", "version", "sure from"],
        [[m.name, m.model_id, percent(m.threshold)] for m in info.models],
    )  # fmt: skip
    texts = [
        f"{info.frames:,} frames were judged"
        + (f", one of every {info.every}" if info.every > 1 else "")
        + (f", of a recording with {info.rate:.3g} frames a second" if info.rate else "")
        + (f" and {info.width}×{info.height} pixels" if info.width else "")
        + (f". Faces were found by {info.detector}" if info.detector else "")
        + "."
    ]
    if len(info.models) > 1:
        texts.append(f"The figures of this page are those of “{info.models[0].name}”.")
    blocks = [models]
    if summary.pairs:
        blocks.append(Table(
            "How far the models agree",
            ["models", "agreement", "95 %", "kappa", "95 %", "both had an answer"],
            [[f"{p.first} and {p.second}", percent(p.agreement.value, 1),
              between(p.agreement.bounds, 1), _number(p.kappa.value),
              f"{p.kappa.bounds[0]:.2f} to {p.kappa.bounds[1]:.2f}".replace("-", "−")
              if math.isfinite(p.kappa.bounds[0]) else "–", duration(p.seconds)]
             for p in summary.pairs],
        ))  # fmt: skip
    return Section("How it was judged", texts, blocks)


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else "–"

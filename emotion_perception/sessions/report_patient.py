# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The page of one patient over weeks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from emotion_perception.sessions import report_charts as charts
from emotion_perception.sessions.report_actions import responses_of
from emotion_perception.sessions.report_data import Estimate
from emotion_perception.sessions.report_page import (
    PATIENT,
    Block,
    Figure,
    Page,
    Section,
    Table,
    Terms,
)
from emotion_perception.sessions.report_patient_wording import (
    difference,
    difference_between,
    in_short,
    sessions_word,
    versions,
)
from emotion_perception.sessions.report_session import WORDS, moment, response_figure
from emotion_perception.sessions.report_svg import Drawing
from emotion_perception.sessions.report_trend import (
    LEAST_EACH,
    MEASURES,
    Change,
    Entry,
    Measure,
    compare_halves,
    in_order,
)
from emotion_perception.sessions.report_trend_charts import trend
from emotion_perception.sessions.report_wording import (
    CAUSE_NAMES,
    and_list,
    between,
    capital,
    duration,
    percent,
    signed,
    signed_between,
)

_FIGURES: Final = (
    ("shares", "Positive and negative time", ("positive", "negative")),
    ("valence", "Mean valence", ("valence",)),
    ("received", "Positive answers to the robot's actions", ("received",)),
)  # fmt: skip

_CAPTIONS: Final = {
    "positive": "▲ how much of the time with an answer the face looked positive",
    "negative": "▼ how much of it negative",
    "valence": "valence is +1 where a face looks surely positive, −1 surely negative",
    "received": "of the actions with a clear answer, the share that was received positively",
}


def patient_page(participant: str, entries: Sequence[Entry]) -> Page:
    """Return the page of a patient.

    Args:
        participant: the pseudonym.
        entries: sessions, in the order in which they were given.
    """
    ordered, dated = in_order(entries)
    changes = compare_halves(ordered)
    actions = [action for entry in ordered for action in entry.actions]
    sections = [
        Section("Over the sessions", _trend_texts(ordered, dated), _trend_figures(ordered)),
        _halves(ordered, changes),
        Section("After the robot's actions", ("All sessions together.",),
                (response_figure(responses_of(actions), actions),)) if actions else None,
        Section("The sessions", (), (_sessions(ordered),)),
        Section("How good the recordings were", (), (_quality(ordered),)),
        _judged_by(ordered),
        Section("Words", (), (Terms(WORDS),)),
    ]  # fmt: skip
    days = [moment(entry.info.started)[:10] for entry in ordered] if dated else []
    count = "1 session" if len(ordered) == 1 else f"{len(ordered)} sessions"
    when = f" · {days[0]} to {days[-1]}" if days and days[0] != days[-1] else ""
    if days and not when:
        when = f" · {days[0]}"
    length = duration(sum(entry.total for entry in ordered))
    return Page(
        kind=PATIENT,
        title=f"Participant {participant} over {count}",
        about=f"Participant {participant} · {count}{when} · {length} in all",
        short=in_short(ordered, dated, changes),
        sections=[section for section in sections if section is not None],
    )


def _trend_texts(entries: Sequence[Entry], dated: bool) -> list[str]:
    order = "in the order of time" if dated else "in the order in which they were given"
    texts = [
        f"The sessions stand {order}, at equal distances however many days lie between them. The "
        "lines are 95 % intervals; where there is none, the session is too short for one."
    ]
    if len(entries) >= 2:
        texts[0] += " The dashed line parts the first half from the second."
    return texts


def _trend_figures(entries: Sequence[Entry]) -> list[Block]:
    figures: list[Block] = []
    by_key = {measure.key: measure for measure in MEASURES}
    for name, title, keys in _FIGURES:
        measures = [by_key[key] for key in keys]
        if not any(math.isfinite(m.of(entry).value) for m in measures for entry in entries):
            continue

        def draw(width: float, ids: str, measures: Sequence[Measure] = measures) -> Drawing:
            return trend(entries, measures, width, ids)

        svg = charts.both(draw, name, f"{title}, session by session. The table has the figures.")
        head = ["session"]
        for measure in measures:
            head += [measure.key if len(measures) > 1 else "figure", "95 %"]
        rows = [
            [_name(at, entry), *(cell for m in measures for cell in _cells(m, m.of(entry)))]
            for at, entry in enumerate(entries, 1)
        ]
        caption = f"{and_list([_CAPTIONS[key] for key in keys])}."
        caption = caption[:1].upper() + caption[1:]
        figures.append(Figure(svg, caption, Table(title, head, rows), title))
    return figures


def _cells(measure: Measure, found: Estimate) -> tuple[str, str]:
    if measure.is_share:
        return percent(found.value), between(found.bounds)
    return signed(found.value), signed_between(found.bounds)


def _halves(entries: Sequence[Entry], changes: Sequence[Change]) -> Section:
    title = "First and second half"
    if len(entries) < 2:
        return Section(title, ("There is one session only: nothing to compare it with.",))
    middle = len(entries) // 2
    rows = []
    for change in changes:
        show = percent if change.measure.is_share else signed
        if not any(change.counts):
            continue
        verdict = {0: "may be chance", 1: "seldom chance", -1: "seldom chance"}[change.verdict]
        if not math.isfinite(change.bounds[0]):
            verdict = "too few sessions" if min(change.counts) < LEAST_EACH else "not known"
        rows.append([
            capital(change.measure.title),
            f"{show(change.first)} ({sessions_word(change.counts[0])})",
            f"{show(change.second)} ({sessions_word(change.counts[1])})",
            difference(change.value, change.measure.is_share), difference_between(change),
            verdict,
        ])  # fmt: skip
    text = (
        f"The first half are sessions 1{f' to {middle}' if middle > 1 else ''}, the second "
        f"{middle + 1}{f' to {len(entries)}' if len(entries) > middle + 1 else ''}. Every session "
        "counts alike. The interval is that of Welch for the difference of two means, with the "
        "sessions as what is counted: it allows for good and bad days, as far as so few days tell."
    )
    head = ["", "first half", "second half", "difference", "95 %", "so"]
    return Section(title, (text,), (Table("Halves", head, rows),) if rows else ())


def _sessions(entries: Sequence[Entry]) -> Table:
    rows = [
        [_name(at, entry), moment(entry.info.started) or "not known", duration(entry.total),
         percent(entry.answered),
         *(percent(entry.answers[name].value) if entry.enough else "too little"
           for name in ("positive", "neutral", "negative")),
         signed(entry.valence.value) if entry.enough else "too little",
         str(entry.events), str(len(entry.actions))]
        for at, entry in enumerate(entries, 1)
    ]  # fmt: skip
    head = [
        "session", "recorded", "length", "with an answer", "positive", "neutral", "negative",
        "mean valence", "events", "actions",
    ]  # fmt: skip
    return Table("The sessions; shares are of the time with an answer", head, rows)


def _quality(entries: Sequence[Entry]) -> Table:
    rows = []
    for at, entry in enumerate(entries, 1):
        poor = {
            name: found.value
            for name, found in entry.causes.items()
            if name not in ("no_face", "low_confidence") and found.value > 0
        }
        worst = max(poor, key=lambda name: poor[name], default="")
        rows.append([
            _name(at, entry), percent(entry.seen) if entry.total else "–",
            percent(entry.causes["low_confidence"].value),
            f"{CAUSE_NAMES[worst]} ({percent(poor[worst])})" if worst else "nothing else",
            percent(entry.several), str(len(entry.info.unreadable)),
        ])  # fmt: skip
    head = [
        "session", "face in view", "not sure", "what else hindered most", "several people",
        "unreadable parts",
    ]  # fmt: skip
    return Table("Quality of each session, in shares of its time", head, rows)


def _judged_by(entries: Sequence[Entry]) -> Section:
    rows = []
    for at, entry in enumerate(entries, 1):
        model = entry.info.models[0]
        rows.append([_name(at, entry), model.model_id, percent(model.threshold),
                     entry.info.recording])  # fmt: skip
    same = len(versions(entries)) == 1
    text = (
        "All sessions were judged by the same model."
        if same
        else "The sessions were judged by different models, or with different thresholds: compare "
        "them with care."
    )
    head = ["session", "model", "sure from", "recording"]
    return Section("How they were judged", (text,), (Table("Models", head, rows),))


def _name(number: int, entry: Entry) -> str:
    return f"{number}: {entry.info.session or entry.info.recording}"

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The page of one session."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from emotion_perception.sessions import report_charts as charts
from emotion_perception.sessions.csv_files import date_and_time
from emotion_perception.sessions.report_actions import ANSWERS, Answer, Responses, count_of
from emotion_perception.sessions.report_columns import columns_of
from emotion_perception.sessions.report_data import Summary, steps
from emotion_perception.sessions.report_frames import STATES
from emotion_perception.sessions.report_page import (
    SESSION,
    Figure,
    Page,
    Picture,
    Section,
    Table,
    Terms,
)
from emotion_perception.sessions.report_quality import judged_by, quality
from emotion_perception.sessions.report_wording import (
    ANSWER_NAMES,
    STATE_NAMES,
    and_list,
    between,
    clock,
    duration,
    in_short,
    percent,
    refused_actions,
    signed,
    signed_between,
)
from emotion_perception.sessions.table import SessionInfo
from emotion_perception.valence.labels import CLASSES

_ROWS: Final = 30  # of the table behind the timeline, at most
_FOLDED: Final = 40  # longer tables are folded

WORDS: Final = (
    ("Valence", "how pleased or displeased a face looks: +1 is surely positive, −1 surely "
     "negative, 0 neutral or undecided."),
    ("Positive, neutral, negative", "what the robot was told at that moment, while the program was "
     "sure enough."),
    ("Not sure", "the face was in view, but too dark, too small, turned away or hard to read."),
    ("No face", "the person's face was not found in the picture."),
    ("Likely 27 to 42 %", "the 95 % interval. In another recording of the same length, on a day "
     "like this one, the figure would be expected within it. It allows for chance only, not for "
     "mistakes of the program. Whole stretches of time are drawn again and again from the "
     "recording (a block bootstrap), because neighbouring frames show the same smile. For counts "
     "of actions it is Wilson's interval."),
    ("Event", "a stretch of time in which the face was clearly negative or positive, found with "
     "the whole recording at hand. It may begin a little earlier than the robot was told."),
    ("Answer to an action", "the seconds after an action compared with those before it, as the "
     "robot does it."),
)  # fmt: skip
AGREEMENT_WORDS: Final = (
    ("Agreement, kappa", "how often two models say the same where both have an answer. Kappa takes "
     "off what chance would give: 1 is full agreement, 0 no more than chance."),
)  # fmt: skip


def session_page(summary: Summary, pictures: Mapping[int, Picture] | None = None) -> Page:
    """Return the page of a session.

    Args:
        summary: what it tells.
        pictures: faces, by the number of the event from 1; none by default.
    """
    info = summary.session.info
    sections = [
        _over_time(summary) if summary.total else None,
        _states(summary) if summary.total else None,
        _actions(summary),
        _events(summary, pictures or {}) if summary.total else None,
        quality(summary),
        judged_by(summary),
        Section("Words", (), (Terms((*WORDS, *(AGREEMENT_WORDS if summary.pairs else ()))),)),
    ]
    return Page(
        kind=SESSION,
        title=f"Session {info.session or info.recording}",
        about=about(info, summary.total),
        short=in_short(summary),
        sections=[section for section in sections if section is not None],
    )


def about(info: SessionInfo, seconds: float) -> str:
    """Say in a line who was recorded, when and for how long."""
    who = f"Participant {info.participant}" if info.participant else "Participant not named"
    when = f"recorded {moment(info.started)}" if info.started else "time of recording not known"
    return f"{who} · {when} · {duration(seconds)} · {info.recording}"


def moment(started: str) -> str:
    """Return a time of recording to the minute with its time zone, as it stands in the table."""
    if ":" not in started:  # a day
        return started
    try:
        time = date_and_time(started)
    except ValueError:
        return started
    zone = f"{time:%z}"
    if zone:
        zone = " UTC" if not time.utcoffset() else f" {zone[:3]}:{zone[3:5]}"
    return f"{time:%Y-%m-%d %H:%M}{zone}"


def _over_time(summary: Summary) -> Section:
    frames = summary.frames
    step = steps(float(frames.times[0]), frames.end, _ROWS)
    count = max(1, math.ceil((frames.end - float(frames.times[0])) / step - 1e-9))
    found = columns_of(frames, count, step)
    order = [*reversed(STATES[:3]), *STATES[3:]]
    rows = []
    for at in range(count):
        begin, end = float(found.edges[at]), float(found.edges[at + 1])
        low, mean, high = (float(v[at]) for v in (found.low, found.mean, found.high))
        rows.append([
            f"{clock(begin, tenths=step < 1)} to {clock(end, tenths=step < 1 or not _whole(end))}",
            *(percent(float(found.shares[at, STATES.index(name)])) for name in order),
            signed(mean), f"{signed(low)} to {signed(high)}" if math.isfinite(mean) else "–",
        ])  # fmt: skip
    table = Table(
        "Over time", ["time", *(STATE_NAMES[name] for name in order), "mean valence", "range"],
        rows,
    )  # fmt: skip
    caption = (
        "Above: the valence of the face; the line is its mean, the shade from the least to the "
        "greatest value where several frames share a point of the line. Where there is no line, no "
        "face could be judged. Below: the taller the bar, the more of that moment was in this "
        "state."
    )
    if summary.events:
        caption += " Events have the numbers of the table of events."
    if summary.actions:
        caption += (
            " The robot's actions: ▲ received positively, ■ neutrally, ▼ negatively, ● no clear "
            "answer, ◆ face not seen."
        )
    label = f"Valence, states and events over {duration(summary.total)}. The table has the figures."
    svg = charts.both(lambda w, name: charts.timeline(summary, w, name), "timeline", label)
    return Section("Over time", (), (Figure(svg, caption, table),))


def _states(summary: Summary) -> Section:
    order = [*reversed(CLASSES), "unknown", "no_face"]
    rows = [
        [STATE_NAMES[name], percent(summary.states[name].value, 1),
         duration(summary.states[name].seconds)]
        for name in order
    ]  # fmt: skip
    label = "Shares of the whole time: " + ", ".join(f"{row[0]} {row[1]}" for row in rows)
    whole = Figure(
        charts.both(lambda w, name: charts.shares(summary, w, name), "shares", label),
        f"All {duration(summary.total)}. In {percent(summary.answered)} of the time there was an "
        "answer: negative, neutral or positive. These shares are counted.",
        Table("Shares of the whole time", ["state", "share", "time"], rows),
        "All the time",
    )
    if not summary.answered:
        return Section("How the face looked", (), (whole,))
    told = [
        [name, percent(found.value, 1), between(found.bounds, 1), duration(found.seconds)]
        for name, found in reversed(summary.answers.items())
    ]
    label = "Shares of the time with an answer: " + ", ".join(f"{r[0]} {r[1]}" for r in told)
    caption = (
        f"Of the {duration(summary.answered * summary.total)} with an answer. The lines are 95 % "
        f"intervals (block bootstrap, blocks of {duration(summary.block)})."
        if any(math.isfinite(found.bounds[0]) for found in summary.answers.values())
        else "Of the time with an answer. The recording is too short for intervals."
    )
    estimated = Figure(
        charts.both(lambda w, name: charts.answers(summary, w, name), "answers", label),
        caption,
        Table("Shares of the time with an answer", ["answer", "share", "95 %", "time"], told),
        "The time with an answer",
    )
    mean = (
        f"The mean valence was {signed(summary.valence.value)}"
        f"{_interval(signed_between(summary.valence.bounds))}, over the "
        f"{duration(summary.valence.seconds)} in which the face was judged, sure or not."
        if summary.valence.seconds
        else ""
    )
    texts = [mean] if mean else []
    if not summary.enough:
        texts.insert(0, "There is too little to conclude anything from these shares.")
    return Section("How the face looked", texts, (whole, estimated))


def _interval(text: str) -> str:
    return "" if text == "–" else f" (95 % interval {text})"


def _actions(summary: Summary) -> Section:
    title = "After the robot's actions"
    if summary.responses is None:
        return Section(title, ("No list of the robot's actions lies beside this session's table.",))
    left_out = refused_actions(summary)
    if not summary.actions:
        return Section(title, (left_out or "The list of the robot's actions is empty.",))
    rows = [
        [str(each.number), clock(each.start, tenths=True), each.action_id or "–",
         ANSWER_NAMES[each.answer], signed(each.change), signed_between(each.bounds)]
        for each in summary.actions
    ]  # fmt: skip
    listed = Table(
        "The robot's actions", ["no.", "when", "action", "answer", "change of valence", "95 %"],
        rows, f"All {len(rows)} actions" if len(rows) > _FOLDED else "",
    )  # fmt: skip
    blocks = (response_figure(summary.responses, summary.actions), listed)
    return Section(title, (left_out,) if left_out else (), blocks)


def response_figure(found: Sequence[Responses], actions: Sequence[Answer]) -> Figure:
    """Return the figure of how each action was received."""
    every = [*found, count_of("all actions", actions)] if len(found) > 1 else found
    table = Table(
        "Answers to each action",
        ["action", "times", *(ANSWER_NAMES[name] for name in (*reversed(CLASSES), *ANSWERS[3:])),
         "positive", "95 %", "negative", "95 %"],
        [
            [each.action_id or "–", str(each.total),
             *(str(each.counts[name]) for name in (*reversed(CLASSES), *ANSWERS[3:])),
             *(text for name in ("positive", "negative")
               for text in (percent(each.share(name)),
                            between(each.bounds[name]) if each.clear else "–"))]
            for each in every
        ],
    )  # fmt: skip
    caption = (
        "How often each action was received in which way. In the table, shares are of the clear "
        "answers, with Wilson's 95 % intervals: with few of them, an interval is wide."
    )
    if len(found) > charts.ACTIONS_SHOWN:
        caption += f" Shown are the {charts.ACTIONS_SHOWN} most frequent of {len(found)} actions."
    label = "Answers to each of the robot's actions. The table has the figures."
    svg = charts.both(lambda w, name: charts.responses(found, w, name), "responses", label)
    return Figure(svg, caption, table)


def _events(summary: Summary, pictures: Mapping[int, Picture]) -> Section:
    count = Counter(event.reaction for event in summary.events)
    texts = []
    if not summary.events:
        texts.append("No clear event was found.")
    else:
        kinds = [f"{count[name]} {name}" for name in reversed(CLASSES) if count[name]]
        texts.append(f"{and_list(kinds)} event{'s' if len(summary.events) > 1 else ''}.")
    if summary.others:
        plural = "events" if summary.others > 1 else "event"
        texts.append(f"{summary.others} {plural} of other people are not shown here.")
    if pictures:
        texts.append(
            "The pictures are personal data: keep this page only for as long as it is needed."
        )
    rows: list[list[str | Picture]] = []
    for number, event in enumerate(summary.events, 1):
        cut = [
            text
            for text, holds in (
                ("may have begun before the recording", event.cut_start),
                ("may have gone on after its end", event.cut_end),
            )
            if holds
        ]
        row: list[str | Picture] = [
            str(number), clock(event.onset, tenths=True),
            ", ".join([duration(event.duration), *cut]),
            event.reaction, f"{signed(event.peak_valence)} at {clock(event.peak, tenths=True)}",
            percent(event.confidence),
        ]  # fmt: skip
        if pictures:
            row.append(pictures.get(number, "–"))
        rows.append(row)
    head = ["no.", "begins", "lasts", "looked", "strongest valence", "how sure"]
    if pictures:
        head.append("face at the strongest moment")
    folded = f"All {len(rows)} events" if len(rows) > _FOLDED else ""
    blocks = (Table("Events", head, rows, folded),) if rows else ()
    return Section("Events", texts, blocks)


def _whole(seconds: float) -> bool:
    return abs(seconds - round(seconds)) < 0.05 or seconds >= 100

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception review`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from emotion_perception.sessions.review_agreement import PairAgreement

_SHOWN = 20
"""Differences of a pair that are listed; --json has all."""


def review(
    table: Annotated[
        Path, typer.Argument(help="Table of a session, from emotion-perception predict.")
    ],
    rater: Annotated[
        Optional[str],  # noqa: UP045 - Typer reads the annotation at run time on Python 3.10
        typer.Option(
            help="Who reviews: a pseudonym of letters, digits and dashes, such as R1; it becomes"
            " part of a file name.",
            show_default=False,
        ),
    ] = None,
    recording: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="The video, to see pictures; without it there are numbers only.",
            show_default=False,
        ),
    ] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Hide what the model said until you have answered.")
    ] = False,
    person: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Whose reactions: partner, all, or a face_id such as f3. Default: partner; with"
            " --export everybody who was rated.",
            show_default=False,
        ),
    ] = None,
    what: Annotated[
        str, typer.Option(help="events: reactions with a start and an end; frames: single ones.")
    ] = "events",
    order: Annotated[
        str,
        typer.Option(
            help="Of events: time, or unsure for those first of which the model is least sure."
            " Frames always come in the order that helps the model most."
        ),
    ] = "time",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Print how far raters agree, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the agreement as JSON.")] = False,
    export: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Write the labels of all raters to this CSV file for emotion-perception capture"
            " --labels, and end.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check and correct in the browser what the model said of a recorded session.

    The page is on this computer only. Answers are stored beside the table, in
    NAME.review.RATER.csv. See docs/review.md.
    """
    if what not in ("events", "frames"):
        raise ValueError(f"--what: expected events or frames, got {what}")
    if order not in ("time", "unsure"):
        raise ValueError(f"--order: expected time or unsure, got {order}")
    if agreement and export is not None:
        raise ValueError("expected one of --agreement and --export")
    if as_json and not agreement:
        raise ValueError("--json: goes with --agreement")
    if agreement or export is not None:
        if rater is not None or recording is not None or blind:
            raise ValueError("--agreement and --export take all raters and show no page")
        if export is None:
            _agreement(table, as_json)
        else:
            _export(table, export, person)
        return
    if rater is None:
        raise ValueError("--rater: who reviews? A pseudonym such as R1")
    _serve(table, rater, recording, blind, person or "partner", what, order, port, browser)


def _serve(
    table: Path, rater: str, recording: Path | None, blind: bool, person: str, what: str,
    order: str, port: int, browser: bool,
) -> None:  # fmt: skip
    import contextlib
    import webbrowser

    from emotion_perception.sessions.ratings import RatingFile, ratings_path
    from emotion_perception.sessions.review import Review, ReviewOptions
    from emotion_perception.sessions.review_items import event_items, frame_items, least_sure_first
    from emotion_perception.sessions.review_pictures import Pictures
    from emotion_perception.sessions.table import SessionError, read_session

    try:
        from emotion_perception.sessions.review_server import ReviewServer
    except ImportError as error:
        raise SessionError(
            f"review needs {error.name}: pip install 'emotion_perception[sessions]'"
        ) from None

    path = ratings_path(table, rater)
    options = ReviewOptions(rater=rater, what=what, blind=blind, pictures=recording is not None)
    session = read_session(table)
    items = event_items(session, person) if what == "events" else frame_items(session, person)
    if what == "events" and order == "unsure":
        items = least_sure_first(items)
    pictures = None if recording is None else Pictures(recording, session)
    with RatingFile(path) as file:
        state = Review(session, items, options, file)
        server = ReviewServer(state, pictures, port)
        typer.echo(f"{len(items)} {what} to review, {state.answered} of them answered")
        if state.elsewhere:
            typer.echo(
                f"{state.elsewhere} answers in {path.name} are of other items (other person,"
                " --what or model, or events found with other settings); they are kept"
            )
        if pictures is None:
            typer.echo("Numbers and lines only; give --recording VIDEO to see pictures")
        with contextlib.suppress(KeyboardInterrupt):  # it may come before the server takes care
            typer.echo(f"Open {server.url}")
            typer.echo("Ctrl-C ends")
            if browser and _has_screen():
                webbrowser.open(server.url)
            server.run()
        typer.echo(f"{state.answered} of {len(items)} {what} answered")
        typer.echo(f"Answers: {path}" if path.stat().st_size else "No answers, nothing written")


def _has_screen() -> bool:
    """Whether a browser has a window; one that runs in the terminal would take it over."""
    import os
    import sys

    return not sys.platform.startswith("linux") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )


def _export(table: Path, path: Path, person: str | None) -> None:
    import shlex

    from emotion_perception.sessions.event_summary import EVERYBODY, PARTNER, check_person
    from emotion_perception.sessions.review_agreement import read_all_ratings
    from emotion_perception.sessions.review_labels import labels_of, write_spans
    from emotion_perception.sessions.table import SessionError, read_session

    if person == PARTNER:
        raise SessionError("--person: with --export give a face_id, or nothing for everybody")
    session = read_session(table)
    face_id = None if person in (None, EVERYBODY) else person
    if face_id is not None:
        check_person(session, face_id)
    found = labels_of(session, read_all_ratings(table), face_id)
    write_spans(path, session.info.recording, found.spans)
    typer.echo(f"{found.taken} labelled items, {len(found.spans)} spans: {path}")
    if len(found.faces) > 1:
        typer.echo(
            f"warning: labels of {len(found.faces)} faces: {', '.join(found.faces)}. If they are"
            " different people, export each by --person FACE_ID",
            err=True,
        )
    if found.ties:
        typer.echo(f"{found.ties} left out: raters differ and no answer has most votes")
    if found.unclear:
        typer.echo(f"{found.unclear} left out: nobody named a class")
    if found.hidden:
        typer.echo(
            f"{found.hidden} left out: a larger face is in view, and capture takes the largest"
        )
    if found.contradicting:
        typer.echo(f"{found.contradicting:.1f} s left out: two events contradict each other")
    typer.echo(
        f"Next: emotion-perception capture PERSON {shlex.quote(session.info.recording)} --data DATA"
        f" --labels {shlex.quote(str(path))}"
    )


def _agreement(table: Path, as_json: bool) -> None:
    from emotion_perception.sessions.review_agreement import compare_raters, read_all_ratings
    from emotion_perception.sessions.table import read_info

    session = read_info(table).session
    pairs = compare_raters(read_all_ratings(table))
    if as_json:
        told = {"session": session, "pairs": [pair.to_json() for pair in pairs]}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for pair in pairs:
        _print(pair)


def _print(pair: PairAgreement) -> None:
    from emotion_perception.valence.labels import CLASSES

    typer.echo(f"{pair.first} and {pair.second}, {pair.kind}: {pair.items} in common")
    clear = pair.items - pair.unclear
    if pair.unclear:
        typer.echo(f"  {pair.unclear} without a class from both (can't tell), not counted below")
    if not clear:
        return
    same = int(pair.counts.trace())
    typer.echo(f"  the same in {same} of {clear}, {100 * pair.agreement:.0f} %")
    if pair.kappa != pair.kappa:
        typer.echo("  Cohen's kappa: not defined, there is only one class")
    else:
        low, high = pair.kappa_interval
        between = f"95 % {low:.2f} to {high:.2f}" if low == low else "no interval"
        typer.echo(f"  Cohen's kappa {pair.kappa:.2f} ({between})")
    if pair.blind < clear:
        typer.echo(f"  {clear - pair.blind} of {clear} not blind: the model's answer was seen")
    width = max(len(name) for name in CLASSES) + 2
    typer.echo(f"  {pair.first} down, {pair.second} across:")
    typer.echo("  " + " " * width + "".join(f"{name:>{width}}" for name in CLASSES))
    for name, row in zip(CLASSES, pair.counts.tolist(), strict=True):
        typer.echo(f"  {name:<{width}}" + "".join(f"{count:>{width}}" for count in row))
    if pair.differences:
        typer.echo("  Different:")
    for found in pair.differences[:_SHOWN]:
        when = f"{found.onset:.1f} s"
        if found.kind == "event":
            when = f"{found.onset:.1f} to {found.offset:.1f} s"
        typer.echo(f"    {when}, {found.face_id}: {found.first}, {found.second}")
    if len(pair.differences) > _SHOWN:
        typer.echo(f"    and {len(pair.differences) - _SHOWN} more; --json lists all")

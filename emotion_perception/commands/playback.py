# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception playback`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from emotion_perception.sessions.overlay import Look
    from emotion_perception.sessions.playback import Playback


def playback(
    recording: Annotated[
        Path, typer.Argument(help="Video, folder of images or ROS 2 bag.", show_default=False)
    ],
    table: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads the annotation at run time on Python 3.10
        typer.Option(help="Its table, NAME.parquet; default: beside it, or in this folder."),
    ] = None,
    person: Annotated[
        str, typer.Option(help="Whose reactions: partner, a face's id such as f3, or all.")
    ] = "partner",
    start: Annotated[str, typer.Option(help="From here; seconds or h:mm:ss.")] = "0",
    end: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="To here; seconds or h:mm:ss.", show_default="its end"),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--render", help="Write it into this video instead of opening a window."),
    ] = None,
    clips: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the stretches around events into this video."),
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="With --clips: a video for each event.")
    ] = False,
    reaction: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="With --clips: negative, positive or neutral; may be given several times.",
            show_default="all",
        ),
    ] = None,
    before: Annotated[
        float, typer.Option(min=0, help="With --clips: seconds before an event.")
    ] = 2.0,
    after: Annotated[
        float, typer.Option(min=0, help="With --clips: seconds after an event.")
    ] = 2.0,
    scale: Annotated[float, typer.Option(help="Of the frames.")] = 1.0,
    max_side: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Shrink larger frames to this longer side, pixels."),
    ] = None,
    blur_others: Annotated[
        bool, typer.Option("--blur-others", help="Blur the faces of all but --person.")
    ] = False,
    blur_all: Annotated[bool, typer.Option("--blur-all", help="Blur every face.")] = False,
    topic: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Image topic of a bag that has several."),
    ] = None,
) -> None:
    """Look at a recording together with what was seen in it, or write that into a video.

    In the window: space pauses, the arrows move, h shows all keys, q quits.
    """
    from emotion_perception.sessions.lettering import parse_time
    from emotion_perception.sessions.overlay import Look
    from emotion_perception.sessions.playback import open_playback, render
    from emotion_perception.sessions.table import SessionError

    if output is not None and clips is not None:
        raise SessionError("expected one of --render and --clips")
    if clips is None and (each or reaction):
        raise SessionError("--each, --reaction: go with --clips")
    if clips is not None and (parse_time(start, "--start") > 0 or end is not None):
        raise SessionError("--start, --end: go without --clips")
    if blur_others and blur_all:
        raise SessionError("expected one of --blur-others and --blur-all")
    first = parse_time(start, "--start")
    last = None if end is None else parse_time(end, "--end")
    look = Look(
        person=person, scale=scale, max_side=max_side,
        blur="all" if blur_all else "others" if blur_others else "",
    )  # fmt: skip
    opened = open_playback(recording, table, person=person, topic=topic)
    with opened.frames:
        try:
            if clips is not None:
                _clips(opened, clips, look, reaction or [], before, after, each)
            elif output is not None:
                with _progress("Writing") as progress:
                    count = render(opened, output, look, start=first, end=last, progress=progress)
                typer.echo(f"{output}: {_count(count, 'frame')}")
            else:
                _play(opened, look, first, last)
        except KeyboardInterrupt:
            if output is not None or clips is not None:
                typer.echo("stopped; nothing was written", err=True)
            raise typer.Exit(130) from None


def _clips(
    opened: Playback, output: Path, look: Look, reactions: list[str], before: float, after: float,
    each: bool,
) -> None:  # fmt: skip
    from emotion_perception.sessions.clips import choose_events, plan_clips, write_clips
    from emotion_perception.sessions.lettering import hms
    from emotion_perception.sessions.table import SessionError
    from emotion_perception.valence.labels import CLASSES

    for reaction in reactions:
        if reaction not in CLASSES:
            raise SessionError(f"--reaction: expected one of {', '.join(CLASSES)}, got {reaction}")
    events = choose_events(opened, reactions)
    clips = plan_clips(events, before, after, opened.length, merge=not each)
    with _progress("Writing") as progress:
        paths = write_clips(opened, output, look, clips, each=each, progress=progress)
    total = sum(clip.end - clip.start for clip in clips)
    counted = f"{_count(len(events), 'event')} in {_count(len(clips), 'clip')}, {hms(total)}"
    typer.echo(f"{paths[0] if len(paths) == 1 else f'{paths[0]} and so on'}: {counted}")
    typer.echo(f"{output.with_suffix('.csv')}: where each event is")


def _play(opened: Playback, look: Look, start: float, end: float | None) -> None:
    from emotion_perception.sessions.player import Player, fitted
    from emotion_perception.window import Window

    name = opened.session.info.session
    window = Window(f"{name}: h shows the keys, q quits", "use --render OUT.mp4")
    try:
        look = fitted(look, opened.frames.size, window.desktop())
        Player(opened, window, look, start=start, end=end).run()
    finally:
        window.close()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float, float], None]]:
    """Show a bar on the terminal; hand out what moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=max(total, 1e-6))

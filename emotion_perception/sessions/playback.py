# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A recording together with what was seen in it: opened for a window, or rendered into a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_perception.sessions.event_summary import PARTNER, choose_person
from emotion_perception.sessions.events import Event, events_of
from emotion_perception.sessions.frames import Frames, check_recording
from emotion_perception.sessions.overlay import Look, Overlay
from emotion_perception.sessions.seen import Seen
from emotion_perception.sessions.table import SUFFIX, Session, SessionError, read_session
from emotion_perception.sessions.video_file import VideoFile, check_output

Progress = Callable[[float, float], None]
"""Takes seconds that are done, and those there are in all."""


def find_table(recording: Path, table: Path | None = None) -> Path:
    """Return the table of a recording: the one named, or beside it, or in the working folder.

    Raises:
        SessionError: there is none.
    """
    if table is not None:
        return table
    if not recording.exists():
        raise SessionError(f"{recording}: no such file or folder")
    name = (recording.name if recording.is_dir() else recording.stem) + SUFFIX
    for folder in (recording.parent, Path()):
        if (folder / name).is_file():
            return folder / name
    raise SessionError(
        f"{recording}: no {name} beside it or in this folder; make it by emotion-perception"
        " predict, or name it by --table"
    )


@dataclass(frozen=True, eq=False)
class Playback:
    """A recording, its table and its events.

    Attributes:
        recording: its path.
        session: its table.
        seen: the same, by frame.
        frames: of the recording.
        events: of the chosen person, in order of time.
        all_events: of everybody.
        person: chosen: partner, all, or an id.
        length: seconds.
    """

    recording: Path
    session: Session
    seen: Seen
    frames: Frames
    events: tuple[Event, ...]
    all_events: tuple[Event, ...]
    person: str
    length: float

    def overlay(self, look: Look) -> Overlay:
        """Return what draws the pictures."""
        return Overlay(
            self.seen, self.session.info, self.frames.size, look, self.events, self.length
        )


def open_playback(
    recording: Path, table: Path | None = None, *, person: str = PARTNER, topic: str | None = None
) -> Playback:
    """Open a recording with its table.

    Args:
        recording: a video, an image, a folder of images or a bag.
        table: of the recording; see `find_table`.
        person: whose reactions and events: partner, all, or an id.
        topic: of a bag that has several with images.

    Returns:
        What is to be closed by its ``frames``. The events are those of the file beside the table;
        where there is none they are found anew.

    Raises:
        SessionError: no table, one of another recording, or without such a person.
        SourceError: the recording cannot be read.
    """
    session = read_session(find_table(recording, table))
    info = session.info
    seen = Seen(session)
    events = events_of(session)
    chosen = choose_person(session, events, person)
    frames = Frames(
        recording, seen.indices, seen.times, topic=topic, rate=info.rate, seek=info.exact
    )
    try:
        check_recording(recording, frames.size, session)
    except BaseException:
        frames.close()
        raise
    length = max([info.seconds, float(seen.times[-1]), *(part.end for part in info.unreadable)])
    return Playback(recording, session, seen, frames, tuple(chosen), tuple(events), person, length)


def event_text(events: Sequence[Event], seconds: float) -> str:
    """Name the event at a time, or return nothing."""
    for number, event in enumerate(events, 1):
        if event.onset <= seconds < event.offset:
            return f"event {number}/{len(events)}"
    return ""


def render(
    playback: Playback, output: Path, look: Look, *, start: float = 0.0, end: float | None = None,
    progress: Progress | None = None,
) -> int:  # fmt: skip
    """Write what a window would show into a video; it appears whole or not at all.

    Frames keep their times, from the first one that is written.

    Args:
        playback: the recording.
        output: of the video; see `check_output`.
        look: of the pictures.
        start: seconds.
        end: seconds; None is the end of the recording.
        progress: is told how far it is.

    Returns:
        How many frames were written.

    Raises:
        SessionError: nothing lies between start and end, or the name is no good.
        SourceError: the recording cannot be read.
        OSError: the video cannot be written.
    """
    check_output(output, playback.recording, playback.session.path)
    stop = math.inf if end is None else end
    if start > playback.length or stop <= start:
        raise SessionError(
            f"--start, --end: expected start before end, within {playback.length:.1f} s, got"
            f" {start:g} and {'the end' if end is None else f'{end:g}'}"
        )
    overlay = playback.overlay(look)
    count, first, step = 0, 0.0, 0.04
    with VideoFile(output, overlay.size) as video:
        for frame, following in playback.frames.between(start, stop):
            first = frame.time if not count else first
            step = following - frame.time if following is not None else step
            picture = overlay.draw(frame, frame.time, right=event_text(playback.events, frame.time))
            video.add(frame.time - first, picture, min(step, max(stop - frame.time, 0.001)))
            count += 1
            if progress is not None:
                progress(frame.time - start, min(stop, playback.length) - start)
        video.finish()
        video.keep()
    return count

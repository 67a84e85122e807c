# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The stretches around events, cut out of a recording into one video, or a video each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from emotion_perception.sessions.csv_files import refuse_others, write_csv
from emotion_perception.sessions.events import Event
from emotion_perception.sessions.lettering import hms
from emotion_perception.sessions.overlay import Look, Overlay
from emotion_perception.sessions.playback import Playback, Progress
from emotion_perception.sessions.table import SessionError
from emotion_perception.sessions.video_file import VideoFile, check_output

CSV_FIELDS: Final = (
    "session", "event", "reaction", "face_id", "onset_s", "offset_s", "file", "clip",
    "clip_from_s", "clip_to_s", "onset_in_file_s", "offset_in_file_s",
)  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """A stretch of a recording.

    Attributes:
        start: seconds.
        end: seconds.
        events: that it shows, each with its number among all of the chosen person's.
    """

    start: float
    end: float
    events: tuple[tuple[int, Event], ...]


def choose_events(playback: Playback, reactions: Sequence[str] = ()) -> list[tuple[int, Event]]:
    """Return events of the chosen person with their numbers, from 1.

    Args:
        playback: the recording.
        reactions: which ones; all if empty.

    Raises:
        SessionError: there is none of these.
    """
    numbered = list(enumerate(playback.events, 1))
    chosen = [(n, event) for n, event in numbered if not reactions or event.reaction in reactions]
    if not chosen:
        what = " or ".join(reactions) or "negative or positive"
        raise SessionError(
            f"{playback.session.path}: no {what} event of {playback.person} to cut out"
            f" (events of that person: {len(playback.events)}, in all: {len(playback.all_events)})"
        )
    return chosen


def plan_clips(
    events: Iterable[tuple[int, Event]], before: float, after: float, length: float,
    merge: bool = True,
) -> list[Clip]:  # fmt: skip
    """Return the stretches around events, in order of time.

    Args:
        events: with their numbers, in order of onset.
        before: seconds before an event's onset.
        after: seconds after its offset.
        length: of the recording, seconds.
        merge: make one clip of those that overlap or touch.
    """
    clips: list[Clip] = []
    for number, event in events:
        start = max(0.0, event.onset - before)
        # To just behind the last frame.
        end = min(event.offset + after, length + 1e-3)
        last = clips[-1] if clips else None
        if merge and last is not None and start <= last.end:
            both = (*last.events, (number, event))
            clips[-1] = Clip(last.start, max(last.end, end), both)
        else:
            clips.append(Clip(start, end, ((number, event),)))
    return clips


def write_clips(
    playback: Playback, output: Path, look: Look, clips: Sequence[Clip], *, each: bool = False,
    progress: Progress | None = None,
) -> list[Path]:  # fmt: skip
    """Write clips one after another into one video, and a table that says where each event is.

    All files appear whole, once all are done, or none does.

    Args:
        playback: the recording.
        output: of the video; the table has its name and ends in ``.csv``.
        look: of the pictures.
        clips: of `plan_clips`.
        each: write a file for each clip, named by the number and reaction of its event.
        progress: is told how far it is.

    Returns:
        The videos.

    Raises:
        SessionError: a name is no good.
        SourceError: the recording cannot be read.
        OSError: a file cannot be written.
    """
    paths = [_name(output, clip) for clip in clips] if each else [output]
    table = output.with_suffix(".csv")
    for path in paths:
        check_output(path, playback.recording, playback.session.path)
    if table.exists():
        refuse_others(table, CSV_FIELDS)
    overlay = playback.overlay(replace(look, caption=True))
    total, done = sum(clip.end - clip.start for clip in clips), 0.0
    rows: list[tuple[str, ...]] = []
    with ExitStack() as stack:
        video = None
        videos: list[VideoFile] = []
        at = 0.0
        for number, clip in enumerate(clips, 1):
            if video is None or each:
                video = stack.enter_context(VideoFile(paths[len(videos)], overlay.size))
                videos.append(video)
                at = 0.0
            origin, until = _add(playback, overlay, video, clip, at)
            for event_number, event in clip.events:
                rows.append(
                    (
                        event.session, str(event_number), event.reaction, event.face_id,
                        f"{event.onset:.6f}", f"{event.offset:.6f}", video.path.name, str(number),
                        f"{at:.6f}", f"{until:.6f}", f"{event.onset - origin:.6f}",
                        f"{event.offset - origin:.6f}",
                    )
                )  # fmt: skip
            at = until
            done += clip.end - clip.start
            if progress is not None:
                progress(done, total)
            if each:
                video.finish()
        if video is not None and not each:
            video.finish()
        for video in videos:
            video.keep()
    write_csv(table, CSV_FIELDS, rows)
    return paths


def _add(
    playback: Playback, overlay: Overlay, video: VideoFile, clip: Clip, at: float
) -> tuple[float, float]:
    """Add a clip to a video at a time.

    Returns:
        What to take from a time in the recording to get that in the video; the clip's end there.
    """
    origin, until, step = None, at, 0.04
    for frame, following in playback.frames.between(clip.start, clip.end):
        origin = frame.time - at if origin is None else origin
        step = following - frame.time if following is not None else step
        shown = min(step, max(clip.end - frame.time, 0.001))
        caption = _caption(playback, clip, frame.time)
        video.add(frame.time - origin, overlay.draw(frame, frame.time, caption=caption), shown)
        until = frame.time - origin + shown
    return clip.start - at if origin is None else origin, until


def _caption(playback: Playback, clip: Clip, seconds: float) -> tuple[str, str, str, str]:
    """Return the lines above a frame: those of the event going on, coming next, or just over."""
    number, event = next(
        ((n, event) for n, event in clip.events if seconds < event.offset), clip.events[-1]
    )
    who = f", {event.face_id}" if event.face_id else ""
    return (
        event.session, hms(seconds, 2),
        f"event {number}/{len(playback.events)}: {event.reaction}{who}",
        f"{hms(event.onset)} – {hms(event.offset)}",
    )  # fmt: skip


def _name(output: Path, clip: Clip) -> Path:
    number, event = clip.events[0]
    return output.with_name(f"{output.stem}-{number:03}-{event.reaction}{output.suffix}")

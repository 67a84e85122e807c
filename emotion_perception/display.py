# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reactions in a camera or recording, on the screen or as text, without ROS."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from rich.console import Console

from emotion_perception.image.source import open_source
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.reaction.reaction import FaceReaction, Reaction
from emotion_perception.window import Window

TEXT_EVERY_S = 0.5


def display(
    source: str, *, window: bool, model: Path | None, device: str, min_face_size: int
) -> Counter[str]:
    """Play a source and show the partner's reaction in each frame.

    Args:
        source: webcam index, video, GIF, image or folder.
        window: open a window (q, Escape or closing it quits); else print a line twice a second.
        model: checkpoint folder, or None for the shipped weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        min_face_size: smallest face that is looked for, pixels.

    Returns:
        Number of frames with each reaction; frames without a face count as ``NO_FACE``.

    Raises:
        SourceError: if the source cannot be read.
        WindowError: if no window can be opened.
    """
    console = Console(highlight=False)
    totals: Counter[str] = Counter()
    with open_source(source) as frames:
        pipeline = ReactionPipeline(model, device=device, min_face_size=min_face_size)
        if pipeline.device_warning:
            console.print(f"[yellow]{pipeline.device_warning}[/]")
        pipeline.warm_up()
        screen = Window("emotion_perception: q quits") if window else None
        started, printed, busy = time.monotonic(), -TEXT_EVERY_S, 0.0
        try:
            for frame in frames:
                before = time.perf_counter()
                reactions = pipeline.run(frame.image, frame.time)
                took = time.perf_counter() - before
                busy += took
                totals[reactions[0].reaction.name if reactions else "NO_FACE"] += 1
                # A recording is shown at its own speed; a camera has one already.
                if not frames.live:
                    time.sleep(max(0.0, started + frame.time - time.monotonic()))
                if screen is not None:
                    caption = f"{took * 1e3:.1f} ms"
                    if not screen.show(pipeline.draw(frame.image, reactions, caption)):
                        break
                elif frame.time - printed >= TEXT_EVERY_S:
                    printed = frame.time
                    console.print(text_line(frame.time, reactions, took))
        except KeyboardInterrupt:
            pass
        finally:
            if screen is not None:
                screen.close()
    count = totals.total()
    console.print(f"{count} frames, {busy / max(count, 1) * 1e3:.1f} ms each:")
    for name, number in totals.most_common():
        console.print(f"  {name.lower().replace('_', ' '):10} {number:6}  {number / count:.0%}")
    return totals


def text_line(seconds: float, reactions: list[FaceReaction], took: float) -> str:
    """Describe one frame in a line of rich markup."""
    if not reactions:
        return f"{seconds:7.2f} s  no face"
    first = reactions[0]
    colour = {"POSITIVE": "green", "NEGATIVE": "red", "NEUTRAL": "cyan"}.get(
        first.reaction.name, ""
    )
    name = f"[{colour}]{first.reaction.name:9}[/]" if colour else f"{first.reaction.name:9}"
    shares = "  ".join(
        f"{verdict.name.lower()} {probability:.2f}"
        for verdict, probability in zip(list(Reaction)[1:], first.probabilities, strict=True)
    )
    others = f"  +{len(reactions) - 1} more" if len(reactions) > 1 else ""
    return f"{seconds:7.2f} s  {name}  {shares}  {took * 1e3:.1f} ms{others}"

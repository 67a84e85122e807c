# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception display`."""

from __future__ import annotations

from typing import Annotated

import typer

from emotion_perception.commands.options import DeviceOption, ModelOption


def display(
    source: Annotated[
        str, typer.Option(help="Webcam index, video, GIF, image, or folder of images.")
    ] = "0",
    window: Annotated[bool, typer.Option(help="Open a window; q quits.")] = True,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    min_face_size: Annotated[
        int, typer.Option(min=20, help="Smallest face looked for, pixels.")
    ] = 40,
) -> None:
    """Show the reactions in a camera or recording, without ROS."""
    from emotion_perception.display import display as run

    run(source, window=window, model=model, device=device, min_face_size=min_face_size)

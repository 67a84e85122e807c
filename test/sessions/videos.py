# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Videos whose frames tell their own number, and tables to go with them."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

BITS, SIDE = 10, 24
GREY = 96


def coded(index, size=(640, 480)):
    """Return a grey uint8 BGR frame whose upper rows tell a number."""
    frame = np.full((size[1], size[0], 3), GREY, np.uint8)
    for bit in range(BITS):
        frame[8:32, 8 + bit * SIDE : 8 + (bit + 1) * SIDE] = 230 if index >> bit & 1 else 20
    return frame


def number_in(image, *, top=0, scale=1.0):
    """Return the number that an image tells whose frame begins at row ``top``."""
    y = top + round(20 * scale)
    columns = [round((8 + (bit + 0.5) * SIDE) * scale) for bit in range(BITS)]
    return sum(int(image[y, x].mean() > 128) << bit for bit, x in enumerate(columns))


def write_video(path, times, *, size=(640, 480), frames=None, gop=12, b_frames=0, codec="libx264"):
    """Write a video with frames at some times, seconds."""
    import av

    tick = Fraction(1, 60_000)
    options = {"g": str(gop), "bf": str(b_frames), "preset": "ultrafast", "crf": "18"}
    if codec == "libx264":
        options |= {"sc_threshold": "0", "x264-params": "b-adapt=0:b-pyramid=none"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = tick
        for index, seconds in enumerate(times):
            image = coded(index, size) if frames is None else frames[index]
            frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(seconds / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_video(path):
    """Return the times, seconds, and the BGR images of a video, as a player sees them."""
    import av

    with av.open(str(path)) as container:
        frames = [
            (frame.time, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)
        ]
    return np.array([time for time, _ in frames]), [image for _, image in frames]


def change_table(path, change=None, **told):
    """Rewrite a table: its rows by a function of the data frame, and what it is about."""
    import pyarrow as pa

    from emotion_perception.sessions.table import read_session, schema, write_table

    session = read_session(path, landmarks=True)
    rows = session.rows
    if change is not None:
        changed = change(rows)
        rows = rows if changed is None else changed
    info = replace(session.info, **told)
    table = pa.Table.from_pandas(rows, schema=schema(info.models), preserve_index=False)
    write_table(path, info, [table])
    return path

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Real videos for the tests: the demo clip with its two portraits, encoded by FFmpeg."""

from fractions import Fraction
from functools import cache

import av

from emotion_perception.image.demo_clip import demo_frames


@cache
def _clip():
    return [frame for index, frame in enumerate(demo_frames(15.0)) if index % 3 == 0]


def portraits(count):
    """Return frames of the demo clip at 5 Hz: two people one after another, then nobody."""
    return _clip()[:count]


def write_film(path, images, times=None, *, rate=5.0):
    """Write a video whose frames are shown at these times in seconds."""
    base = Fraction(1, 90000)
    height, width = images[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = base
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            seconds = index / rate if times is None else times[index]
            frame.pts, frame.time_base = round(seconds / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path

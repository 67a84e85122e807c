# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How other people's networks want a face cut out of the frame.

Each was trained on faces that were cut in its authors' way. A face that sits higher, lower or
tighter in its input than those costs accuracy, so the framing is part of a network's card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face
from emotion_perception.image.preprocess import FacePreprocessing, warp

SHAPES: Final = ("stretch", "square")

_LEAST: Final = 0.3
"""A cut that is smaller, as a share of the box's height, is no face."""


class Framing(Protocol):
    """A way to cut a face out."""

    def cut(
        self, frame_bgr: NDArray[np.uint8], face: Face, size: int, grey: bool
    ) -> NDArray[np.uint8]:
        """Return the face, uint8 BGR (size, size, 3) or grey (size, size).

        Args:
            frame_bgr: uint8 BGR (H, W, 3); what lies outside it repeats its border.
            face: found in it.
            size: side of the result, pixels.
            grey: whether it is grey.

        Raises:
            ValueError: if the face's landmarks are needed and fall together.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class BoxFraming:
    """The box of the detector.

    Attributes:
        scale: sides of the cut over those of the box.
        shape: ``stretch`` brings the box to a square whatever its proportions, ``square`` cuts a
            square around its centre whose side is the mean of width and height.
    """

    scale: float = 1.0
    shape: str = "stretch"

    def __post_init__(self) -> None:
        if not 0.2 <= self.scale <= 5:
            raise ValueError(f"framing.scale: expected 0.2 to 5, got {self.scale}")
        if self.shape not in SHAPES:
            raise ValueError(f"framing.shape: expected one of {list(SHAPES)}, got {self.shape!r}")

    def cut(
        self, frame_bgr: NDArray[np.uint8], face: Face, size: int, grey: bool
    ) -> NDArray[np.uint8]:
        """Return the face, see `Framing.cut`."""
        x1, y1, x2, y2 = (float(value) for value in face.box)
        width, height = max(x2 - x1, 1.0) * self.scale, max(y2 - y1, 1.0) * self.scale
        if self.shape == "square":
            width = height = (width + height) / 2
        left, top = (x1 + x2 - width) / 2, (y1 + y2 - height) / 2
        matrix = np.array([[width / size, 0, left], [0, height / size, top]])
        return warp(frame_bgr, matrix, size, max(1, int(min(width, height) / size)), grey=grey)


@dataclass(frozen=True, kw_only=True)
class PointsFraming:
    """Five points brought to fixed places by the similarity that fits best.

    Attributes:
        points: x, y as shares of the side: the eye at the left of the image, the eye at the right,
            the tip of the nose, the left and the right corner of the mouth.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        places = np.asarray(self.points, np.float64)
        if places.shape != (5, 2) or not (np.abs(places - 0.5) <= 1).all():
            raise ValueError(
                "framing.points: expected five points x, y as shares of the side, "
                f"got {self.points}"
            )
        if np.ptp(places, axis=0).min() < 0.05:
            raise ValueError("framing.points: the points fall together")

    def cut(
        self, frame_bgr: NDArray[np.uint8], face: Face, size: int, grey: bool
    ) -> NDArray[np.uint8]:
        """Return the face, see `Framing.cut`; by its box where the points cannot be a face's."""
        a, b, x, y = _similarity(np.asarray(self.points) * size, face.landmarks)
        if not math.hypot(a, b) * size > _LEAST * max(float(np.ptp(face.box[1::2])), 1.0):
            # Points that are no face, such as two that changed sides: the box is all there is.
            return BoxFraming(shape="square").cut(frame_bgr, face, size, grey)
        matrix = np.array([[a, -b, x], [b, a, y]])
        return warp(frame_bgr, matrix, size, max(1, int(math.hypot(a, b))), grey=grey)


@dataclass(frozen=True, kw_only=True)
class EyesFraming:
    """Eyes and mouth as in FER2013, see `FacePreprocessing`.

    Attributes:
        eyes_x: where the point between the eyes lies, as a share of the side.
        eyes_y: the same from above.
        side_ratio: side of the cut over the hypotenuse of the distance between the eyes and the
            distance from eyes to mouth.
    """

    eyes_x: float = 0.505
    eyes_y: float = 0.39
    side_ratio: float = 1.88

    def __post_init__(self) -> None:
        for name in ("eyes_x", "eyes_y", "side_ratio"):
            if not 0 < getattr(self, name) < 10:
                raise ValueError(f"framing.{name}: expected 0 to 10, got {getattr(self, name)}")

    def cut(
        self, frame_bgr: NDArray[np.uint8], face: Face, size: int, grey: bool
    ) -> NDArray[np.uint8]:
        """Return the face, see `Framing.cut`."""
        preprocessing = FacePreprocessing(
            size=size, eyes_x=self.eyes_x, eyes_y=self.eyes_y, side_ratio=self.side_ratio
        )
        align, points = preprocessing.align, face.landmarks
        if grey:
            return align(frame_bgr, points)
        return np.dstack([align(frame_bgr[:, :, channel], points) for channel in range(3)])


def framing_from_card(fields: Mapping[str, Any]) -> Framing:
    """Build from the ``framing`` object of a card.

    Raises:
        ValueError: names the field that is missing, unknown, or of the wrong type.
    """
    known: dict[str, tuple[type[BoxFraming | PointsFraming | EyesFraming], set[str]]] = {
        "box": (BoxFraming, {"scale", "shape"}),
        "points": (PointsFraming, {"points"}),
        "eyes": (EyesFraming, {"eyes_x", "eyes_y", "side_ratio"}),
    }
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in known:
        raise ValueError(f"framing.kind: expected one of {sorted(known)}, got {kind!r}")
    made, names = known[kind]
    told = {name: value for name, value in fields.items() if name != "kind"}
    if set(told) != names:
        raise ValueError(
            f"framing: expected the fields {sorted({'kind', *names})}, got {sorted(fields)}"
        )
    for name, value in told.items():
        if name == "points":
            told[name] = _points(value)
        elif name != "shape" and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ValueError(f"framing.{name}: expected a number, got {value!r}")
    return made(**told)


def _points(value: Any) -> tuple[tuple[float, ...], ...]:
    try:
        return tuple(tuple(float(number) for number in point) for point in value)
    except (TypeError, ValueError):
        raise ValueError(f"framing.points: expected five points x, y, got {value!r}") from None


def _similarity(
    source: NDArray[np.float64], target: NDArray[np.float32]
) -> tuple[float, float, float, float]:
    """Return a, b, x, y so that (a -b; b a) source + (x, y) is nearest to the target points."""
    count = len(source)
    rows = np.zeros((2 * count, 4))
    rows[:count] = np.column_stack([source[:, 0], -source[:, 1], np.ones(count), np.zeros(count)])
    rows[count:] = np.column_stack([source[:, 1], source[:, 0], np.zeros(count), np.ones(count)])
    wanted = np.asarray(target, np.float64).T.ravel()
    if not np.isfinite(wanted).all():
        raise ValueError(f"landmarks: expected 5 finite points, got {target!r}")
    a, b, x, y = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    return float(a), float(b), float(x), float(y)

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""YuNet through OpenCV, for whoever brings a model file."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.apart import answer, try_apart
from emotion_perception.faces.face import Face
from emotion_perception.faces.frame_check import check_frame
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.network_file import check_network_file

_TOP_K = 5000  # candidates that enter the suppression; OpenCV's own default
_FIRST_SIZE = (320, 320)
_MOST_BYTES = 16 << 20  # of the file; OpenCV Zoo's has 0.2 MB


class YuNetDetector:
    """Face detector on `cv2.FaceDetectorYN`: one small network, no pyramid.

    Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023.
    No weights are shipped; OpenCV Zoo has them (``face_detection_yunet_2023mar.onnx``, MIT), for
    OpenCV 4.8 and later.

    An instance must not be used by two threads at once.

    Args:
        model_file: the network, ONNX.
        score_threshold: scores below are dropped.
        nms_threshold: largest intersection over union that two faces may have.
        min_face_size: faces whose longer side is below this many pixels are dropped.

    Raises:
        ModelError: the file is missing, damaged, or no YuNet that this OpenCV can run.
        ValueError: a parameter is out of its range.
    """

    def __init__(
        self,
        model_file: Path,
        *,
        score_threshold: float = 0.6,
        nms_threshold: float = 0.3,
        min_face_size: int = 40,
    ) -> None:
        for name, value in (("score_threshold", score_threshold), ("nms_threshold", nms_threshold)):
            if not 0 < value < 1:
                raise ValueError(f"{name}: expected a value in (0, 1), got {value}")
        if min_face_size < 1:
            raise ValueError(f"min_face_size: expected at least 1 pixel, got {min_face_size}")
        self.min_face_size = min_face_size
        path = Path(model_file)
        if not path.is_file():
            raise ModelError(f"{path}: no such YuNet model file")
        check_network_file(path, _MOST_BYTES)
        about = path.stat()
        _try_once(path, about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
        self._size = _FIRST_SIZE
        self._detector = _open(path, score_threshold, nms_threshold)

    def detect(self, frame_bgr: NDArray[np.uint8]) -> list[Face]:
        """Find faces.

        Args:
            frame_bgr: uint8 (H, W, 3), BGR; a read-only or strided view will do.

        Returns:
            Faces in pixels of the frame, best score first.

        Raises:
            ValueError: wrong dtype or shape.
        """
        check_frame(frame_bgr)
        size = (frame_bgr.shape[1], frame_bgr.shape[0])
        if size != self._size:
            self._detector.setInputSize(size)
            self._size = size
        _, rows = self._detector.detect(frame_bgr)
        faces = [_face(row) for row in (() if rows is None else rows)]
        faces = [face for face in faces if _longer_side(face) >= self.min_face_size]
        return sorted(faces, key=lambda face: -face.score)


@cache
def _try_once(path: Path, *_: int) -> None:
    """Try a file in a process of its own: damaged networks have crashed OpenCV.

    Once for each state of a file: a node makes its detector anew between two frames when a
    parameter changes, and a new process takes longer than those may.

    Raises:
        ModelError: OpenCV cannot run it.
    """
    try_apart("emotion_perception.faces.yunet", path)


def _open(path: Path, score_threshold: float, nms_threshold: float) -> Any:
    """Load a network, and run it once: OpenCV accepts any, only that shows whether it is a YuNet.

    Raises:
        ModelError: OpenCV cannot.
    """
    try:
        detector = cv2.FaceDetectorYN.create(
            str(path), "", _FIRST_SIZE, score_threshold, nms_threshold, _TOP_K
        )
        detector.detect(np.zeros((*_FIRST_SIZE[::-1], 3), np.uint8))
    except cv2.error as error:
        reason = " ".join(error.err.split())
        raise ModelError(
            f"{path}: OpenCV {cv2.__version__} cannot run it as a YuNet ({reason})"
        ) from error
    return detector


def _try(path: Path) -> str:
    """What the process that tries a file does."""
    _open(path, 0.6, 0.3)
    return "a YuNet"


def _face(row: NDArray[np.float32]) -> Face:
    """Convert a row of OpenCV's result (15,): x, y, width, height, landmarks, score.

    OpenCV names the landmarks by the sides of the person (right eye, left eye, nose, right and
    left corner of the mouth), which is the order that `Face` names by the sides of the image.
    """
    x, y, width, height = row[:4]
    return Face(
        np.array([x, y, x + width, y + height], np.float32),
        float(np.clip(row[14], 0, 1)),
        row[4:14].reshape(5, 2).astype(np.float32),
    )


def _longer_side(face: Face) -> float:
    return float((face.box[2:] - face.box[:2]).max())


if __name__ == "__main__":
    sys.exit(answer(_try))

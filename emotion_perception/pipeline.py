"""Frame in, faces with reactions out: no ROS, no threads.

Example:
    >>> from emotion_perception.pipeline import ReactionPipeline
    >>> pipeline = ReactionPipeline()
    >>> reactions = pipeline.run(frame_bgr)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emotion_perception.device import resolve_device
from emotion_perception.drawing import draw_reactions
from emotion_perception.faces.face import Face, FaceDetector
from emotion_perception.image.preprocess import to_grey
from emotion_perception.models import find_model
from emotion_perception.reaction.reaction import FaceReaction, decide, largest_face
from emotion_perception.valence.backends import Backend, OnnxBackend, TorchBackend
from emotion_perception.valence.calibration import softmax
from emotion_perception.valence.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from emotion_perception.window import Window

BASE_MODEL = "valence-base"


class ReactionPipeline:
    """Finds the faces of a frame and judges how each of them reacts.

    Not thread-safe: one thread at a time may call it.

    Args:
        model: checkpoint folder, or None for the shipped base weights.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; without a usable GPU the CPU is used
            and ``device_warning`` says why.
        detector: face detector; None makes MTCNN of the options below.
        min_face_size: side of the smallest face that is looked for, pixels.
        detection_thresholds: scores that the three stages of MTCNN ask for.
        confidence_threshold: least calibrated probability that counts as an answer; None takes
            the one in the checkpoint's card.
        threads: processor threads for inference.

    Attributes:
        checkpoint: the weights in use.
        device: the device in use.
        device_warning: why the device asked for is not used, or None.
        confidence_threshold: as above; may be changed between frames.

    Raises:
        ModelError: if a model is missing, damaged or does not fit.
        ValueError: for an option out of range.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        device: str = "cpu",
        detector: FaceDetector | None = None,
        min_face_size: int = 40,
        detection_thresholds: tuple[float, float, float] = (0.6, 0.7, 0.7),
        confidence_threshold: float | None = None,
        threads: int = 2,
    ) -> None:
        self.device, self.device_warning = resolve_device(device)
        self.checkpoint = load_checkpoint(Path(model) if model else find_model(BASE_MODEL))
        self._preprocessing = self.checkpoint.preprocessing
        on_gpu = self.device != "cpu"
        self._backend: Backend = (
            TorchBackend(self.checkpoint, self.device)
            if on_gpu
            else OnnxBackend(self.checkpoint, threads)
        )
        self.detector = detector or make_mtcnn(
            self.device, min_face_size, detection_thresholds, threads
        )
        self.confidence_threshold = (
            self.checkpoint.confidence_threshold
            if confidence_threshold is None
            else confidence_threshold
        )
        self._window: Window | None = None

    def run(self, frame_bgr: NDArray[np.uint8], stamp: float = 0.0) -> list[FaceReaction]:
        """Judge every face of a frame.

        Args:
            frame_bgr: uint8 BGR (H, W, 3); it is not changed.
            stamp: time of the frame, seconds; copied to the result.

        Returns:
            One entry a face, the partner first, then by detection score; empty when nobody is
            there.

        Raises:
            ValueError: if the frame is not a uint8 BGR image.
        """
        faces = [face for face in self.detector.detect(frame_bgr) if _usable(face)]
        if not faces:
            return []
        crops = [self._preprocessing.align(frame_bgr, face.landmarks) for face in faces]
        height, width = frame_bgr.shape[:2]
        partner = largest_face(faces, width, height)
        reactions = []
        for index, (face, probabilities) in enumerate(zip(faces, self._judge(crops), strict=True)):
            reaction, reason = decide(probabilities, self.confidence_threshold)
            reactions.append(
                FaceReaction(
                    face=face,
                    probabilities=probabilities,
                    reaction=reaction,
                    reason=reason,
                    stamp=stamp,
                    is_partner=index == partner,
                )
            )
        return sorted(reactions, key=lambda reaction: not reaction.is_partner)

    def classify(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Judge ready-made face crops.

        Args:
            crops: uint8 images, each BGR (H, W, 3) or grey (H, W), framed like a face box.

        Returns:
            float32 (N, 3), calibrated probabilities: negative, neutral, positive.

        Raises:
            ValueError: for an empty crop or one of the wrong type.
        """
        return self._judge([self._preprocessing.resize(crop) for crop in crops])

    def run_on_face(self, crop: NDArray[np.uint8], stamp: float = 0.0) -> FaceReaction:
        """Judge one ready-made face crop, uint8 BGR (H, W, 3) or grey (H, W)."""
        height, width = to_grey(crop).shape
        probabilities = self.classify([crop])[0]
        reaction, reason = decide(probabilities, self.confidence_threshold)
        box = np.array([0, 0, width, height], np.float32)
        face = Face(box=box, score=1.0, landmarks=np.full((5, 2), np.nan, np.float32))
        return FaceReaction(
            face=face, probabilities=probabilities, reaction=reaction, reason=reason, stamp=stamp,
            is_partner=True,
        )  # fmt: skip

    def draw(
        self, frame: NDArray[np.uint8], reactions: Sequence[FaceReaction], caption: str = ""
    ) -> NDArray[np.uint8]:
        """Return a copy of a uint8 BGR frame (H, W, 3) with the reactions drawn on it."""
        return draw_reactions(frame, reactions, caption)

    def show(self, frame: NDArray[np.uint8], reactions: Sequence[FaceReaction]) -> bool:
        """Draw the reactions in a window; returns False once the user pressed q or closed it."""
        if self._window is None:
            from emotion_perception.window import Window

            self._window = Window("emotion_perception")
        return self._window.show(self.draw(frame, reactions))

    def warm_up(self, width: int = 640, height: int = 480) -> None:
        """Run every network once, so that the first real frame is not a slow one."""
        self.detector.detect(np.zeros((height, width, 3), np.uint8))
        for faces in (1, 2):
            blank = np.zeros((self._preprocessing.size,) * 2, np.uint8)
            self._judge([blank] * faces)

    def _judge(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        if not crops:
            return np.empty((0, 3), np.float32)
        logits = self._backend.logits(self._preprocessing.batch(crops))
        return softmax(logits, self.checkpoint.temperature)


def make_mtcnn(
    device: str, min_face_size: int, thresholds: tuple[float, float, float], threads: int
) -> FaceDetector:
    """Return MTCNN for a resolved device: in ONNX Runtime on ``cpu``, in torch on ``cuda:N``."""
    if device == "cpu":
        from emotion_perception.faces.mtcnn import MtcnnDetector

        return MtcnnDetector(min_face_size=min_face_size, thresholds=thresholds, threads=threads)
    from emotion_perception.faces.mtcnn_torch import TorchMtcnnDetector

    return TorchMtcnnDetector(min_face_size=min_face_size, thresholds=thresholds, device=device)


def _usable(face: Face) -> bool:
    """Whether alignment can work: a detector may return points that fall together."""
    points = face.landmarks
    return bool(np.isfinite(points).all() and np.ptp(points, axis=0).max() >= 2)

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frame in, faces with reactions out: no ROS, and no threads but helpers (`team`).

Example:
    >>> from emotion_perception.pipeline import ReactionPipeline
    >>> pipeline = ReactionPipeline()
    >>> reactions = pipeline.run(frame_bgr)
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from emotion_perception.device import resolve_device
from emotion_perception.drawing import draw_reactions
from emotion_perception.faces.face import Face, FaceDetector
from emotion_perception.faces.following import find_many
from emotion_perception.faces.frame_check import check_frame
from emotion_perception.image.preprocess import to_grey
from emotion_perception.models import find_model
from emotion_perception.reaction.reaction import FaceReaction, decide
from emotion_perception.reaction.scene import Enrolled, Scene, SceneOptions, Sight
from emotion_perception.team import team
from emotion_perception.valence.checkpoint import Checkpoint
from emotion_perception.valence.emotion_card import EmotionCard
from emotion_perception.valence.model import Model, load_model

if TYPE_CHECKING:
    from emotion_perception.window import Window

BASE_MODEL = "valence-base"


@dataclass(frozen=True)
class Shot:
    """One frame of one camera.

    Attributes:
        frame_bgr: uint8 BGR (H, W, 3); it is not changed.
        stamp: time of the frame, seconds; None for an image that is no part of a film.
        camera: whose frame it is.
    """

    frame_bgr: NDArray[np.uint8]
    stamp: float | None = None
    camera: str = ""


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
        scene: how faces are followed and reactions smoothed.
        cameras: whose scenes are kept; of more, those that were seen last.
        also: checkpoint folders of further models, which judge the same faces.

    Attributes:
        model: the weights in use; may be exchanged between frames, see `load`.
        device: the device in use.
        device_warning: why the device asked for is not used, or None.
        also: further models.
        enrolled: the patient to recognise, or None; may be changed between frames.

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
        scene: SceneOptions | None = None,
        cameras: int = 8,
        also: Sequence[str | Path] = (),
    ) -> None:
        self.device, self.device_warning = resolve_device(device)
        self._threads = threads
        self._helpers = team(threads)
        self.model = self.load(Path(model) if model else find_model(BASE_MODEL))
        self.also = [self.load(Path(folder)) for folder in also]
        self.detector = detector or make_mtcnn(
            self.device, min_face_size, detection_thresholds, threads
        )
        self._told_threshold = confidence_threshold
        self.enrolled: Enrolled | None = None
        self._numbers: Iterator[int] = itertools.count(1)
        self._options = scene or SceneOptions()
        self._cameras = cameras
        self._scenes: dict[str, Scene] = {}
        self._window: Window | None = None

    @property
    def checkpoint(self) -> Checkpoint | EmotionCard:
        """The weights in use: of a valence network, or of somebody's network of emotions."""
        return self.model.checkpoint

    @property
    def confidence_threshold(self) -> float:
        """Least probability that counts as an answer; None sets it back to the card's."""
        return self._threshold(self.model)

    @confidence_threshold.setter
    def confidence_threshold(self, told: float | None) -> None:
        self._told_threshold = told

    def load(self, folder: Path, loaded: Mapping[str, Model] | None = None) -> Model:
        """Load a checkpoint of either kind for this pipeline's device without using it yet.

        Any thread may call this; `model` may then be set between frames.

        Args:
            folder: of the checkpoint; its files are always verified.
            loaded: models by their key; one of them is returned if its files are the same.

        Raises:
            ModelError: if it is missing, damaged or does not fit.
        """
        return load_model(folder, self.device, self._threads, loaded)

    def configure(self, options: SceneOptions) -> None:
        """Follow every camera's scene anew with other options; ids are not used again."""
        self._options = options
        for scene in self._scenes.values():
            scene.configure(options)

    def reset(self, *, ids: bool = False) -> None:
        """Forget who was there.

        Args:
            ids: count them from 1 again, as for another recording; else none is used again.
        """
        self._scenes.clear()
        if ids:
            self._numbers = itertools.count(1)

    def number_on(self, other: ReactionPipeline) -> None:
        """Give no face an id that another pipeline, which this one replaces, has given."""
        self._numbers = other._numbers

    def run(
        self, frame_bgr: NDArray[np.uint8], stamp: float | None = None, camera: str = ""
    ) -> list[FaceReaction]:
        """Judge every face of a frame.

        With a stamp the frames are a film: faces keep their ids, reactions are smoothed over time.
        Without one each frame is an image of its own.

        Args:
            frame_bgr: uint8 BGR (H, W, 3); it is not changed.
            stamp: time of the frame, seconds. A time before that of the camera's last frame starts
                its scene anew.
            camera: whose frame it is; each has a scene of its own.

        Returns:
            One entry a face, the partner first, then by detection score; empty when nobody is
            there.

        Raises:
            ValueError: if the frame is not a uint8 BGR image.
        """
        return self.run_many([Shot(frame_bgr, stamp, camera)])[0]

    def run_many(self, shots: Sequence[Shot]) -> list[list[FaceReaction]]:
        """Judge the faces of several frames together, which costs less than one after another.

        Args:
            shots: frames of one or several cameras, those of each in the order of time. The
                answers are those that `run` would give.

        Returns:
            What `run` returns, for each frame.

        Raises:
            ValueError: if a frame is not a uint8 BGR image, or there are more cameras than kept.
        """
        for shot in shots:  # before any scene has moved on
            check_frame(shot.frame_bgr)
        films = len({shot.camera for shot in shots if shot.stamp is not None})
        if films > self._cameras:
            raise ValueError(f"cameras: {films} at once, but only {self._cameras} are kept")
        model = self.model  # another thread may exchange it; these frames have one model
        threshold, enrolled = self._threshold(model), self.enrolled
        sights: list[tuple[Scene, Sight]] = []
        found_last: list[tuple[Scene, Shot]] = []
        models = (model, *self.also)
        cuts: list[list[NDArray[np.uint8]]] = [[] for _ in models]

        def search_on() -> None:
            for scene, shot in found_last:
                if shot.stamp is not None:
                    scene.follower.search_on(shot.frame_bgr)

        for start, stop in _rounds(shots):
            search_on()
            some = shots[start:stop]
            scenes = [self._scene_of(shot) for shot in some]
            found, aligned = self._faces_of(some, scenes, model)
            for shot, scene, faces, crops in zip(some, scenes, found, aligned, strict=True):
                sight = scene.look(shot.frame_bgr, faces, crops, shot.stamp or 0.0, enrolled)
                sights.append((scene, sight))
                for one, cut in zip(models, cuts, strict=True):
                    cut += _cut_judged(one, model, shot.frame_bgr, sight)
            found_last = list(zip(scenes, some, strict=True))
        judged = [one.judge_emotions(cut) for one, cut in zip(models, cuts, strict=True)]
        answers, start = [], 0
        for shot, (scene, sight) in zip(shots, sights, strict=True):
            stop = start + len(sight.crops)
            own, *others = [told[start:stop] for told, _ in judged]
            emotions = [
                [_named(one, row) for row in rows[start:stop]]
                for one, (_, rows) in zip(models, judged, strict=True)
            ]
            reactions = scene.tell(sight, own, threshold, others, emotions)
            start = stop
            if shot.stamp is None:
                reactions = [replace(reaction, face_id="") for reaction in reactions]
            answers.append(sorted(reactions, key=lambda reaction: not reaction.is_partner))
        search_on()
        return answers

    def _faces_of(
        self, shots: Sequence[Shot], scenes: Sequence[Scene], model: Model
    ) -> tuple[list[list[Face]], list[list[NDArray[np.uint8]]]]:
        """Return the faces of one frame of each scene, and their aligned crops."""
        frames = [shot.frame_bgr for shot in shots]
        # A detector on a GPU has the frames there: what else looks at them uses those.
        on_device = getattr(self.detector, "frames", None)
        with nullcontext([]) if on_device is None else on_device.held(frames) as held:
            every = self._find(shots, scenes)
            found = [[face for face in faces if _usable(face)] for faces in every]
            if not held or not any(found):
                align = model.preprocessing.align
                return found, [
                    [align(frame, face.landmarks) for face in faces]
                    for frame, faces in zip(frames, found, strict=True)
                ]
            from emotion_perception.image.device_frame import align_many, download

            where = [frame for frame, faces in zip(held, found, strict=True) for _ in faces]
            landmarks = [face.landmarks for faces in found for face in faces]
            crops = iter(download(align_many(where, landmarks, model.preprocessing)))
            return found, [[next(crops) for _ in faces] for faces in found]

    def _find(self, shots: Sequence[Shot], scenes: Sequence[Scene]) -> list[list[Face]]:
        """Return the faces of one frame of each scene: films are followed, images searched."""
        films = iter(
            find_many(
                self.detector,
                [
                    (scene.follower, shot.frame_bgr, shot.stamp)
                    for scene, shot in zip(scenes, shots, strict=True)
                    if shot.stamp is not None
                ],
            )
        )
        return [
            self.detector.detect(shot.frame_bgr) if shot.stamp is None else next(films)
            for shot in shots
        ]

    def _threshold(self, model: Model) -> float:
        told = self._told_threshold
        return model.checkpoint.confidence_threshold if told is None else told

    def _scene_of(self, shot: Shot) -> Scene:
        if shot.stamp is None:  # an image of its own
            return Scene(self._options, helpers=self._helpers)
        scene = self._scenes.pop(shot.camera, None) or Scene(
            self._options, self._numbers, self._helpers
        )
        self._scenes[shot.camera] = scene  # the last used is the last
        if len(self._scenes) > self._cameras:
            del self._scenes[next(iter(self._scenes))]
        return scene

    def classify(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Judge ready-made face crops.

        Args:
            crops: uint8 images, each BGR (H, W, 3) or grey (H, W), framed like a face box.

        Returns:
            float32 (N, 3), calibrated probabilities: negative, neutral, positive.

        Raises:
            ValueError: for an empty crop or one of the wrong type.
        """
        return self.model.judge([self.model.resize(crop) for crop in crops])

    def run_on_face(self, crop: NDArray[np.uint8], stamp: float = 0.0) -> FaceReaction:
        """Judge one ready-made face crop, uint8 BGR (H, W, 3) or grey (H, W)."""
        height, width = to_grey(crop).shape
        model = self.model
        (probabilities,), (emotions,) = model.judge_emotions([model.resize(crop)])
        reaction, reason = decide(probabilities, self.confidence_threshold)
        box = np.array([0, 0, width, height], np.float32)
        face = Face(box=box, score=1.0, landmarks=np.full((5, 2), np.nan, np.float32))
        return FaceReaction(
            face=face, probabilities=probabilities, reaction=reaction, reason=reason, stamp=stamp,
            is_partner=True, frame_probabilities=probabilities,
            emotions=_named(model, emotions),
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
        warm_up = getattr(self.detector, "warm_up", None)
        if warm_up is not None:
            warm_up(height, width)
        else:
            self.detector.detect(np.zeros((height, width, 3), np.uint8))
        for model in (self.model, *self.also):
            model.warm_up()


def make_mtcnn(
    device: str, min_face_size: int, thresholds: tuple[float, float, float], threads: int
) -> FaceDetector:
    """Return MTCNN for a resolved device: in ONNX Runtime on ``cpu``, in torch on ``cuda:N``."""
    if device == "cpu":
        from emotion_perception.faces.mtcnn import MtcnnDetector

        return MtcnnDetector(min_face_size=min_face_size, thresholds=thresholds, threads=threads)
    from emotion_perception.faces.mtcnn_torch import TorchMtcnnDetector

    return TorchMtcnnDetector(min_face_size=min_face_size, thresholds=thresholds, device=device)


def _cut_judged(
    model: Model, first: Model, frame_bgr: NDArray[np.uint8], sight: Sight
) -> list[NDArray[np.uint8]]:
    """Return what a model looks at of the judged faces, whose crops are those of the first one."""
    faces = [face for face, judged in zip(sight.faces, sight.judged, strict=True) if judged]
    crops = sight.crops
    if model.preprocessing != first.preprocessing:
        crops = [model.preprocessing.align(frame_bgr, face.landmarks) for face in faces]
    return [model.cut(frame_bgr, face, crop) for face, crop in zip(faces, crops, strict=True)]


def _named(model: Model, emotions: NDArray[np.float32]) -> dict[str, float]:
    return dict(zip(model.emotion_names, map(float, emotions), strict=True))


def _rounds(shots: Sequence[Shot]) -> list[tuple[int, int]]:
    """Cut frames into runs in which each camera's film has at most one."""
    edges, seen = [0], set[str]()
    for index, shot in enumerate(shots):
        if shot.stamp is not None and shot.camera in seen:
            edges.append(index)
            seen = set()
        if shot.stamp is not None:
            seen.add(shot.camera)
    return list(itertools.pairwise([*edges, len(shots)])) if shots else []


def _usable(face: Face) -> bool:
    """Whether alignment can work: a detector may return points that fall together."""
    points = face.landmarks
    return bool(np.isfinite(points).all() and np.ptp(points, axis=0).max() >= 2)

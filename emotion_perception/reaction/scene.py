# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What one camera sees over time: who is there, who of them is the partner, and how they react."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face
from emotion_perception.faces.following import FaceFollower
from emotion_perception.faces.quality import FaceQuality, QualityLimits, measure
from emotion_perception.faces.stillness import Stillness, StillnessOptions
from emotion_perception.faces.tracking import (
    FaceTracker,
    Look,
    Track,
    TrackingOptions,
    apart,
    look_of,
)
from emotion_perception.reaction.partner import Candidate, PartnerChooser, PartnerOptions
from emotion_perception.reaction.reaction import FaceReaction
from emotion_perception.reaction.smoothing import ReactionFilter, SmoothingOptions
from emotion_perception.team import Team

Crops = Sequence[NDArray[np.uint8]]
Emotions = Mapping[str, float]
Recognise = Callable[[NDArray[np.uint8]], float]
"""An aligned grey crop (S, S) to its likeness to the enrolled patient, -1 to 1."""

_LATE_S: Final = 0.5
"""A stamp may be so much before the last one; more is a time that jumped."""

_LOOK_EVERY_S: Final = 0.2
_APART: Final = 2.0
"""Sides of a face: nobody changes places with somebody so far away from one frame to the next."""
_RECOGNISE_EVERY_S: Final = 1.0
_RECOGNISE_FIRST: Final = 3  # frames of a new face that are all looked at
_ALL_JUDGED: Final = 3  # so many faces are all judged in every frame
_OTHERS_HZ: Final = 10.0
"""In a crowd, how often those are judged who are not the partner: the filter of reactions counts
no more than nine looks a second."""

_LIKENESS_MEMORY: Final = 0.3  # weight of a new look


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """How a scene is followed.

    Attributes:
        tracking: of faces.
        smoothing: of reactions.
        partner: how the partner is chosen.
        quality: below it a face is not judged.
        stillness: when a face is a picture; None takes every face for a person.
    """

    tracking: TrackingOptions = field(default_factory=TrackingOptions)
    smoothing: SmoothingOptions = field(default_factory=SmoothingOptions)
    partner: PartnerOptions = field(default_factory=PartnerOptions)
    quality: QualityLimits = field(default_factory=QualityLimits)
    stillness: StillnessOptions | None = field(default_factory=StillnessOptions)


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    """The patient to recognise.

    Attributes:
        recognise: tells how alike a face is.
        threshold: from this likeness on it is the patient.
    """

    recognise: Recognise
    threshold: float


@dataclass(eq=False)
class _Person:
    """What is known of one track."""

    filter: ReactionFilter
    stillness: Stillness | None
    likeness: float = math.nan
    recognised: int = 0
    recognised_at: float = -math.inf
    judged_at: float = -math.inf


@dataclass(frozen=True)
class Sight:
    """A frame that was looked at, and whose faces are still to be judged.

    Attributes:
        stamp: time of the frame as the filters take it, seconds.
        told_at: its own time.
        faces: in it.
        face_ids: theirs.
        filters: of their reactions.
        problems: why a face is not judged; empty if it is.
        qualities: of the faces.
        partner: id of the partner, or empty.
        judged: whether each face is judged now; in a crowd some wait for their turn.
        crops: aligned grey crops of the faces to judge, uint8 (S, S).
    """

    stamp: float
    told_at: float
    faces: list[Face]
    face_ids: list[str]
    filters: list[ReactionFilter]
    problems: list[str]
    qualities: list[FaceQuality]
    partner: str
    judged: list[bool]
    crops: list[NDArray[np.uint8]]


class Scene:
    """The faces before one camera.

    Not thread-safe.

    Args:
        options: how it is followed.
        numbers: of the face ids, to share among scenes; None counts from 1.
        helpers: share the work, see FaceFollower.

    Attributes:
        follower: finds the faces.
    """

    def __init__(
        self, options: SceneOptions | None = None, numbers: Iterator[int] | None = None,
        helpers: Team | None = None,
    ) -> None:  # fmt: skip
        self.options = options or SceneOptions()
        self._tracker = FaceTracker(self.options.tracking, numbers)
        self.follower = FaceFollower(helpers)
        self.reset()

    def configure(self, options: SceneOptions) -> None:
        """Go on with other options; who is there stays known."""
        self.options = options
        self._tracker.options = options.tracking
        self._chooser = PartnerChooser(options.partner)
        for person in self._people.values():
            person.filter.options = options.smoothing
            if options.stillness is None:
                person.stillness = None
            elif person.stillness is None:
                person.stillness = Stillness(options.stillness)

    def reset(self) -> None:
        """Forget everybody; ids go on from where they were."""
        self._tracker.reset()
        self.follower.reset()
        self._chooser = PartnerChooser(self.options.partner)
        self._people: dict[str, _Person] = {}
        self._stamp = self._looked_at = -math.inf

    def look(
        self, frame_bgr: NDArray[np.uint8], faces: Sequence[Face], crops: Crops, stamp: float,
        enrolled: Enrolled | None = None,
    ) -> Sight:  # fmt: skip
        """Take the next frame: who is who, and who is to be judged.

        Args:
            frame_bgr: uint8 BGR (H, W, 3).
            faces: found in it.
            crops: their aligned grey crops, uint8 (S, S).
            stamp: its time, seconds; a jump back starts anew.
            enrolled: the patient, if the partner is found by likeness.
        """
        if stamp < self._stamp - _LATE_S:
            self.reset()
        elif stamp == self._stamp:  # images with one time for all are no film
            for person in self._people.values():
                person.filter.reset()
        told_at = stamp
        # A frame that comes a little late says nothing of an earlier time any more.
        gap = max(stamp - self._stamp, 0.0)
        stamp = self._stamp = max(stamp, self._stamp)
        tracks = self._tracker.update(faces, stamp, self._looks(frame_bgr, faces, crops, stamp))
        known = {track.face_id for track in self._tracker.tracks}
        self._people = {name: person for name, person in self._people.items() if name in known}
        problems, qualities = [], []
        for track, face, crop in zip(tracks, faces, crops, strict=True):
            person = self._people.setdefault(track.face_id, self._person())
            quality = measure(face, crop)
            problem = quality.problem(self.options.quality)
            if person.stillness is not None and person.stillness.update(crop, stamp):
                problem = "picture"
            if enrolled is not None and not problem:
                _recognise(person, crop, stamp, enrolled)
            problems.append(problem)
            qualities.append(quality)
        height, width = frame_bgr.shape[:2]
        partner = self._chooser.choose(
            [
                self._candidate(track, problem, width, height, enrolled)
                for track, problem in zip(tracks, problems, strict=True)
            ],
            stamp,
        )
        judged = self._whose_turn(tracks, problems, partner, stamp, gap)
        return Sight(
            stamp, told_at, list(faces), [track.face_id for track in tracks],
            [self._people[track.face_id].filter for track in tracks], problems, qualities, partner,
            judged, [crop for crop, now in zip(crops, judged, strict=True) if now],
        )  # fmt: skip

    def _whose_turn(
        self, tracks: Sequence[Track], problems: Sequence[str], partner: str, stamp: float,
        gap: float,
    ) -> list[bool]:  # fmt: skip
        """Choose who is judged in this frame."""
        good = [index for index, problem in enumerate(problems) if not problem]
        people = [self._people[track.face_id] for track in tracks]
        chosen = set(good)
        if len(good) > _ALL_JUDGED and gap > 0:  # images with one time for all are no film
            others = [index for index in good if tracks[index].face_id != partner]
            others.sort(key=lambda index: people[index].judged_at)
            # Those who were never judged, and of the others those who have waited longest.
            new = sum(people[index].judged_at == -math.inf for index in others)
            turns = math.ceil(len(others) * min(gap * _OTHERS_HZ, 1.0) - 1e-6)
            chosen -= set(others[max(new, turns) :])
        for index in chosen:
            people[index].judged_at = stamp
        return [index in chosen for index in range(len(tracks))]

    def tell(
        self, sight: Sight, judged: NDArray[np.float32], threshold: float,
        also: Sequence[NDArray[np.float32]] = (), emotions: Sequence[Sequence[Emotions]] = (),
    ) -> list[FaceReaction]:  # fmt: skip
        """Say how the faces of a frame react; frames in the order in which they were looked at.

        Args:
            sight: what `look` returned.
            judged: float32 (N, 3), calibrated probabilities of its crops.
            threshold: least probability that counts as an answer.
            also: the same (N, 3) of further models.
            emotions: those of the N crops, by the model and the further ones.

        Returns:
            One entry a face, in the order of the faces.
        """
        answers = iter(zip(judged, *also, strict=True))
        every: Iterator[tuple[Emotions, ...]] = (
            iter(zip(*emotions, strict=True)) if emotions else itertools.repeat(({},))
        )
        result = []
        for index, face in enumerate(sight.faces):
            own, *others = next(answers) if sight.judged[index] else (None,)
            felt = next(every) if sight.judged[index] else ({},)
            known = sight.filters[index]
            if own is None and not sight.problems[index]:
                told, reaction, reason = known.wait(sight.stamp)
            else:
                told, reaction, reason = known.update(own, sight.stamp, threshold)
            face_id = sight.face_ids[index]
            result.append(
                FaceReaction(
                    face=face, probabilities=told, reaction=reaction, reason=reason,
                    stamp=sight.told_at, face_id=face_id, is_partner=face_id == sight.partner,
                    frame_probabilities=own, problem=sight.problems[index],
                    quality=sight.qualities[index], also=tuple(others),
                    emotions=felt[0], also_emotions=felt[1:],
                )
            )  # fmt: skip
        return result

    def _looks(
        self, frame_bgr: NDArray[np.uint8], faces: Sequence[Face], crops: Crops, stamp: float
    ) -> list[Look | None]:
        """Return what the faces look like; nothing where their places alone tell who is who."""
        tracks = self._tracker.tracks
        if (
            len(faces) == len(tracks)
            and stamp - self._looked_at < _LOOK_EVERY_S
            and all(stamp - track.last_seen < _LOOK_EVERY_S for track in tracks)
            and apart([*(track.face for track in tracks)], _APART)
            and apart(faces, _APART)
        ):
            return [None] * len(faces)
        self._looked_at = stamp
        return [look_of(frame_bgr, face, crop) for face, crop in zip(faces, crops, strict=True)]

    def _person(self) -> _Person:
        stillness = self.options.stillness
        return _Person(
            ReactionFilter(self.options.smoothing), Stillness(stillness) if stillness else None
        )

    def _candidate(
        self, track: Track, problem: str, width: int, height: int, enrolled: Enrolled | None
    ) -> Candidate:
        x1, y1, x2, y2 = (float(value) for value in track.face.box)
        inside = (min(x2, width) - max(x1, 0)) * (min(y2, height) - max(y1, 0))
        likeness = self._people[track.face_id].likeness
        return Candidate(
            face_id=track.face_id,
            area=max(inside, 0.0),
            offset=abs((x1 + x2) / width - 1),
            alive=problem != "picture",
            likeness=likeness,
            is_patient=enrolled is not None and likeness >= enrolled.threshold,
        )


def _recognise(person: _Person, crop: NDArray[np.uint8], stamp: float, enrolled: Enrolled) -> None:
    """Look again at who it is: at each of the first frames, then now and then."""
    if person.recognised >= _RECOGNISE_FIRST and stamp - person.recognised_at < _RECOGNISE_EVERY_S:
        return
    found = enrolled.recognise(crop)
    person.recognised += 1
    person.recognised_at = stamp
    weight = max(1 / person.recognised, _LIKENESS_MEMORY)
    before = 0.0 if math.isnan(person.likeness) else person.likeness
    person.likeness = before + weight * (found - before)

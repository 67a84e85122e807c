# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the pipeline says of faces, as the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.source import Frame
from emotion_perception.reaction.reaction import FaceReaction, Reaction, Reason
from emotion_perception.reaction.smoothing import ReactionFilter
from emotion_perception.sessions.table import (
    FRAME_PROBABILITIES,
    PROBABILITIES,
    JudgedBy,
    column,
    schema,
)

if TYPE_CHECKING:
    import pyarrow

_FORGET_S: Final = 10.0  # a face unseen for longer has a new id anyway


class Rows:
    """Gathers rows column by column."""

    def __init__(self, models: Sequence[JudgedBy]) -> None:
        self._models = models
        self._schema = schema(models)
        self._columns: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        # For each further model and each face, what the robot would have said with it.
        self.beside: dict[str, list[Any]] = {}

    def add(self, frame: Frame, reactions: Sequence[FaceReaction]) -> None:
        """Add what a frame said; boxes become those of the frame before it was shrunk."""
        if not reactions:
            self._row(frame, None)
        for reaction in reactions:
            self._row(frame, reaction)
        gone = [
            face_id for face_id, (seen, *_) in self.beside.items() if frame.time - seen > _FORGET_S
        ]
        for face_id in gone:
            del self.beside[face_id]

    def take(self) -> pyarrow.Table:
        """Return the rows gathered so far, and begin anew."""
        import pyarrow as pa

        table = pa.table(
            [pa.array(self._columns[item.name], item.type) for item in self._schema],
            schema=self._schema,
        )
        for values in self._columns.values():
            values.clear()
        return table

    def _row(self, frame: Frame, reaction: FaceReaction | None) -> None:
        row: dict[str, Any] = dict.fromkeys(self._columns)
        row["frame"], row["time"] = frame.index, frame.time
        row["face_id"] = row["problem"] = ""
        row["is_partner"] = False
        if reaction is not None:
            face, quality = reaction.face, reaction.quality
            row |= dict(zip(("x1", "y1", "x2", "y2"), face.box / frame.scale, strict=True))
            row |= {
                "face_id": reaction.face_id, "is_partner": reaction.is_partner,
                "score": face.score, "landmarks": (face.landmarks / frame.scale).ravel(),
                "problem": reaction.problem,
            }  # fmt: skip
            if quality is not None:
                row |= {
                    "size": quality.size / frame.scale, "sharpness": quality.sharpness,
                    "light": quality.light, "turn": quality.turn,
                }  # fmt: skip
        for index, model in enumerate(self._models):
            self._judgement(row, index, model, frame.time, reaction)
        for name, values in self._columns.items():
            values.append(row[name])

    def _judgement(
        self, row: dict[str, Any], index: int, model: JudgedBy, time: float,
        reaction: FaceReaction | None,
    ) -> None:  # fmt: skip
        own: NDArray[np.float32] | None = None
        smooth: NDArray[np.float32] | None = None
        verdict, reason = Reaction.UNKNOWN, Reason.NO_FACE
        if reaction is not None and index == 0:
            own, smooth = reaction.frame_probabilities, reaction.probabilities
            verdict, reason = reaction.reaction, reaction.reason
        elif reaction is not None:
            own = reaction.also[index - 1] if reaction.also else None
            known = self.beside.setdefault(
                reaction.face_id, [0.0, *(ReactionFilter() for _ in self._models[1:])]
            )
            known[0] = time
            if own is None and not reaction.problem:
                smooth, verdict, reason = known[index].wait(time)
            else:
                smooth, verdict, reason = known[index].update(own, time, model.threshold)
        if smooth is not None and not smooth.any():
            smooth = None  # nothing is known
        told: dict[str, Any] = {
            "reaction": verdict.name.lower(), "reason": reason.name.lower(),
            "model_id": model.model_id,
            "confidence": None if smooth is None else float(smooth.max()),
            "valence": None if smooth is None else float(smooth[2] - smooth[0]),
        }  # fmt: skip
        for names, values in ((PROBABILITIES, smooth), (FRAME_PROBABILITIES, own)):
            if values is not None:
                told |= dict(zip(names, map(float, values), strict=True))
        emotions = _emotions(reaction, index)
        told |= {f"e_{name}": emotions.get(name) for name in model.emotions}
        for name, value in told.items():
            row[column(name, model, self._models)] = value


def _emotions(reaction: FaceReaction | None, index: int) -> dict[str, float]:
    """Return the discrete emotions that one of the models told of a face in this frame."""
    if reaction is None:
        return {}
    if index == 0:
        return dict(reaction.emotions)
    return dict(reaction.also_emotions[index - 1]) if reaction.also_emotions else {}

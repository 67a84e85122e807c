# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tables written row by row, so that every figure of a report can be worked out by hand."""

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa

from emotion_perception.sessions.table import JudgedBy, SessionInfo, schema, write_table
from emotion_perception.valence.labels import CLASSES

ANSWERS = {"negative": (0.8, 0.1, 0.1), "neutral": (0.1, 0.8, 0.1), "positive": (0.1, 0.1, 0.8)}


def judged(model):
    return JudgedBy(name=model, model_id=f"{model}-1.0+00000000", threshold=0.6)


def face(what, face_id="f1", *, partner=True, others=(), models=("base",), at=100.0):
    """A row of one face: an answer, ``unsure`` or a problem; of further models their answers."""
    row = {
        "face_id": face_id, "is_partner": partner, "x1": at, "y1": 100.0, "x2": at + 80,
        "y2": 200.0, "score": 0.99, "size": 89.0, "sharpness": 0.3, "light": 120.0, "turn": 0.0,
        "problem": "" if what in (*CLASSES, "unsure") else what,
    }  # fmt: skip
    for model, said in zip(models, (what, *others), strict=True):
        end = "" if model == models[0] else f"__{model}"
        p = ANSWERS.get(said, (0.3, 0.4, 0.3) if said == "unsure" else None)
        for name, value in zip(CLASSES, p or (None,) * 3, strict=True):
            row[f"p_{name}{end}"] = row[f"frame_p_{name}{end}"] = value
        row[f"confidence{end}"] = max(p) if p else 0.0
        row[f"valence{end}"] = p[2] - p[0] if p else 0.0
        row[f"reaction{end}"] = said if said in CLASSES else "unknown"
        row[f"reason{end}"] = (
            "none" if said in CLASSES else "low_confidence" if said == "unsure" else "low_quality"
        )
    return row


def nobody(models=("base",)):
    row = {"face_id": "", "is_partner": False, "problem": ""}
    for model in models:
        end = "" if model == models[0] else f"__{model}"
        row |= {f"reaction{end}": "unknown", f"reason{end}": "no_face"}
    return row


def write(path, frames, *, rate=10.0, models=("base",), times=None, **told):
    """Write a table.

    Args:
        path: of the file.
        frames: of each its faces as `face` gives them; none is `nobody`.
        rate: frames a second.
        models: names.
        times: of the frames, seconds; by default as `rate` says.
        told: more of SessionInfo.
    """
    by = tuple(judged(model) for model in models)
    rows = []
    for frame, faces in enumerate(frames):
        time = times[frame] if times is not None else frame / rate
        for one in faces or [nobody(models)]:
            row = dict.fromkeys(schema(by).names) | {"frame": frame, "time": time} | one
            rows.append(row)
    info = SessionInfo(
        **{
            "recording": "made.mp4", "session": path.stem, "width": 640, "height": 480,
            "rate": rate, "frames": len(frames), "seconds": max(len(frames) - 1, 0) / rate,
            "detector": "mtcnn", "models": by, "version": "0", **told,
        }
    )  # fmt: skip
    write_table(path, info, [pa.Table.from_pylist(rows, schema=schema(by))])
    return path


def plan(parts, rate=10.0):
    """Return the frames of (seconds, what) one after another; ``nobody`` has no face."""
    return [
        [] if what == "nobody" else [face(what)]
        for seconds, what in parts
        for _ in range(round(seconds * rate))
    ]

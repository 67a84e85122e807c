# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Made-up tables of sessions; tests of `predict` make real ones."""

import math

import numpy as np
import pytest

from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.reaction.smoothing import ReactionFilter
from emotion_perception.valence.labels import CLASSES

THRESHOLD = 0.6


@pytest.fixture
def make_session(tmp_path):
    """Write the table of a made-up session and return its path."""
    pytest.importorskip("pyarrow")
    from emotion_perception.sessions.table import JudgedBy, SessionInfo, schema, write_table

    def make(
        plan, name="session-1", *, rate=25.0, noise=0.1, seed=0, models=("base",), emotions=(),
        face_id="f1", folder=None, **told,
    ):  # fmt: skip
        """Write NAME.parquet.

        Args:
            plan: (seconds, what) one after another; what is negative, neutral, positive, nobody,
                or a problem such as dark.
            name: of the session.
            rate: frames a second.
            noise: of the probabilities of single frames.
            seed: of the noise.
            models: names; each errs in its own way.
            emotions: that the first model tells.
            face_id: of the only person.
            folder: where; the test's own by default.
            told: more of SessionInfo.
        """
        import pyarrow as pa

        rng = np.random.default_rng(seed)
        judged_by = tuple(
            JudgedBy(name=model, model_id=f"{model}-1.0+00000000", threshold=THRESHOLD,
                     emotions=tuple(emotions) if model == models[0] else ())
            for model in models
        )  # fmt: skip
        filters = {model: ReactionFilter() for model in models}
        frames = [what for seconds, what in plan for _ in range(round(seconds * rate))]
        rows = []
        for frame, what in enumerate(frames):
            time = frame / rate
            row = dict.fromkeys(schema(judged_by).names)
            row |= {"frame": frame, "time": time, "is_partner": False, "face_id": "", "problem": ""}
            there = what != "nobody"
            if there:
                x = 250 + 20 * math.sin(time)
                row |= {
                    "face_id": face_id, "is_partner": True, "x1": x, "y1": 150.0, "x2": x + 120,
                    "y2": 300.0, "score": 0.99, "size": 134.0, "sharpness": 0.3, "light": 120.0,
                    "turn": 3.0, "landmarks": [x + 30, 200, x + 90, 200, x + 60, 230, x + 40, 260,
                                               x + 80, 260],
                    "problem": "" if what in CLASSES else what,
                }  # fmt: skip
            for model in models:
                end = "" if model == models[0] else f"__{model}"
                if what in CLASSES:
                    sure = np.full(3, 0.1) + 0.7 * (np.arange(3) == CLASSES.index(what))
                    own = np.clip(sure + rng.normal(0, noise, 3), 0.01, None)
                    own = (own / own.sum()).astype(np.float32)
                else:
                    own = None
                if not there:
                    smooth, reaction, reason = None, Reaction.UNKNOWN, Reason.NO_FACE
                else:
                    smooth, reaction, reason = filters[model].update(own, time, THRESHOLD)
                    smooth = smooth if smooth.any() else None
                for index, label in enumerate(CLASSES):
                    row[f"frame_p_{label}{end}"] = None if own is None else float(own[index])
                    row[f"p_{label}{end}"] = None if smooth is None else float(smooth[index])
                if smooth is not None:
                    row[f"confidence{end}"] = float(smooth.max())
                    row[f"valence{end}"] = float(smooth[2] - smooth[0])
                row[f"reaction{end}"] = reaction.name.lower()
                row[f"reason{end}"] = reason.name.lower()
                row[f"model_id{end}"] = f"{model}-1.0+00000000"
            for emotion in emotions:
                row[f"e_{emotion}"] = 1 / len(emotions) if what in CLASSES else None
            rows.append(row)
        info = SessionInfo(
            **{
                "recording": f"{name}.mp4", "session": name, "width": 640, "height": 480,
                "rate": rate, "frames": len(frames), "seconds": (len(frames) - 1) / rate,
                "detector": "mtcnn", "models": judged_by, "version": "0", **told,
            }
        )  # fmt: skip
        path = (folder or tmp_path) / f"{name}.parquet"
        write_table(path, info, [pa.Table.from_pylist(rows, schema=schema(judged_by))])
        return path

    return make

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What fine-tuning to a patient gives, through `finetune` and its promotion gate as they are.

    python -m benchmarks.patients --fer FER_PLUS --imfdb IMFDB --cmu CMU_FACES [--output JSON]
    python -m benchmarks.patients --fer FER_PLUS --only shifts --shifts roll small --images 600

shifts: 300 validation images of FER+ under one shift to adapt on, 600 others to watch forgetting
on (those of the train split are known too well), and all that are left to test on, with and without
the shift.
movies: IMFDB people with two movies of 8 images a class; fine-tuned on one movie, gated on blocks
of its frames, tested on each other movie, which the gate never sees. Its own figures are those
within a movie.
recordings: the same people, fine-tuned on all their movies; held out and gated by movie.
cmu: within each person of cmu_faces.

Models go to a temporary folder; nothing personal is kept.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from emotion_perception.models import find_model
from emotion_perception.pipeline import BASE_MODEL
from emotion_perception.training.adapt import Adaptation
from emotion_perception.training.faces import DataError, FaceSet
from emotion_perception.training.fer import load_fer
from emotion_perception.training.finetune import FineTuned, FineTuneOptions, finetune
from emotion_perception.training.intervals import paired_difference
from emotion_perception.training.promotion import clusters_of_frames
from emotion_perception.training.shifts import SHIFTS, shifted
from emotion_perception.training.sources import load_source
from emotion_perception.valence.backends import OnnxBackend
from emotion_perception.valence.checkpoint import Checkpoint, load_checkpoint
from emotion_perception.valence.labels import CLASSES

FORMAT = 1
PARTS = ("shifts", "movies", "recordings", "cmu")
ADAPTED = 100  # images of each class
WATCHED = 600
MOVIE_IMAGES = 8  # of each class
Row = dict[str, Any]


class Bench:
    """Everything that the parts share."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.base = load_checkpoint(chosen.model or find_model(BASE_MODEL))
        self.options = FineTuneOptions(
            adaptation=replace(Adaptation(), **chosen.set), folds=chosen.folds, device=chosen.device
        )
        self.validation = load_fer(chosen.fer, "validation").labelled()
        self.replay = load_fer(chosen.fer, "train")

    def finetune(self, faces: FaceSet, base_test: FaceSet) -> tuple[FineTuned, Checkpoint, float]:
        """Return a new version, its checkpoint, and the seconds it took."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            made = finetune(
                self.base, "P-1", faces, self.replay, Path(folder), self.options,
                base_test=base_test.subset(np.arange(min(len(base_test), self.chosen.base_images))),
            )  # fmt: skip
            seconds = time.monotonic() - started
            checkpoint = load_checkpoint(made.directory)
            self._backend = OnnxBackend(checkpoint)
        return made, checkpoint, seconds

    def compare(self, faces: FaceSet) -> Row:
        """Compare the last fine-tuned model with the base on a set."""
        batch = self.base.preprocessing.batch(list(faces.images))
        base = _logits(OnnxBackend(self.base), batch)
        tuned = _logits(self._backend, batch)
        found = paired_difference(base, tuned, faces.labels, clusters=clusters_of_frames(faces))
        return {
            "images": len(faces),
            "base_accuracy": float((base.argmax(axis=1) == faces.labels).mean()),
            "gain": found.accuracy,
            "gain_interval": list(found.accuracy_interval),
            "macro_recall_gain": found.macro_recall,
            "macro_recall_gain_interval": list(found.macro_recall_interval),
        }


def shifts(bench: Bench) -> Row:
    """Adapt to each shift."""
    faces = bench.validation
    rng = np.random.default_rng(bench.chosen.seed)
    own = np.concatenate(
        [rng.permutation(np.flatnonzero(faces.labels == c))[:ADAPTED] for c in range(len(CLASSES))]
    )
    others = rng.permutation(np.setdiff1d(np.arange(len(faces)), own))
    watched, rest = others[:WATCHED], others[WATCHED:][: bench.chosen.images]
    rows = []
    for name in bench.chosen.shifts:
        made, _, seconds = bench.finetune(shifted(faces.subset(own), name), faces.subset(watched))
        row = {
            "case": name, "mix": made.mix, "promoted": made.decision.allowed, "seconds": seconds,
            "shifted": bench.compare(shifted(faces.subset(rest), name)),
            "unshifted": bench.compare(faces.subset(rest)),
        }  # fmt: skip
        rows.append(_told(row, row["shifted"]["gain"], row["unshifted"]["gain"]))
    gains = [row["shifted"]["gain"] for row in rows]
    costs = [-row["unshifted"]["gain"] for row in rows]
    return {
        "rows": rows,
        "mean_base": _mean([row["shifted"]["base_accuracy"] for row in rows]),
        "mean_gain_points": 100 * _mean(gains),
        "worst_cost_points": 100 * max(costs),
        "mean_cost_points": 100 * _mean(costs),
        "longest_seconds": max(row["seconds"] for row in rows),
    }


def movies(bench: Bench) -> Row:
    """Fine-tune on one movie of a person, test on the others."""
    rows, within = [], []
    for person, faces, usable in _people(bench):
        for movie in usable:
            own = faces.subset(faces.recordings == movie)
            try:
                made, _, seconds = bench.finetune(own, bench.validation)
            except DataError as error:
                rows.append({"case": f"{person} {movie}", "skipped": str(error)})
                continue
            about = {"promoted": made.decision.allowed, "mix": made.mix, "seconds": seconds,
                     "trained_on": len(own)}  # fmt: skip
            within.append({"case": f"{person} {movie}", **about, **_held_out(made)})
            for other in usable:
                if other != movie:
                    row = {"case": f"{person} {movie} > {other}", **about,
                           **bench.compare(faces.subset(faces.recordings == other))}  # fmt: skip
                    rows.append(_told(row, row["macro_recall_gain"]))
    return {"other_movie": _summary(rows), "within_movie": _summary(within)}


def recordings(bench: Bench) -> Row:
    """Fine-tune on all movies of a person, each held out in turn."""
    rows = []
    for person, faces, usable in _people(bench):
        own = faces.subset(np.isin(faces.recordings, usable))
        bench.options = replace(bench.options, folds=len(usable))
        made, _, seconds = bench.finetune(own, bench.validation)
        row = {"case": person, "promoted": made.decision.allowed, "mix": made.mix,
               "seconds": seconds, "trained_on": len(own), **_held_out(made),
               "folds": made.folds}  # fmt: skip
        rows.append(_told(row, row["macro_recall_gain"]))
    return _summary(rows)


def cmu(bench: Bench) -> Row:
    """Fine-tune within each person of cmu_faces."""
    every = load_source(f"folders:{bench.chosen.cmu}", "all", bench.base.preprocessing).labelled()
    rows: list[Row] = []
    for person in np.unique(every.persons)[: bench.chosen.people].tolist():
        try:
            made, _, seconds = bench.finetune(
                every.subset(every.persons == person), bench.validation
            )
        except DataError as error:
            rows.append({"case": person, "skipped": str(error)})
            continue
        row = {"case": person, "promoted": made.decision.allowed, "mix": made.mix,
               "seconds": seconds, **_held_out(made)}  # fmt: skip
        rows.append(_told(row, row["macro_recall_gain"]))
    return _summary(rows)


def _people(bench: Bench) -> Iterator[tuple[str, FaceSet, list[str]]]:
    """Yield person, faces and the movies with enough images of each class, if there are two."""
    every = load_source(f"imfdb:{bench.chosen.imfdb}", "all", bench.base.preprocessing).labelled()
    found = 0
    for person in np.unique(every.persons).tolist():
        faces = every.subset(every.persons == person)
        usable = [
            movie
            for movie in np.unique(faces.recordings).tolist()
            if min(faces.subset(faces.recordings == movie).counts().values()) >= MOVIE_IMAGES
        ]
        if len(usable) > 1 and found < bench.chosen.people:
            found += 1
            yield person, faces, usable


def _held_out(made: FineTuned) -> Row:
    figures = made.decision.figures
    return {
        "images": figures.get("images", 0),
        "gain": figures["accuracy_gain_points"] / 100,
        "macro_recall_base": figures["macro_recall_base"],
        "macro_recall_gain": figures["gain_points"] / 100,
        "macro_recall_gain_interval": [end / 100 for end in figures["gain_interval_points"]],
        "forgetting_points": figures.get("forgetting_points"),
        "reasons": list(made.decision.reasons),
    }


def _summary(rows: list[Row]) -> Row:
    """Return means with and without the gate; without promotion a patient keeps the base."""
    done = [row for row in rows if "skipped" not in row]
    gains = np.array([row["macro_recall_gain"] for row in done])
    promoted = np.array([row["promoted"] for row in done], bool)
    worse = [row["case"] for row in done
             if row["promoted"] and row["macro_recall_gain_interval"][1] < 0]  # fmt: skip
    return {
        "rows": rows,
        "cases": len(done),
        "skipped": len(rows) - len(done),
        "mean_gain_points_ungated": 100 * _mean(gains),
        "mean_gain_points_gated": 100 * _mean(np.where(promoted, gains, 0)),
        "share_better_ungated": _mean(gains > 0),
        "share_promoted": _mean(promoted),
        "share_better_of_promoted": _mean((gains > 0)[promoted]),
        "promoted_and_worse_beyond_interval": worse,
    }


def _logits(backend: OnnxBackend, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    parts = [backend.logits(batch[start : start + 256]) for start in range(0, len(batch), 256)]
    return np.concatenate(parts)


def _told(row: Row, *gains: float) -> Row:
    points = ", ".join(f"{100 * gain:+.1f}" for gain in gains)
    state = "promoted" if row["promoted"] else "refused"
    print(f"{row['case']:40} {points} points, mix {row['mix']}, {state}, {row['seconds']:.0f} s",
          flush=True)  # fmt: skip
    return row


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return round(float(value), 4) if np.isfinite(value) else None
    return bool(value) if isinstance(value, np.bool_) else value


def _setting(text: str) -> tuple[str, Any]:
    """Read FIELD=VALUE of an Adaptation."""
    kinds = {field.name: type(getattr(Adaptation(), field.name)) for field in fields(Adaptation)}
    name, _, value = text.partition("=")
    if name not in kinds:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(kinds)}, got {name!r}")
    return name, kinds[name](value)


def main() -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fer", type=Path, required=True, help="FER+ folder")
    parser.add_argument("--imfdb", type=Path, help="IMFDB folder")
    parser.add_argument("--cmu", type=Path, help="cmu_faces folder")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts; default: all with data")
    parser.add_argument("--shifts", nargs="+", choices=tuple(SHIFTS), default=tuple(SHIFTS))
    parser.add_argument("--people", type=int, default=1000, help="at most so many")
    parser.add_argument(
        "--images", type=int, default=100_000, help="test images of shifts, at most"
    )
    parser.add_argument(
        "--base-images", type=int, default=1000, help="to measure forgetting, at most"
    )
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--model", type=Path, help="base checkpoint; default: the shipped one")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images")
    parser.add_argument("--set", nargs="+", type=_setting, default=[], metavar="FIELD=VALUE",
                        help="settings of the adaptation, e.g. look_images=0")  # fmt: skip
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    chosen = parser.parse_args()
    chosen.set = dict(chosen.set)
    logging.basicConfig(level=logging.ERROR)
    parts: dict[str, Callable[[Bench], Row]] = {
        "shifts": shifts, "movies": movies, "recordings": recordings, "cmu": cmu,
    }  # fmt: skip
    there = {"shifts": True, "cmu": chosen.cmu, "movies": chosen.imfdb, "recordings": chosen.imfdb}
    wanted = chosen.only or [part for part in PARTS if there[part]]
    for part in wanted:
        if not there[part]:
            parser.error(f"{part} needs --{'cmu' if part == 'cmu' else 'imfdb'}")
    bench = Bench(chosen)
    result: Row = {
        "format": FORMAT, "source": machine.source(), "versions": machine.versions(),
        "machine": machine.machine(), "base": bench.base.model_id,
        "adaptation": asdict(bench.options.adaptation), "folds": chosen.folds,
    }  # fmt: skip
    for part in wanted:
        result[part] = parts[part](bench)
        if chosen.output is not None:  # after each part: a later one may be interrupted
            chosen.output.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(_plain(result), indent=1) + "\n"
            chosen.output.write_text(text, encoding="utf-8")
    print(json.dumps(_plain({part: _short(result[part]) for part in wanted}), indent=1))
    return 0


def _short(found: Row) -> Row:
    return {key: _short(value) if isinstance(value, dict) else value
            for key, value in found.items() if key != "rows"}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How reactions follow people: smoothing, tracking and ObserveReaction, where the truth is known.

    python -m benchmarks.reactions --london LONDON --imfdb IMFDB --cmu CMU_FACES --fer FER_PLUS
        [--only smoothing tracking observation] [--output JSON]

smoothing: a person's images of one class, then of another, each shown for a moment or for a single
frame, with the jitter of a detector, covered now and then, frames dropped, 5 to 60 Hz. The
smoothing's constants were chosen on every other person of each set; the figures are of the others.
tracking: boxes of two people who cross or turn back, and of one who is gone for a second, with
detector jitter and missed frames; without and with looks of given likeness.
films: two portraits of London pass each other in a made-up film, the one in front covers the other;
through the detector, at 8 to 30 Hz.
observation: what the network says of FER+ validation images stands for a person's expression: a
pool of 40 images of a class, shown one after another; the true change is that of the pools' means.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from emotion_perception.faces.face import Face
from emotion_perception.faces.tracking import FaceTracker
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.reaction.observation import HISTORY_S, Moment, Outcome, observe
from emotion_perception.reaction.reaction import Reaction, decide
from emotion_perception.reaction.smoothing import ReactionFilter
from emotion_perception.training.fer import load_fer
from emotion_perception.training.sources import load_source

FORMAT = 1
PARTS = ("smoothing", "tracking", "films", "observation")
RATES = (5, 10, 15, 30, 60)
HOLDS = (0.0, 0.3, 1.0)
JITTERS = 4
Pool = dict[int, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Bank:
    """What the network says of a set's images, as they are found by a detector that jitters.

    Attributes:
        jittered: (N, JITTERS, 3) probabilities.
        covered: (N, 3), a quarter of the face covered.
        labels: (N,).
        persons: (N,).
    """

    jittered: NDArray[np.float32]
    covered: NDArray[np.float32]
    labels: NDArray[np.int64]
    persons: NDArray[np.str_]

    def people(self, half: int | None, least: int) -> list[Pool]:
        """Return the images of each class of each person with two classes or more."""
        found = []
        for number, person in enumerate(np.unique(self.persons)):
            if half is not None and number % 2 != half:
                continue
            pools = {c: np.flatnonzero((self.persons == person) & (self.labels == c))
                     for c in range(3)}  # fmt: skip
            pools = {c: pool for c, pool in pools.items() if len(pool) >= least}
            if len(pools) > 1:
                found.append(pools)
        return found


def bank(pipeline: ReactionPipeline, source: str, seed: int = 0) -> Bank:
    """Judge every image of a set under the jitter of a detector, and covered."""
    faces = load_source(source, "all", pipeline.checkpoint.preprocessing).labelled()
    rng = np.random.default_rng(seed)
    side = pipeline.checkpoint.preprocessing.size
    jittered = np.zeros((len(faces), JITTERS, 3), np.float32)
    covered = np.zeros((len(faces), 3), np.float32)
    for index, image in enumerate(faces.images):
        views = [_jitter(image, rng) for _ in range(JITTERS + 1)]
        x, y = rng.integers(0, side // 2, 2)
        views[-1][y : y + side // 2, x : x + side // 2] = rng.integers(60, 200)
        answers = pipeline.model.judge(views)
        jittered[index], covered[index] = answers[:JITTERS], answers[JITTERS]
    return Bank(jittered, covered, faces.labels, faces.persons)


def _jitter(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    side = image.shape[0]
    turn = cv2.getRotationMatrix2D(
        (side / 2, side / 2), float(rng.normal(0, 2)), float(np.exp(rng.normal(0, 0.04)))
    )
    turn[:, 2] += rng.normal(0, 1.6 * side / 48, 2)
    return np.asarray(
        cv2.warpAffine(image, turn, (side, side), borderMode=cv2.BORDER_REPLICATE), np.uint8
    ).copy()


def sequence(
    rng: np.random.Generator, found: Bank, pools: Pool, rate: float, hold: float, length: float
) -> tuple[NDArray[np.float64], NDArray[np.float32], NDArray[np.int64]]:
    """Return times, probabilities and true classes of a made-up film."""
    times, rows, truth = [], [], []
    time, label = 0.0, int(rng.choice(list(pools)))
    while time < length:
        end, until = time + rng.uniform(5, 12), -1.0
        image = 0
        while time < end:
            if time > until:
                image = int(rng.choice(pools[label]))
                until = time + (rng.exponential(hold) if hold else 0.0)
            if rng.random() > 0.05:  # else the frame is dropped
                covered = math.sin(1.3 * time) > 0.97  # 0.4 s in 4.8 s
                view = found.jittered[image, rng.integers(JITTERS)]
                rows.append(found.covered[image] if covered else view)
                truth.append(label)
                times.append(time)
            time += rng.uniform(0.85, 1.15) / rate
        label = int(rng.choice([other for other in pools if other != label]))
    return np.array(times), np.array(rows, np.float32), np.array(truth)


def smoothing(
    pipeline: ReactionPipeline, sources: dict[str, str], count: int, half: int | None
) -> dict[str, Any]:
    """Compare smoothed reactions with those of single frames."""
    result: dict[str, Any] = {}
    every: list[dict[str, float]] = []
    added: list[float] = []
    for name, source in sources.items():
        found = bank(pipeline, source)
        people = found.people(half, 1 if name == "london" else 5)
        for hold in HOLDS:
            rng = np.random.default_rng(1)
            rows, lags = [], []
            for number in range(count):
                pools = people[number % len(people)]
                film = sequence(rng, found, pools, RATES[number % len(RATES)], hold, 30.0)
                row, lag = _compare(*film, pipeline.confidence_threshold)
                rows.append(row)
                lags += lag
            every += rows
            added += lags
            result[f"{name}, images held {hold:g} s"] = _means(rows, lags)
        result.setdefault("people", {})[name] = len(people)
    result["all"] = _means(every, added)
    return result


def _compare(
    times: NDArray[np.float64], frames: NDArray[np.float32], truth: NDArray[np.int64],
    threshold: float,
) -> tuple[dict[str, float], list[float]]:  # fmt: skip
    follow = ReactionFilter()
    told = [follow.update(p, float(t), threshold) for p, t in zip(frames, times, strict=True)]
    smooth = np.array([int(reaction) for _, reaction, _ in told])
    probabilities = np.array([p for p, _, _ in told])
    single = np.array([int(decide(p, threshold)[0]) for p in frames])
    minutes = (times[-1] - times[0]) / 60

    def flips(labels: NDArray[np.int64]) -> float:
        return float((np.diff(labels) != 0).sum() / minutes)

    def recall(labels: NDArray[np.int64]) -> float:
        return float(np.mean([(labels[truth == c] == c + 1).mean() for c in np.unique(truth)]))

    row = {
        "flips_per_minute": flips(smooth), "flips_of_frames": flips(single),
        "true_changes": flips(truth), "macro_recall": recall(smooth),
        "macro_recall_of_frames": recall(single), "unknown": float((smooth == 0).mean()),
        "unknown_of_frames": float((single == 0).mean()),
        "ece": _ece(probabilities, truth), "ece_of_frames": _ece(frames, truth),
        "log_loss": _log_loss(probabilities, truth), "log_loss_of_frames": _log_loss(frames, truth),
    }  # fmt: skip
    return row, _lags(times, smooth, single, truth)


def _lags(
    times: NDArray[np.float64], smooth: NDArray[np.int64], single: NDArray[np.int64],
    truth: NDArray[np.int64],
) -> list[float]:  # fmt: skip
    """Return how much later the smoothed reaction is right after each change.

    Only changes that at least half of the frames after them show: where the network does not see
    the expression at all there is nothing to be late for.
    """
    changes = np.flatnonzero(np.diff(truth)) + 1
    lags = []
    for first, last in zip(changes, [*changes[1:], len(truth)], strict=True):
        right = single[first:last] == truth[first] + 1
        if right.mean() < 0.5:
            continue
        late = np.flatnonzero(smooth[first:last] == truth[first] + 1)
        at = times[first + late[0]] if len(late) else times[last - 1]
        lags.append(float(at - times[first + int(right.argmax())]))
    return lags


def _ece(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * 10).astype(int), 9)
    return float(sum(
        (bins == b).mean() * abs(confidence[bins == b].mean() - right[bins == b].mean())
        for b in np.unique(bins)
    ))  # fmt: skip


def _log_loss(probabilities: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-6)).mean())


def _means(rows: Sequence[dict[str, float]], lags: Sequence[float]) -> dict[str, float]:
    mean = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    mean["times_fewer_flips"] = mean["flips_of_frames"] / max(mean["flips_per_minute"], 1e-9)
    mean["recall_gain"] = mean["macro_recall"] - mean["macro_recall_of_frames"]
    mean["lag_median_s"], mean["lag_p95_s"] = (
        (float(v) for v in np.percentile(lags, [50, 95])) if lags else (math.nan, math.nan)
    )
    mean["changes"] = len(lags)
    return mean


def tracking(count: int) -> dict[str, float]:
    """Return the share of made-up encounters in which everybody keeps one id."""
    result = {}
    for looks, rate in itertools.product((False, True), (5, 10, 30, 60)):
        for name, make in (("crossing", crossing), ("gone", gone)):
            kept = [make(np.random.default_rng(n), rate, looks) for n in range(count)]
            how = "places and looks" if looks else "places alone"
            result[f"{name}, {rate} Hz, {how}"] = float(np.mean(kept))
    return result


def crossing(rng: np.random.Generator, rate: float, looks: bool) -> bool:
    """Two people pass each other, or meet and turn back; the one behind is hidden meanwhile."""
    sides, front = rng.uniform(60, 140, 2), int(rng.integers(2))
    heights, length = 240 + rng.uniform(-30, 30, 2), float(rng.uniform(2, 5))
    back = rng.random() < 0.3

    def places(time: float) -> list[tuple[float, float, float] | None]:
        way = time / length
        if back and way > 0.5:
            way = 1 - way
        xs = (100 + 440 * way, 540 - 440 * way)
        boxes = [_box(xs[i], heights[i], sides[i]) for i in range(2)]
        hidden = _overlap(*boxes) > 0.25
        return [None if hidden and i != front else (xs[i], heights[i], sides[i]) for i in range(2)]

    return _followed(rng, rate, looks, length, places)


def gone(rng: np.random.Generator, rate: float, looks: bool) -> bool:
    """One of two is not seen for about a second and comes back up to a face's width away."""
    sides = rng.uniform(60, 140, 2)
    left = float(rng.uniform(1, 2))
    back = left + float(rng.uniform(0.8, 1.2))
    moved = float(rng.uniform(-1.2, 1.2)) * sides[0]

    def places(time: float) -> list[tuple[float, float, float] | None]:
        sway = 10 * math.sin(2 * time)
        first = (180 + sway + (moved if time > back else 0), 240.0, sides[0])
        return [None if left < time < back else first, (460 - sway, 240.0, sides[1])]

    return _followed(rng, rate, looks, back + 2, places)


def _followed(
    rng: np.random.Generator, rate: float, looks: bool, length: float,
    places: Callable[[float], list[tuple[float, float, float] | None]],
) -> bool:  # fmt: skip
    tracker, time = FaceTracker(), 0.0
    own = [_unit(rng.normal(size=64)) for _ in range(2)]
    ids: list[list[str]] = [[], []]
    while time < length:
        faces, who, seen = [], [], []
        for person, place in enumerate(places(time)):
            if place is None or rng.random() < 0.1:
                continue
            x, y, side = place
            x, y = x + rng.normal() * 0.04 * side, y + rng.normal() * 0.04 * side
            box = _box(x, y, side * math.exp(rng.normal() * 0.04)).astype(np.float32)
            faces.append(Face(box, 0.99, np.zeros((5, 2), np.float32)))
            who.append(person)
            # Half common to all faces, and noise that leaves a likeness of about 0.95 with oneself.
            seen.append(_unit(_unit(own[person] + own[0] + own[1]) + rng.normal(size=64) * 0.025))
        tracks = tracker.update(faces, time, seen if looks else None)
        for person, track in zip(who, tracks, strict=True):
            ids[person].append(track.face_id)
        time += rng.uniform(0.8, 1.2) / rate
    return all(len(set(names)) == 1 for names in ids) and ids[0][0] != ids[1][0]


def _box(x: float, y: float, side: float) -> NDArray[np.float64]:
    return np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2])


def _overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (sides <= 0).any():
        return 0.0
    inside = float(sides.prod())
    return inside / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inside)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def films(pipeline: ReactionPipeline, london: Path, count: int) -> dict[str, Any]:
    """Return the share of films in which two who cross keep one id each, through the detector."""
    table = (london / "labels.csv").read_text(encoding="utf-8").splitlines()
    portraits = [row for row in csv.DictReader(table) if row["valence"] == "neutral"]
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(count):
        chosen = rng.choice(len(portraits), 2, replace=False)
        people = [_cut_out(london, portraits[i], float(rng.uniform(70, 130))) for i in chosen]
        front, length = int(rng.integers(2)), float(rng.uniform(2, 4))
        rate, heights = float(rng.choice([8, 15, 30])), rng.uniform(120, 180, 2)
        wall = rng.integers(60, 160, (12, 16, 3)).astype(np.uint8)
        wall = np.asarray(cv2.resize(wall, (640, 480), interpolation=cv2.INTER_CUBIC), np.uint8)
        ids: list[list[str]] = [[], []]
        pipeline.reset()
        for number in range(int(length * rate)):
            way = number / (length * rate)
            corners = [(60 + 400 * way, heights[0]), (460 - 400 * way, heights[1])]
            frame = wall.copy()
            for person in (1 - front, front):
                _paste(frame, *people[person], corners[person])
            noisy = np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255).astype(np.uint8)
            middles = [
                np.array([x + image.shape[1] / 2, y + image.shape[0] / 2])
                for (image, _), (x, y) in zip(people, corners, strict=True)
            ]
            for found in pipeline.run(noisy, number / rate):
                box = found.face.box
                away = [np.abs((box[:2] + box[2:]) / 2 - middle).sum() for middle in middles]
                if abs(away[0] - away[1]) > 40:  # else nobody could say whose face it is
                    ids[int(np.argmin(away))].append(found.face_id)
        kept.append(
            all(names and names[0] == names[-1] for names in ids) and ids[0][0] != ids[1][0]
        )
    return {"kept": float(np.mean(kept)), "films": count}


def _cut_out(
    london: Path, row: dict[str, str], side: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Return a portrait's head and shoulders, its face ``side`` pixels wide, and an oval mask."""
    image = cv2.imread(str(london / "images" / row["file"]))
    if image is None:
        raise FileNotFoundError(london / "images" / row["file"])
    x1, y1, x2, y2 = (int(float(row[f"hull_{name}"])) for name in ("x0", "y0", "x1", "y1"))
    high, wide = (y2 - y1), (x2 - x1)
    part = image[max(0, y1 - high // 4) : y2 + high // 6, max(0, x1 - wide // 6) : x2 + wide // 6]
    scale = side / wide
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    mask = np.zeros(small.shape[:2], np.uint8)
    half = (small.shape[1] // 2, small.shape[0] // 2)
    cv2.ellipse(mask, half, half, 0, 0, 360, 255, -1)
    return np.asarray(small, np.uint8), mask > 0


def _paste(
    frame: NDArray[np.uint8], image: NDArray[np.uint8], mask: NDArray[np.bool_],
    corner: tuple[float, float],
) -> None:  # fmt: skip
    x, y = int(corner[0]), int(corner[1])
    height, width = min(image.shape[0], 480 - y), min(image.shape[1], 640 - x)
    inside = mask[:height, :width]
    frame[y : y + height, x : x + width][inside] = image[:height, :width][inside]


EPISODES = {
    "neutral to smile": (1, 2), "neutral to neutral": (1, 1), "smile to neutral": (2, 1),
    "sad to neutral": (0, 1), "neutral to sad": (1, 0),
}  # fmt: skip


def observation(pipeline: ReactionPipeline, fer: Path, count: int) -> dict[str, Any]:
    """Score verdict, interval and onset of ObserveReaction."""
    faces = load_fer(fer, "validation").labelled()
    p = pipeline.classify(faces.images)
    valence = p[:, 2] - p[:, 0]
    rng = np.random.default_rng(0)
    result: dict[str, Any] = {}
    covered: list[bool] = []
    verdicts: list[bool] = []
    for name, (before, after) in EPISODES.items():
        inside, right, widths, onsets = [], [], [], []
        for number in range(count):
            pools = [rng.choice(np.flatnonzero(faces.labels == c), 40) for c in (before, after)]
            if before == after:
                pools[1] = pools[0]
            onset = float(rng.uniform(0.3, 0.9))
            hold = (0.1, 0.2, 0.4, 0.8)[number % 4]
            moments = list(_episode(rng, p, pools, RATES[number % len(RATES)], hold, onset))
            found = observe(moments, "", 0.0, 2.0, 4.0, pipeline.confidence_threshold)
            shown = (4.0 - onset) / 4.0
            truth = shown * float(valence[pools[1]].mean() - valence[pools[0]].mean())
            inside.append(found.interval[0] <= truth <= found.interval[1])
            right.append(found.reaction == Reaction(after + 1))
            widths.append((found.interval[1] - found.interval[0]) / 2)
            onsets.append(found.onset - onset)
        covered += inside
        verdicts += right
        known = [value for value in onsets if math.isfinite(value)]
        result[name] = {
            "verdict_right": float(np.mean(right)), "interval_covers": float(np.mean(inside)),
            "half_width": float(np.median(widths)), "onset_found": len(known) / count,
            "onset_late_s": float(np.median(known)) if known else None,
        }  # fmt: skip
    for name, stays in (("nobody", 0.0), ("person leaves", 0.5)):
        right = []
        for number in range(count):
            pool = rng.choice(np.flatnonzero(faces.labels == 1), 40)
            rate = RATES[number % len(RATES)]
            shown = [m for m in _episode(rng, p, [pool, pool], rate, 0.3, 1.0)
                     if m.stamp < (stays if stays else -HISTORY_S)]  # fmt: skip
            empty = [Moment(t, "", None, False) for t in np.arange(
                stays if stays else -HISTORY_S, 4.0, 1 / rate)]  # fmt: skip
            found = observe([*shown, *empty], "", 0.0, 2.0, 4.0, pipeline.confidence_threshold)
            wanted = Outcome.LEFT if stays else Outcome.NO_FACE
            right.append(found.outcome is wanted and found.reaction is Reaction.UNKNOWN)
        verdicts += right
        result[name] = {"verdict_right": float(np.mean(right))}
    result["all"] = {
        "verdict_right": float(np.mean(verdicts)), "interval_covers": float(np.mean(covered)),
    }  # fmt: skip
    return result


def _episode(
    rng: np.random.Generator, p: NDArray[np.float32], pools: Sequence[NDArray[np.int64]],
    rate: float, hold: float, onset: float,
) -> Iterator[Moment]:  # fmt: skip
    time, until, changed, image = -HISTORY_S, -math.inf, False, 0
    while time < 4.0:
        after = time >= onset
        if time > until or after != changed:
            image, until, changed = (
                int(rng.choice(pools[after])),
                time + rng.exponential(hold),
                after,
            )
        if rng.random() > 0.1:
            yield Moment(time, "f1", p[image], True)
        time += rng.uniform(0.85, 1.15) / rate


def add_set_options(parser: argparse.ArgumentParser) -> None:
    """Add what names the sets of faces, the part of their people, and the file of the figures."""
    parser.add_argument("--london", type=Path, help="folder of the London set")
    parser.add_argument("--imfdb", type=Path, help="IMFDB folder")
    parser.add_argument("--cmu", type=Path, help="cmu_faces folder")
    parser.add_argument(
        "--half", type=int, default=1, choices=(-1, 0, 1),
        help="of the people: 1 those not chosen on, 0 the others, -1 all",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")


def chosen_sets(chosen: argparse.Namespace) -> dict[str, str]:
    """Return name and source (kind:path) of each set that was named."""
    kinds = {"london": "folders", "cmu": "folders", "imfdb": "imfdb"}
    return {
        name: f"{kind}:{getattr(chosen, name)}"
        for name, kind in kinds.items()
        if getattr(chosen, name)
    }


def main() -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description="Reactions over time on sequences of known truth.")
    add_set_options(parser)
    parser.add_argument("--fer", type=Path, help="FER+ folder")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts; default: all with data")
    parser.add_argument("--count", type=int, default=60, help="sequences of each kind")
    chosen = parser.parse_args()
    sources = chosen_sets(chosen)
    there = {
        "smoothing": bool(sources), "tracking": True, "films": chosen.london is not None,
        "observation": chosen.fer is not None,
    }  # fmt: skip
    wanted = chosen.only or [part for part in PARTS if there[part]]
    if missing := [part for part in wanted if not there[part]]:
        parser.error(f"{', '.join(missing)}: needs a data set, see --help")
    pipeline = ReactionPipeline(threads=1)
    result: dict[str, Any] = {
        "format": FORMAT, "source": machine.source(), "versions": machine.versions(),
        "model_id": pipeline.checkpoint.model_id, "count": chosen.count,
    }  # fmt: skip
    if "smoothing" in wanted:
        half = None if chosen.half < 0 else chosen.half
        result["smoothing"] = smoothing(pipeline, sources, chosen.count, half)
    if "tracking" in wanted:
        result["tracking"] = tracking(chosen.count)
    if "films" in wanted:
        result["films"] = films(pipeline, chosen.london, chosen.count)
    if "observation" in wanted:
        result["observation"] = observation(pipeline, chosen.fer, chosen.count)
    machine.tell(result, chosen.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

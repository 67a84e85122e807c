# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How well events are found in recordings where the truth is known.

    python -m benchmarks.events --london LONDON --imfdb IMFDB --cmu CMU_FACES [--count N]
        [--output JSON]

The films are those of `benchmarks.reactions`: a person's images of one class, then of another (5 to
12 s each), each image shown for one frame or for 0.3 or 1 s on average, with a detector's jitter,
covered now and then, frames dropped, 5 to 60 Hz. Nothing of `find_events` was chosen on them: it
has the constants of the causal filter, which were chosen on the other half of the people.

onset: for each change to negative or positive, whether an event of that reaction begins within
0.3 s of it; and the same for the causal filter, as the robot has it, in the same films.
    all: every change.
    shown: those that at least half of the frames up to the next change show; where the network does
        not see the expression there is nothing to find.
    clear: of these, those that at least half of the frames of the half second after the change show
        and fewer than half of those of the half second before it.
borders: the film is cut so long after an event's onset, or before its offset: whether what is left
of it is still found, and its other end within 0.3 s of where it was. shown: those cuts of which at
least half of the frames that are left show it.
ends: whether the reaction that a film begins or ends with is found, where at least half of its
frames show it; and whether it is found up to the very border.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.reactions import (
    HOLDS,
    RATES,
    add_set_options,
    bank,
    chosen_sets,
    sequence,
)
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.reaction.reaction import decide
from emotion_perception.reaction.smoothing import ReactionFilter
from emotion_perception.sessions.events import Event, EventOptions, find_events
from emotion_perception.sessions.table import (
    FRAME_PROBABILITIES,
    JudgedBy,
    Session,
    SessionInfo,
)
from emotion_perception.valence.labels import CLASSES, NEUTRAL

FORMAT = 1
NEAR_S = 0.3
CLEAR_S = 0.5
WANTED = 0.95
CUTS_S = (0.25, 0.5, 0.75, 1.0, 2.0)
Found = tuple[int, float, float]
"""Class, onset and offset in seconds."""


@dataclass(frozen=True, eq=False)
class Film:
    """A made-up film: times (N,), the frames' probabilities (N, 3), true classes (N,)."""

    times: NDArray[np.float64]
    frames: NDArray[np.float32]
    truth: NDArray[np.int64]

    def cut(self, start: float, end: float) -> Film:
        """Return a part of it; its times begin with 0."""
        inside = (self.times >= start) & (self.times <= end)
        times = self.times[inside]
        return Film(times - times[0], self.frames[inside], self.truth[inside])


@dataclass(frozen=True)
class Change:
    """A true change to negative or positive.

    Attributes:
        shown: see above.
        clear: see above.
        offline: seconds from the change to the onset of the nearest event, inf if there is none.
        causal: the same of the causal filter.
        offline_overlaps: whether an event of that reaction lies in the time up to the next change.
        causal_overlaps: the same of the causal filter.
    """

    shown: bool
    clear: bool
    offline: float
    causal: float
    offline_overlaps: bool
    causal_overlaps: bool


@dataclass(frozen=True)
class Cut:
    """What is left of an event that the border of a recording cuts.

    Attributes:
        shown: whether half of the frames that are left of it show it.
        found: whether it is found, and said to be cut.
        in_place: whether it is so with its other end within 0.3 s of where it was.
    """

    shown: bool
    found: bool
    in_place: bool


def events_of(film: Film, threshold: float) -> list[Event]:
    """Find the events of a film as `emotion-perception events` does."""
    rows = pandas.DataFrame(
        {"time": film.times, "face_id": "f1", "is_partner": True, "problem": ""}
        | {name: film.frames[:, index] for index, name in enumerate(FRAME_PROBABILITIES)}
    )
    model = JudgedBy(name="base", model_id="base", threshold=threshold)
    info = SessionInfo(recording="film", session="film", models=(model,))
    return find_events(Session(Path("film.parquet"), info, rows), EventOptions())


def causal(film: Film, threshold: float) -> list[Found]:
    """Return from when to when the robot was told a reaction."""
    follow = ReactionFilter()
    told = np.array(
        [
            int(follow.update(p, float(time), threshold)[1])
            for p, time in zip(film.frames, film.times, strict=True)
        ]
    )
    edges = [0, *(np.flatnonzero(np.diff(told)) + 1).tolist(), len(told)]
    last = len(told) - 1
    return [
        (int(told[first]) - 1, float(film.times[first]), float(film.times[min(stop, last)]))
        for first, stop in itertools.pairwise(edges)
        if told[first] and told[first] - 1 != NEUTRAL
    ]


def changes(
    film: Film, offline: Sequence[Found], robot: Sequence[Found], threshold: float
) -> list[Change]:
    """Compare what was found with the true changes."""
    times, truth = film.times, film.truth
    single = np.array([int(decide(p, threshold)[0]) - 1 for p in film.frames])
    firsts = np.flatnonzero(np.diff(truth)) + 1
    result = []
    for first, stop in zip(firsts, [*firsts[1:], len(truth)], strict=True):
        label, start = int(truth[first]), float(times[first])
        if label == NEUTRAL:
            continue
        right = single == label
        after = right[(times >= start) & (times < start + CLEAR_S)]
        before = right[(times < start) & (times >= start - CLEAR_S)]
        shown = bool(right[first:stop].mean() >= 0.5)
        clear = shown and len(after) > 0 and len(before) > 0
        clear = clear and bool(after.mean() >= 0.5 > before.mean())
        late, overlaps = [], []
        for found in (offline, robot):
            late.append(min((on - start for c, on, _ in found if c == label), key=abs,
                            default=math.inf))  # fmt: skip
            overlaps.append(
                any(c == label and on < times[stop - 1] and off > start for c, on, off in found)
            )
        result.append(Change(shown, clear, late[0], late[1], overlaps[0], overlaps[1]))
    return result


def false_ones(film: Film, found: Sequence[Found]) -> int:
    """Count what lies, for more than half of its time, where the truth is another."""
    wrong = 0
    for label, onset, offset in found:
        inside = (film.times >= onset) & (film.times <= offset)
        wrong += int((film.truth[inside] == label).mean() < 0.5)
    return wrong


def borders(
    film: Film, events: Sequence[Event], threshold: float, rng: np.random.Generator
) -> dict[str, list[Cut]]:
    """Cut a film within one of its events, a little after its onset and before its offset."""
    result: dict[str, list[Cut]] = {}
    long = [e for e in events if e.duration >= 2 * max(CUTS_S) and not (e.cut_start or e.cut_end)]
    if not long:
        return result
    event = long[int(rng.integers(len(long)))]
    single = np.array([decide(p, threshold)[0].name.lower() for p in film.frames])
    right = single == event.reaction
    for seconds in CUTS_S:
        end = event.onset + seconds
        left = [
            e.onset for e in events_of(film.cut(0, end), threshold)
            if e.reaction == event.reaction and e.cut_end
        ]  # fmt: skip
        begin = float(film.times[film.times >= event.offset - seconds][0])
        rest = [
            e.offset + begin for e in events_of(film.cut(begin, math.inf), threshold)
            if e.reaction == event.reaction and e.cut_start
        ]  # fmt: skip
        result[f"{seconds:g} s"] = [
            Cut(
                shown=2 * right[inside].sum() >= max(inside.sum(), 1),
                found=bool(kept),
                in_place=any(abs(time - place) <= NEAR_S for time in kept),
            )
            for start, stop, kept, place in (
                (event.onset, end, left, event.onset),
                (begin, event.offset, rest, event.offset),
            )
            for inside in [(film.times >= start) & (film.times < stop)]
        ]
    return result


def ends(
    film: Film, events: Sequence[Event], threshold: float
) -> list[tuple[str, tuple[bool, bool]]]:
    """Say whether the reactions that a film begins and ends with are found, and cut by its ends."""
    single = np.array([int(decide(p, threshold)[0]) - 1 for p in film.frames])
    edges = [0, *(np.flatnonzero(np.diff(film.truth)) + 1).tolist(), len(film.truth)]
    result = []
    for name, first, stop in (("begins", *edges[:2]), ("ends", *edges[-2:])):
        label = int(film.truth[first])
        if label == NEUTRAL or (single[first:stop] == label).mean() < 0.5:
            continue
        start, end = film.times[first], film.times[stop - 1]
        own = [e for e in events
               if e.reaction == CLASSES[label] and e.onset < end and e.offset > start]  # fmt: skip
        cut = any(e.cut_start if name == "begins" else e.cut_end for e in own)
        result.append((f"film {name} with it", (bool(own), cut)))
    return result


def summary(rows: Sequence[Change]) -> dict[str, Any]:
    """Return shares and errors of changes."""
    result: dict[str, Any] = {}
    for name, chosen in (
        ("all", list(rows)),
        ("shown", [row for row in rows if row.shown]),
        ("clear", [row for row in rows if row.clear]),
    ):
        told: dict[str, Any] = {"changes": len(chosen)}
        for how in ("offline", "causal") if chosen else ():
            late = np.array([getattr(row, how) for row in chosen])
            known = np.abs(late[np.isfinite(late)])
            told[how] = {
                "within_0.3_s": float((np.abs(late) <= NEAR_S).mean()),
                "earlier": float((late < -NEAR_S).mean()),
                "later": float((late > NEAR_S).mean()),
                "found_at_all": float(np.mean([getattr(row, f"{how}_overlaps") for row in chosen])),
                "median_s": float(np.median(late[np.isfinite(late)])) if len(known) else None,
                "p95_of_distance_s": float(np.percentile(known, 95)) if len(known) else None,
            }
        result[name] = told
    return result


def measure(
    pipeline: ReactionPipeline, sources: dict[str, str], count: int, half: int | None
) -> dict[str, Any]:
    """Measure everything; returns it for JSON."""
    threshold = pipeline.confidence_threshold
    rows: dict[str, list[Change]] = defaultdict(list)
    false: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    cuts: dict[str, dict[str, list[Cut]]] = defaultdict(lambda: defaultdict(list))
    whole: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    people_of = {}
    for name, source in sources.items():
        found = bank(pipeline, source)
        people = found.people(half, 1 if name == "london" else 5)
        people_of[name] = len(people)
        for hold in HOLDS:
            rng, luck = np.random.default_rng(1), np.random.default_rng(2)
            for number in range(count):
                rate = RATES[number % len(RATES)]
                film = Film(*sequence(rng, found, people[number % len(people)], rate, hold, 30.0))
                events = events_of(film, threshold)
                offline = [(CLASSES.index(e.reaction), e.onset, e.offset) for e in events]
                robot = causal(film, threshold)
                minutes = float(film.times[-1] - film.times[0]) / 60
                told = changes(film, offline, robot, threshold)
                wrong = false_ones(film, offline), false_ones(film, robot)
                for key in (f"{name}, images held {hold:g} s", f"{rate} Hz", "all"):
                    rows[key] += told
                    false[key].append((minutes, *wrong))
                for seconds, kept in borders(film, events, threshold, luck).items():
                    cuts[name][seconds] += kept
                    cuts["all"][seconds] += kept
                for key, kept_end in ends(film, events, threshold):
                    whole[key].append(kept_end)
    onsets = {}
    for key, found_rows in rows.items():
        minutes, wrong_offline, wrong_causal = np.sum(false[key], axis=0).tolist()
        onsets[key] = summary(found_rows) | {
            "false_a_minute": {
                "offline": wrong_offline / minutes, "causal": wrong_causal / minutes,
            },
        }  # fmt: skip
    reached = {
        kind: [
            key for key, value in onsets.items()
            if "offline" in value[kind] and value[kind]["offline"]["within_0.3_s"] >= WANTED
        ]
        for kind in ("all", "shown", "clear")
    }  # fmt: skip
    return {
        "people": people_of, "threshold": threshold, "onset": onsets, "reached": reached,
        "borders": {
            name: {seconds: _kept(kept) for seconds, kept in of_set.items()}
            for name, of_set in cuts.items()
        },
        "ends": {
            key: {
                "films": len(found_ends), "found": float(np.mean([f for f, _ in found_ends])),
                "up_to_the_border": float(np.mean([up for _, up in found_ends])),
            }
            for key, found_ends in whole.items()
        },
    }  # fmt: skip


def _kept(cuts: Sequence[Cut]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, chosen in (("all", list(cuts)), ("shown", [cut for cut in cuts if cut.shown])):
        result[name] = {"cuts": len(chosen)}
        if chosen:
            result[name] |= {
                "found": float(np.mean([cut.found for cut in chosen])),
                "in_place": float(np.mean([cut.in_place for cut in chosen])),
            }
    return result


def main() -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description="Events found in films of known truth.")
    add_set_options(parser)
    parser.add_argument("--count", type=int, default=60, help="films of each kind")
    chosen = parser.parse_args()
    sources = chosen_sets(chosen)
    if not sources:
        parser.error("expected one of --london, --imfdb and --cmu")
    if chosen.count < 1:
        parser.error(f"--count: expected 1 or more, got {chosen.count}")
    pipeline = ReactionPipeline(threads=1)
    half = None if chosen.half < 0 else chosen.half
    result: dict[str, Any] = {
        "format": FORMAT, "source": machine.source(), "versions": machine.versions(),
        "model_id": pipeline.checkpoint.model_id, "count": chosen.count, "half": chosen.half,
        "options": asdict(EventOptions()),
        **measure(pipeline, sources, chosen.count, half),
    }  # fmt: skip
    machine.tell(result, chosen.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

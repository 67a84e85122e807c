# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How a person received an action: a window after it, compared with the time before it."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.reaction.reaction import FaceReaction, Reaction, Reason, decide
from emotion_perception.reaction.smoothing import SmoothingOptions
from emotion_perception.valence.labels import CLASSES, NEGATIVE, POSITIVE

BASELINE_S: Final = (2.0, 30.0)
WINDOW_S: Final = (4.0, 120.0)
"""Default and greatest; the least is _LEAST_S."""

_LEAST_S: Final = 0.5

LEAST_FRAMES: Final = 5
"""With fewer in the window nothing is concluded."""

LEAST_SHARE: Final = 0.3
"""Of the frames of a window in which the person must have been judged."""


class Outcome(IntEnum):
    """Why there is no verdict; the values are those of ObserveReaction.action."""

    OBSERVED = 0
    NO_FACE = 1
    LEFT = 2
    TOO_FEW_FRAMES = 3
    INTERRUPTED = 4
    REFUSED = 5


@dataclass(frozen=True, eq=False)
class Moment:
    """One face of one frame, in numbers; no image.

    Attributes:
        stamp: time of the frame, seconds.
        face_id: whose; empty for a frame with nobody.
        probabilities: float32 (3,) of this frame alone, not smoothed; None if it was not judged.
        is_partner: whether it was the partner.
        waited: whether it could have been judged, but others were.
    """

    stamp: float
    face_id: str
    probabilities: NDArray[np.float32] | None
    is_partner: bool
    waited: bool = False


class MomentRing:
    """The last moments, for as long as an observation may look back.

    Args:
        keep: seconds.
    """

    def __init__(self, keep: float = 170.0) -> None:
        self.keep = keep
        self._moments: deque[Moment] = deque()
        self._newest = -math.inf

    def add_frame(self, stamp: float, reactions: Sequence[FaceReaction]) -> bool:
        """Add what a frame said of its faces.

        Returns:
            False if time jumped back, so that everything before was forgotten. A little is no
            jump: two cameras on one topic need not take turns exactly.
        """
        went_on = stamp >= self._newest - _JUMP
        if not went_on:
            self.clear()
        if not reactions:
            self._moments.append(Moment(stamp, "", None, False))
        for reaction in reactions:
            own = reaction.frame_probabilities
            waited = own is None and not reaction.problem
            self._moments.append(Moment(stamp, reaction.face_id, own, reaction.is_partner, waited))
        self._newest = max(self._newest, stamp)
        while self._moments and self._moments[0].stamp < self._newest - self.keep:
            self._moments.popleft()
        return went_on

    def between(self, start: float, end: float) -> list[Moment]:
        """Return the moments with start <= stamp < end."""
        found: list[Moment] = []
        for moment in reversed(self._moments):  # the newest are wanted, and they are at the end
            if moment.stamp < start - _JUMP:
                break
            if start <= moment.stamp < end:
                found.append(moment)
        return found[::-1]

    def clear(self) -> None:
        """Forget everything."""
        self._moments.clear()
        self._newest = -math.inf


@dataclass(frozen=True, eq=False, kw_only=True)
class Observation:
    """What was seen of one action; the fields are those of ObserveReaction's result."""

    outcome: Outcome
    face_id: str
    reaction: Reaction
    reason: Reason
    baseline: NDArray[np.float32]
    response: NDArray[np.float32]
    verdict: NDArray[np.float32]
    change: float
    interval: tuple[float, float]
    onset: float
    baseline_frames: int
    response_frames: int
    missed_frames: int

    @property
    def baseline_valence(self) -> float:
        """Valence before."""
        return float(self.baseline[POSITIVE] - self.baseline[NEGATIVE])

    @property
    def response_valence(self) -> float:
        """Valence of the response."""
        return float(self.response[POSITIVE] - self.response[NEGATIVE])


_JUMP: Final = 1.0
"""Seconds by which a stamp may be before the last one."""

BIN: Final = 0.1
"""Seconds; frames of one bin are averaged, so that it does the same at every frame rate."""

HISTORY_S: Final = 20.0
"""Seconds before an action from which the noise of the frames is learned."""

_USUAL_MEMORY: Final = 0.5
"""Seconds for which frames err alike, before anything was seen of it."""

_MEMORIES: Final = (0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8, 1.1, 1.5)
_LAGS: Final = (1, 2, 3, 4, 5, 6, 8)
_TRUST: Final = 5.0  # weight of the usual memory, in squared differences of correlations
_LEAST_SEGMENT: Final = 0.8
"""Seconds that an expression must last to be a response."""

_LIKELY: Final = 0.25
_CLEARLY: Final = 0.15
"""Shares of the scatter that a change of level may leave over. Of the noise only what is clearly a
change is taken away: taking too much away would narrow the interval."""

_LEAST_CHANGE: Final = 0.35
"""Of valence; a smaller step is no change of expression."""

_POOLED: Final = 3.0  # weight of the scatter of both sides, in independent values
_MOST_LOOKS: Final = 12.0  # however long a person was seen, the network may misread the person

_FLOOR: Final = 0.03
"""Standard deviation of valence that no face falls below, however still the picture is."""


@dataclass(frozen=True, eq=False)
class _Series:
    """Valence in bins; NaN where nothing was judged.

    Attributes:
        values: float (n,).
        probabilities: float (n, 3).
        frames: judged frames.
        missed: other frames.
    """

    values: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    frames: int
    missed: int

    @property
    def mean(self) -> float:
        """Mean valence."""
        return float(np.nanmean(self.values)) if self.frames else math.nan


def observe(
    moments: Sequence[Moment], face_id: str, start: float, baseline: float, end: float,
    threshold: float,
) -> Observation:  # fmt: skip
    """Compare how a person was before an action with how they were after it.

    Args:
        moments: of the time from HISTORY_S before the start to the end.
        face_id: whom to watch; empty for the partner at the start.
        start: when the action began, seconds.
        baseline: seconds before it that count as before.
        end: of the window, seconds.
        threshold: least probability of a reaction that counts as an answer.

    Returns:
        What was seen. The change is that of the mean valence; its interval assumes noise that is
        correlated in time, with a memory learned from the person's own frames.
    """
    face_id = face_id or partner_at(moments, start, end)
    before = _series(moments, face_id, start - baseline, start)
    after = _series(moments, face_id, start, end)
    outcome = _outcome(moments, face_id, before, after, end)
    if outcome is not Outcome.OBSERVED:
        return nothing(outcome, face_id, before, after)
    history = _series(moments, face_id, start - max(baseline, HISTORY_S), start - baseline)
    noise = _Noise.learn([history.values, before.values], [after.values])
    change, interval = noise.change(before, after)
    onset, part = _response(before, after, noise)
    verdict = noise.posterior(after.probabilities[part])
    reaction, reason = decide(verdict, threshold)
    return Observation(
        outcome=outcome,
        face_id=face_id,
        reaction=reaction,
        reason=reason,
        baseline=_mean_probabilities(before.probabilities),
        response=_mean_probabilities(after.probabilities[part]),
        verdict=verdict,
        change=change,
        interval=interval,
        onset=onset,
        baseline_frames=before.frames,
        response_frames=after.frames,
        missed_frames=before.missed + after.missed,
    )


def length_problem(baseline: float, window: float) -> str:
    """Say what is wrong with the seconds to look back and to watch; 0 is the default."""
    for name, value, (_, most) in (
        ("baseline", baseline, BASELINE_S),
        ("window", window, WINDOW_S),
    ):
        if value != 0 and not _LEAST_S <= value <= most:
            return (
                f"{name}: expected {_LEAST_S:g} to {most:g} s or 0 for the default, got {value:g}"
            )
    return ""


def partner_at(moments: Sequence[Moment], start: float, end: float) -> str:
    """Return the face_id of the partner when an action began: the last before, or the next one."""
    before = [m for m in moments if m.is_partner and start - 1.5 <= m.stamp < start]
    if before:
        return before[-1].face_id
    return next((m.face_id for m in moments if m.is_partner and start <= m.stamp < end), "")


def _outcome(
    moments: Sequence[Moment], face_id: str, before: _Series, after: _Series, end: float
) -> Outcome:
    if not face_id or not before.frames + after.frames:
        return Outcome.NO_FACE
    seen = np.isfinite(after.values)
    if after.frames >= LEAST_FRAMES and seen.mean() >= LEAST_SHARE:
        return Outcome.OBSERVED
    stamps = [m.stamp for m in moments if m.stamp < end]
    own = [m.stamp for m in moments if m.stamp < end and m.face_id == face_id]
    gone = bool(stamps and own and stamps[-1] - own[-1] > 0.2 * max(len(after.values), 1) * BIN)
    return Outcome.LEFT if gone else Outcome.TOO_FEW_FRAMES


def _series(moments: Sequence[Moment], face_id: str, start: float, end: float) -> _Series:
    bins = max(1, round((end - start) / BIN))
    sums, counts = np.zeros((bins, 3)), np.zeros(bins)
    stamps = {m.stamp for m in moments if start <= m.stamp < end}
    frames = 0
    for moment in moments:
        if start <= moment.stamp < end and moment.face_id == face_id:
            if moment.waited:
                stamps.discard(moment.stamp)
            if moment.probabilities is None or not np.isfinite(moment.probabilities).all():
                continue
            at = min(int((moment.stamp - start) / BIN), bins - 1)
            sums[at] += moment.probabilities
            counts[at] += 1
            frames += 1
    with np.errstate(invalid="ignore"):
        probabilities = sums / np.where(counts > 0, counts, np.nan)[:, None]
    values = probabilities[:, POSITIVE] - probabilities[:, NEGATIVE]
    return _Series(values, probabilities, frames, len(stamps) - frames)


@dataclass(frozen=True)
class _Noise:
    """How the valence of frames scatters about an expression that stays.

    Attributes:
        memory: time constant of its correlation, seconds; that of a first-order process.
        variances: of the time before the action and of that after it; a smile scatters less than
            a neutral face.
        freedoms: about as many independent values these were learned from.
    """

    memory: float
    variances: tuple[float, float]
    freedoms: tuple[float, float]

    @classmethod
    def learn(
        cls, before: Sequence[NDArray[np.float64]], after: Sequence[NDArray[np.float64]]
    ) -> _Noise:
        """Learn from series in which the expression may change."""
        sides = [_residuals(before), _residuals(after)]
        every = sides[0] + sides[1]
        if not every:
            return cls(_USUAL_MEMORY, (0.3**2, 0.3**2), (2.0, 2.0))
        pooled = _variance(every)
        correlations = [_correlation(every, lag, pooled) for lag in _LAGS]
        lengths = [len(r) for r in every]

        def misfit(memory: float) -> float:
            lost = _lost(lengths, memory)
            errors = [
                pairs * (found - (math.exp(-lag * BIN / memory) - lost) / (1 - lost)) ** 2
                for lag, (found, pairs) in zip(_LAGS, correlations, strict=True)
            ]
            return sum(errors) + _TRUST * math.log(memory / _USUAL_MEMORY) ** 2

        memory = min(_MEMORIES, key=misfit)
        pooled /= 1 - _lost(lengths, memory)
        variances, freedoms = [], []
        for side in sides:
            seconds = sum(len(r) for r in side) * BIN
            freedom = max(seconds / (2 * memory) - len(side), 0.0)
            own = pooled
            if side:
                own = _variance(side) / (1 - _lost([len(r) for r in side], memory))
            mixed = (freedom * own + _POOLED * pooled) / (freedom + _POOLED)
            # Few values that happen to scatter little must not narrow the interval.
            variances.append(max(own, mixed) + _FLOOR**2)
            freedoms.append(max(freedom + _POOLED / 2, 1.5))
        return cls(memory, (variances[0], variances[1]), (freedoms[0], freedoms[1]))

    def of_mean(self, side: int, values: NDArray[np.float64]) -> float:
        """Return the variance of the mean of values before (0) or after (1) the action."""
        seconds = float(np.isfinite(values).sum()) * BIN
        return self.variances[side] * _mean_share(seconds, self.memory)

    def reach(self, before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
        """Return half the width of the 95 % interval of a difference of means (Welch 1947)."""
        parts = [self.of_mean(0, before), self.of_mean(1, after)]
        freedom = sum(parts) ** 2 / sum(
            part**2 / freedom for part, freedom in zip(parts, self.freedoms, strict=True)
        )
        return t_quantile(0.975, max(freedom, 1.5)) * math.sqrt(sum(parts))

    def change(self, before: _Series, after: _Series) -> tuple[float, tuple[float, float]]:
        """Return the change of the mean valence and its 95 % interval."""
        if not before.frames:
            return math.nan, (math.nan, math.nan)
        change = after.mean - before.mean
        reach = self.reach(before.values, after.values)
        return change, (max(change - reach, -2.0), min(change + reach, 2.0))

    def posterior(self, probabilities: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the probabilities of an expression that stays, from bins (n, 3) of frames.

        The looks are as many as the memory leaves independent, and tempered as ReactionFilter
        tempers them.
        """
        known = probabilities[np.isfinite(probabilities).all(axis=1)]
        if not len(known):
            return np.zeros(len(CLASSES), np.float32)
        options = SmoothingOptions()
        likely = (1 - options.doubt) * known + options.doubt / len(CLASSES)
        looks = min(len(known) * BIN / (2 * self.memory), _MOST_LOOKS)
        scores = max(1.0, looks * options.temper) * np.log(likely).mean(axis=0)
        result = np.exp(scores - scores.max())
        return np.asarray(result / result.sum(), np.float32)


def _residuals(parts: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """Return what is left of series when the level of each of their segments is taken away."""
    found = []
    for values in parts:
        if np.isfinite(values).sum() < 3:
            continue
        for first, last in _segments(values, _CLEARLY):
            piece = values[first:last]
            if np.isfinite(piece).sum() >= 3:
                found.append(piece - np.nanmean(piece))
    return found


def _variance(residuals: Sequence[NDArray[np.float64]]) -> float:
    count = sum(int(np.isfinite(r).sum()) for r in residuals)
    return float(sum(np.nansum(r**2) for r in residuals)) / count + 1e-6


def _correlation(
    residuals: Sequence[NDArray[np.float64]], lag: int, variance: float
) -> tuple[float, int]:
    """Return the correlation at a lag in bins, and from how many pairs."""
    products = [r[:-lag] * r[lag:] for r in residuals if len(r) > lag]
    pairs = sum(int(np.isfinite(p).sum()) for p in products)
    return (sum(np.nansum(p) for p in products) / pairs / variance if pairs else 0.0), pairs


def _mean_share(seconds: float, memory: float) -> float:
    """Return the variance of the mean of a first-order process over that of its values."""
    x = max(seconds, 1e-3) / memory
    return 2 / x * (1 - (1 - math.exp(-x)) / x)


def _lost(lengths: Sequence[int], memory: float) -> float:
    """Return the share of the variance that goes with the means of the segments."""
    shares = [n * _mean_share(n * BIN, memory) for n in lengths]
    return min(sum(shares) / sum(lengths), 0.9)


def _segments(values: NDArray[np.float64], left_over: float) -> list[tuple[int, int]]:
    """Part a series where its level changes: into one to three parts, the fewest that do.

    Args:
        values: (n,), NaN where nothing is known.
        left_over: share of the scatter that more parts may leave over to be believed.
    """
    least = max(2, round(_LEAST_SEGMENT / BIN))
    n = len(values)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    sums = np.concatenate([[0.0], np.cumsum(filled)])
    squares = np.concatenate([[0.0], np.cumsum(filled**2)])
    counts = np.concatenate([[0], np.cumsum(known)])

    def cost(first: Any, last: Any) -> Any:
        """Return the squared scatter between two cuts; arrays of cuts give arrays."""
        count = np.maximum(counts[last] - counts[first], 1)
        total = sums[last] - sums[first]
        return squares[last] - squares[first] - total**2 / count

    candidates: list[tuple[float, list[int]]] = [(float(cost(0, n)), [0, n])]
    cuts = np.arange(least, n - least + 1)
    if len(cuts):
        costs = cost(0, cuts) + cost(cuts, n)
        best = int(costs.argmin())
        candidates.append((float(costs[best]), [0, int(cuts[best]), n]))
        first, second = np.triu_indices(len(cuts), least)
        if len(first):
            first, second = cuts[first], cuts[second]
            costs = cost(0, first) + cost(first, second) + cost(second, n)
            best = int(costs.argmin())
            candidates.append((float(costs[best]), [0, int(first[best]), int(second[best]), n]))
    explained, edges = candidates[0]
    for left, candidate in candidates[1:]:
        levels = [
            (sums[b] - sums[a]) / max(counts[b] - counts[a], 1)
            for a, b in itertools.pairwise(candidate)
        ]
        steps = [abs(b - a) for a, b in itertools.pairwise(levels)]
        if left < left_over * explained and min(steps) > _LEAST_CHANGE:
            edges, explained = candidate, left
    return list(itertools.pairwise(edges))


def _response(before: _Series, after: _Series, noise: _Noise) -> tuple[float, slice]:
    """Return when the expression changed, seconds after the start, and the bins of the response.

    Of the parts of the window that one is the response that differs most from the time before; a
    short smile is one. Where none differs, the whole window is.
    """
    whole = slice(0, len(after.values))
    if not before.frames:
        return math.nan, whole
    # The time before goes in, so that a change soon after the start is seen as one.
    lead = len(before.values)
    parts = _segments(np.concatenate([before.values, after.values]), _LIKELY)[1:]

    def differs(part: slice) -> float:
        values = after.values[part]
        if not np.isfinite(values).any():
            return 0.0
        away = abs(float(np.nanmean(values)) - before.mean)
        return away if away > max(noise.reach(before.values, values), _LEAST_CHANGE) else 0.0

    inside = [slice(max(first - lead, 0), last - lead) for first, last in parts if last > lead]
    best = max(inside, key=differs, default=whole)
    return (best.start * BIN, best) if inside and differs(best) else (math.nan, whole)


def _mean_probabilities(values: NDArray[np.float64]) -> NDArray[np.float32]:
    known = values[np.isfinite(values).all(axis=1)]
    return known.mean(axis=0).astype(np.float32) if len(known) else np.zeros(3, np.float32)


def nothing(
    outcome: Outcome, face_id: str = "", before: _Series | None = None, after: _Series | None = None
) -> Observation:
    """Return an observation without a verdict."""
    reasons = {
        Outcome.NO_FACE: Reason.NO_FACE,
        Outcome.LEFT: Reason.NO_FACE,
        Outcome.TOO_FEW_FRAMES: Reason.LOW_QUALITY,
    }
    parts = [part for part in (before, after) if part is not None]
    return Observation(
        outcome=outcome,
        face_id=face_id,
        reaction=Reaction.UNKNOWN,
        reason=reasons.get(outcome, Reason.NOT_LOOKED),
        baseline=_mean_probabilities(before.probabilities) if before else np.zeros(3, np.float32),
        response=np.zeros(3, np.float32),
        verdict=np.zeros(3, np.float32),
        change=math.nan,
        interval=(math.nan, math.nan),
        onset=math.nan,
        baseline_frames=before.frames if before else 0,
        response_frames=after.frames if after else 0,
        missed_frames=sum(part.missed for part in parts),
    )


def mean_change(moments: Sequence[Moment], face_id: str, start: float) -> tuple[float, int]:
    """Return the change of the mean valence so far, NaN while unknown, and the frames after."""
    sides: tuple[list[float], list[float]] = ([], [])
    for moment in moments:
        if moment.face_id == face_id and moment.probabilities is not None:
            p = moment.probabilities
            sides[moment.stamp >= start].append(float(p[POSITIVE] - p[NEGATIVE]))
    before, after = sides
    if not before or not after:
        return math.nan, len(after)
    return sum(after) / len(after) - sum(before) / len(before), len(after)


def describe(found: Observation) -> str:
    """Say in one plain sentence what was seen."""
    frames = f"{found.response_frames} frames judged, {found.missed_frames} missed"
    if found.outcome is Outcome.NO_FACE:
        return f"nobody was there to react ({frames})"
    if found.outcome is Outcome.LEFT:
        return f"the person left before enough was seen ({frames})"
    if found.outcome is Outcome.TOO_FEW_FRAMES:
        return f"too few frames could be judged to conclude anything ({frames})"
    if found.outcome is not Outcome.OBSERVED:
        return "nothing was observed"
    verdict = {
        Reaction.POSITIVE: "received positively",
        Reaction.NEUTRAL: "received neutrally",
        Reaction.NEGATIVE: "received negatively",
        Reaction.UNKNOWN: "no clear reaction",
    }[found.reaction]
    if math.isnan(found.change):
        return f"{verdict}; how the person was before is not known ({frames})"
    low, high = found.interval
    figures = f"valence {found.change:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}"
    if math.isfinite(found.onset):
        better = "brighter" if found.response_valence > found.baseline_valence else "darker"
        return (
            f"{verdict}; the face turned {better} after {found.onset:.1f} s ({figures}; {frames})"
        )
    return f"{verdict}; no clear change of the face ({figures}; {frames})"


def t_quantile(probability: float, freedom: float) -> float:
    """Return a quantile of Student's t (Abramowitz and Stegun 1964, 26.7.5)."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / freedom**power for power, term in enumerate(terms))

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The numbers behind an observation, against formulas and searches written another way."""

import itertools
import math

import numpy as np
import pytest

from emotion_perception.faces.face import Face
from emotion_perception.reaction import observation
from emotion_perception.reaction.observation import (
    BIN,
    Moment,
    MomentRing,
    Outcome,
    _correlation,
    _lost,
    _mean_share,
    _Noise,
    _residuals,
    _segments,
    _Series,
    _series,
    _variance,
    describe,
    length_problem,
    mean_change,
    nothing,
    observe,
    partner_at,
    t_quantile,
)
from emotion_perception.reaction.reaction import FaceReaction, Reaction, Reason

stats = pytest.importorskip("scipy.stats")

CALM = (0.1, 0.8, 0.1)
SMILE = (0.05, 0.15, 0.8)
SAD = (0.7, 0.25, 0.05)


def moment(stamp, probabilities=CALM, face_id="f1", partner=True, waited=False):
    known = None if probabilities is None else np.array(probabilities, np.float32)
    return Moment(float(stamp), face_id, known, partner, waited)


def still(spans, rate=10.0):
    """Return frames without noise, in the middle of their bins: (start, end, probabilities)."""
    return [
        moment(round(start + (n + 0.5) / rate, 6), probabilities)
        for start, end, probabilities in spans
        for n in range(round((end - start) * rate))
    ]


def seen(moments, **more):
    arguments = {"face_id": "", "start": 0.0, "baseline": 2.0, "end": 4.0, "threshold": 0.6}
    return observe(moments, **{**arguments, **more})


def series_of(values):
    """A series with these valences; the rest is neutral."""
    values = np.asarray(values, float)
    negative, positive = np.clip(-values, 0, 1), np.clip(values, 0, 1)
    probabilities = np.stack([negative, 1 - negative - positive, positive], axis=1)
    return _Series(values, probabilities, int(np.isfinite(values).sum()), 0)


# A whole observation, frame by frame


def test_every_field_of_a_film_without_noise():
    film = still([(-6, 1.2, CALM), (1.2, 4, SMILE)])
    found = seen(film)
    assert (found.outcome, found.face_id) == (Outcome.OBSERVED, "f1")
    assert (found.reaction, found.reason) == (Reaction.POSITIVE, Reason.NONE)
    np.testing.assert_allclose(found.baseline, CALM, atol=1e-6)
    np.testing.assert_allclose(found.response, SMILE, atol=1e-6)
    assert found.change == pytest.approx(0.75 * 28 / 40, abs=1e-6)
    assert found.onset == pytest.approx(1.2)
    assert (found.baseline_frames, found.response_frames, found.missed_frames) == (20, 40, 0)
    assert found.baseline_valence == pytest.approx(0)
    assert found.response_valence == pytest.approx(0.75)
    low, high = found.interval
    assert high - found.change == pytest.approx(found.change - low)


def test_the_window_and_the_baseline_are_as_long_as_asked():
    film = still([(-9, -4, SAD), (-4, 0, CALM), (0, 3, CALM), (3, 9, SMILE)])
    short = seen(film, end=3.0)
    assert (short.reaction, short.response_frames) == (Reaction.NEUTRAL, 30)
    assert math.isnan(short.onset)
    assert short.change == pytest.approx(0)
    long = seen(film, baseline=8.0, end=9.0)
    assert (long.baseline_frames, long.response_frames) == (80, 90)
    assert long.baseline_valence == pytest.approx((-0.65 * 40) / 80, abs=1e-6)


def test_who_is_hard_to_read_has_no_clear_reaction():
    film = still([(-6, 0, CALM), (0, 4, (0.36, 0.33, 0.31))])
    found = seen(film, threshold=0.9)
    assert (found.outcome, found.reaction) == (Outcome.OBSERVED, Reaction.UNKNOWN)
    assert found.reason == Reason.LOW_CONFIDENCE
    assert describe(found).startswith("no clear reaction; ")


def test_missed_frames_of_both_sides_are_counted():
    film = still([(-6, 4, CALM)])
    film = [moment(m.stamp, None) if n % 4 == 0 else m for n, m in enumerate(film)]
    found = seen(film)
    assert (found.baseline_frames, found.response_frames, found.missed_frames) == (15, 30, 15)
    broken = [moment(m.stamp, (math.nan, 0.5, 0.5)) if m.probabilities is None else m for m in film]
    assert seen(broken).missed_frames == 15


def test_two_faces_of_one_frame_are_one_frame():
    film = [m for own in still([(-6, 4, CALM)]) for m in (own, moment(own.stamp, SAD, "f2", False))]
    found = seen(film)
    assert (found.response_frames, found.missed_frames) == (40, 0)
    assert found.response_valence == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("frames", "outcome"),
    [(4, Outcome.TOO_FEW_FRAMES), (5, Outcome.OBSERVED)],  # in 1.5 s: a third of its bins
)
def test_the_fewest_frames(frames, outcome):
    film = still([(-3, 0, CALM)]) + [moment(n * 0.3 + 0.05) for n in range(frames)]
    assert seen(film, end=1.5).outcome == outcome


@pytest.mark.parametrize(
    ("bins", "outcome"), [(11, Outcome.TOO_FEW_FRAMES), (12, Outcome.OBSERVED)]
)
def test_the_least_share_of_the_window(bins, outcome):
    times = [0.05 + 0.3 * n for n in range(bins)] + [3.95 - 0.1]
    film = still([(-3, 0, CALM)]) + [moment(time) for time in times[1:]]
    film += [moment(t / 10 + 0.01, None) for t in range(40)]
    assert seen(sorted(film, key=lambda m: m.stamp)).outcome == outcome


@pytest.mark.parametrize(
    ("last", "outcome"),
    [(3.0, Outcome.LEFT), (3.3, Outcome.TOO_FEW_FRAMES)],  # a fifth of the window is 0.8 s
)
def test_who_is_not_there_at_the_end_has_left(last, outcome):
    film = [*still([(-3, 0, CALM)]), moment(last)]
    film += [moment(t / 10, None, "") for t in range(40) if t / 10 != last]
    film += [moment(5.0)]  # after the window
    found = seen(sorted(film, key=lambda m: m.stamp), face_id="f1")
    assert found.outcome == outcome
    assert (found.baseline_frames, found.response_frames) == (30 - 10, 1)
    np.testing.assert_allclose(found.baseline, CALM, atol=1e-6)


def test_the_face_that_was_named_and_never_seen_is_nobody():
    assert seen(still([(-3, 4, CALM)]), face_id="f9").outcome == Outcome.NO_FACE


@pytest.mark.parametrize(
    ("moments", "partner"),
    [
        # The last partner of the second and a half before the start, ...
        ([moment(-1.4, face_id="a"), moment(-0.2, face_id="b"), moment(0.1, face_id="c")], "b"),
        ([moment(-1.5, face_id="a"), moment(0.1, face_id="c")], "a"),
        # ... else the first after it, ...
        ([moment(-1.6, face_id="a"), moment(0.0, face_id="b"), moment(0.1, face_id="c")], "b"),
        ([moment(0.5, face_id="a", partner=False), moment(0.6, face_id="b")], "b"),
        ([moment(-0.5, face_id="a", partner=False), moment(0.6, face_id="b")], "b"),
        # ... until the end.
        ([moment(4.0, face_id="a")], ""),
        ([moment(3.9, face_id="a")], "a"),
    ],
)
def test_the_partner_at_the_start(moments, partner):
    assert partner_at(moments, 0.0, 4.0) == partner


@pytest.mark.parametrize(
    ("baseline", "window", "problem"),
    [
        (0, 0, ""),
        (0.5, 0.5, ""),
        (30, 120, ""),
        (0.49, 1, "baseline: expected 0.5 to 30 s or 0 for the default, got 0.49"),
        (31, 1, "baseline: expected 0.5 to 30 s or 0 for the default, got 31"),
        (1, 121, "window: expected 0.5 to 120 s or 0 for the default, got 121"),
        (-1, 0, "baseline: expected 0.5 to 30 s or 0 for the default, got -1"),
        (0, math.nan, "window: expected 0.5 to 120 s or 0 for the default, got nan"),
    ],
)
def test_lengths(baseline, window, problem):
    assert length_problem(baseline, window) == problem


# Sentences


def told(**fields):
    known = nothing(Outcome.OBSERVED, "f1")
    every = {name: getattr(known, name) for name in known.__dataclass_fields__}
    every |= {"reaction": Reaction.POSITIVE, "reason": Reason.NONE, "response_frames": 40,
              "missed_frames": 3, "change": 0.5, "interval": (0.25, 0.75)}  # fmt: skip
    return describe(type(known)(**{**every, **fields}))


FRAMES = "40 frames judged, 3 missed"
FIGURES = f"(valence +0.50, 95 % interval +0.25 to +0.75; {FRAMES})"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"outcome": Outcome.NO_FACE}, f"nobody was there to react ({FRAMES})"),
        ({"outcome": Outcome.LEFT}, f"the person left before enough was seen ({FRAMES})"),
        (
            {"outcome": Outcome.TOO_FEW_FRAMES},
            f"too few frames could be judged to conclude anything ({FRAMES})",
        ),
        ({"outcome": Outcome.INTERRUPTED}, "nothing was observed"),
        ({"outcome": Outcome.REFUSED}, "nothing was observed"),
        (
            {"change": math.nan},
            f"received positively; how the person was before is not known ({FRAMES})",
        ),
        ({}, f"received positively; no clear change of the face {FIGURES}"),
        (
            {"reaction": Reaction.NEUTRAL},
            f"received neutrally; no clear change of the face {FIGURES}",
        ),
        (
            {"reaction": Reaction.UNKNOWN},
            f"no clear reaction; no clear change of the face {FIGURES}",
        ),
        (
            {"onset": 0.64, "response": np.array(SMILE), "baseline": np.array(CALM)},
            f"received positively; the face turned brighter after 0.6 s {FIGURES}",
        ),
        (
            {
                "reaction": Reaction.NEGATIVE,
                "onset": 0.64,
                "response": np.array(SAD),
                "baseline": np.array(CALM),
                "change": -0.5,
                "interval": (-0.75, 0.25),
            },
            "received negatively; the face turned darker after 0.6 s "
            f"(valence -0.50, 95 % interval -0.75 to +0.25; {FRAMES})",
        ),
    ],
)
def test_what_is_said(fields, text):
    assert told(**fields) == text


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Outcome.NO_FACE, Reason.NO_FACE),
        (Outcome.LEFT, Reason.NO_FACE),
        (Outcome.TOO_FEW_FRAMES, Reason.LOW_QUALITY),
        (Outcome.INTERRUPTED, Reason.NOT_LOOKED),
        (Outcome.REFUSED, Reason.NOT_LOOKED),
    ],
)
def test_nothing_says_nothing(outcome, reason):
    found = nothing(outcome)
    assert (found.outcome, found.face_id) == (outcome, "")
    assert (found.reaction, found.reason) == (Reaction.UNKNOWN, reason)
    for values in (found.baseline, found.response, found.verdict):
        assert (values.tolist(), values.dtype) == ([0, 0, 0], np.float32)
    assert all(map(math.isnan, (found.change, *found.interval, found.onset)))
    assert (found.baseline_frames, found.response_frames, found.missed_frames) == (0, 0, 0)


def test_nothing_keeps_what_was_seen():
    values = series_of([0.5, 0.5])
    before = _Series(values.values, values.probabilities, 2, 3)
    found = nothing(Outcome.LEFT, "f1", before, _Series(values.values, values.probabilities, 1, 4))
    assert (found.face_id, found.baseline.tolist()) == ("f1", [0, 0.5, 0.5])
    assert (found.baseline_frames, found.response_frames, found.missed_frames) == (2, 1, 7)


def test_the_change_so_far():
    film = [
        moment(-1.0, CALM), moment(-0.5, SAD), moment(0.0, SMILE), moment(0.5, CALM),
        moment(0.6, None), moment(0.7, SMILE, "f2"),
    ]  # fmt: skip
    assert mean_change(film, "f1", 0.0) == (pytest.approx(0.75 / 2 + 0.65 / 2), 2)
    for part in (film[:2], film[2:]):
        change, frames = mean_change(part, "f1", 0.0)
        assert math.isnan(change)
        assert frames == sum(m.face_id == "f1" and m.stamp in (0, 0.5) for m in part)


# The ring


def reaction(stamp, face_id="f1", **more):
    face = Face(np.zeros(4, np.float32), 1.0, np.zeros((5, 2), np.float32))
    fields = {
        "face": face, "probabilities": np.array(CALM, np.float32), "reaction": Reaction.NEUTRAL,
        "reason": Reason.NONE, "stamp": stamp, "face_id": face_id,
    }  # fmt: skip
    return FaceReaction(**{**fields, **more})


def test_what_the_ring_keeps_of_a_face():
    ring = MomentRing()
    own = np.array(SMILE, np.float32)
    ring.add_frame(1.0, [
        reaction(1.0, "judged", frame_probabilities=own, is_partner=True),
        reaction(1.0, "waits"),
        reaction(1.0, "turned", problem="turned"),
    ])  # fmt: skip
    ring.add_frame(2.0, [])
    judged, waits, turned, nobody = ring.between(0.0, 9.0)
    assert (judged.face_id, judged.is_partner, judged.waited) == ("judged", True, False)
    assert judged.probabilities is own
    assert (waits.stamp, waits.is_partner, waits.waited) == (1.0, False, True)
    assert waits.probabilities is turned.probabilities is None
    assert not turned.waited
    assert (nobody.stamp, nobody.face_id, nobody.probabilities) == (2.0, "", None)
    assert nobody.is_partner is nobody.waited is False


def test_the_ring_looks_back_as_far_as_the_longest_observation():
    ring = MomentRing()
    for second in range(400):
        ring.add_frame(second, [])
    oldest = ring.between(0, 400)[0].stamp
    assert 399 - oldest == ring.keep
    assert ring.keep >= observation.WINDOW_S[1] + max(
        observation.BASELINE_S[1], observation.HISTORY_S
    )


def test_frames_that_come_late_are_found_by_their_own_time():
    ring = MomentRing(keep=10.0)
    for stamp in (10.0, 11.0, 10.0, 11.5):  # just a second late is no jump
        assert ring.add_frame(stamp, [])
    assert [m.stamp for m in ring.between(10.0, 11.0)] == [10.0, 10.0]
    assert [m.stamp for m in ring.between(10.5, 11.6)] == [11.0, 11.5]
    assert not ring.add_frame(10.4, [])
    assert [m.stamp for m in ring.between(0.0, 99.0)] == [10.4]
    ring.clear()
    assert ring.between(0.0, 99.0) == []
    assert ring.add_frame(1.0, [])


# Series


def test_frames_of_a_bin_are_averaged():
    film = [
        moment(0.0, CALM), moment(0.05, SMILE), moment(0.1, SAD), moment(0.35, SMILE, "f2"),
        moment(0.39, SMILE), moment(0.4, SMILE), moment(-0.01, SMILE), moment(0.25, None),
    ]  # fmt: skip
    found = _series(film, "f1", 0.0, 0.4)
    np.testing.assert_allclose(found.values, [0.375, -0.65, np.nan, 0.75], atol=1e-6)
    np.testing.assert_allclose(found.probabilities[0], np.mean([CALM, SMILE], axis=0), atol=1e-6)
    assert (found.frames, found.missed) == (4, 2)
    assert found.mean == pytest.approx((0.375 - 0.65 + 0.75) / 3)
    nobody = _series(film, "f3", 0.0, 0.01)
    assert (len(nobody.values), nobody.frames, nobody.missed) == (1, 0, 1)
    assert math.isnan(nobody.mean)


# Noise


def first_order(count, memory, deviation, seed):
    rng = np.random.default_rng(seed)
    keep = math.exp(-BIN / memory)
    values = [rng.normal(0, deviation)]
    for _ in range(count - 1):
        values.append(keep * values[-1] + math.sqrt(1 - keep**2) * rng.normal(0, deviation))
    return np.array(values)


@pytest.mark.parametrize(("seconds", "memory"), [(0.3, 0.5), (2.0, 0.5), (4.0, 0.1), (30.0, 1.5)])
def test_the_variance_of_a_mean_is_the_mean_of_the_correlations(seconds, memory):
    times = (np.arange(600) + 0.5) * seconds / 600
    expected = np.exp(-np.abs(times[:, None] - times) / memory).mean()
    assert _mean_share(seconds, memory) == pytest.approx(expected, rel=2e-3)


def test_what_is_lost_with_the_means_of_segments():
    long, short = _mean_share(4.0, 0.5), _mean_share(1.0, 0.5)
    assert _lost([40], 0.5) == pytest.approx(long)
    assert _lost([40, 10, 10], 0.5) == pytest.approx((40 * long + 20 * short) / 60)
    assert _lost([3], 10.0) == 0.9


def test_variance_and_correlation_leave_out_what_was_not_seen():
    one, two = np.array([1.0, -1.0, np.nan, 2.0, -2.0]), np.array([3.0, -3.0])
    assert _variance([one, two]) == pytest.approx((1 + 1 + 4 + 4 + 9 + 9) / 6, abs=2e-6)
    assert _variance([np.zeros(3)]) > 0
    assert _correlation([one, two], 1, 2.0) == (pytest.approx((-1 - 4 - 9) / 3 / 2), 3)
    assert _correlation([one, two], 2, 2.0) == (pytest.approx(-2 / 2), 1)
    assert _correlation([one, two], 3, 2.0) == (pytest.approx((2 + 2) / 2 / 2), 2)
    assert _correlation([one, two], 6, 2.0) == (0.0, 0)


def test_residuals_have_no_level():
    step = np.array([0.0, 0.2] * 6 + [0.9, 0.7] * 6)
    calm, smile = _residuals([step, np.array([0.5, np.nan, 0.5, np.nan])])
    np.testing.assert_allclose(calm, [-0.1, 0.1] * 6, atol=1e-9)
    np.testing.assert_allclose(smile, [0.1, -0.1] * 6, atol=1e-9)
    (three,) = _residuals([np.array([0.3, 0.6, np.nan, 0.9])])
    np.testing.assert_allclose(three, [-0.3, 0, np.nan, 0.3], atol=1e-9)


def test_nothing_seen_is_the_usual_noise():
    usual = _Noise.learn([np.full(20, np.nan)], [])
    assert usual == _Noise(0.5, (0.3**2, 0.3**2), (2.0, 2.0))


@pytest.mark.parametrize("memory", [0.1, 0.45, 1.1])
def test_the_memory_of_noise_is_found(memory):
    before = [first_order(1500, memory, 0.2, seed) for seed in (1, 2)]
    noise = _Noise.learn(before, [first_order(1500, memory, 0.1, 3)])
    assert memory / 1.5 <= noise.memory <= memory * 1.5
    assert [math.sqrt(v) for v in noise.variances] == pytest.approx([0.2, 0.1], rel=0.2)


def test_how_much_was_learned_of_either_side():
    before, after = first_order(200, 0.3, 0.2, 1), first_order(40, 0.3, 0.2, 2)
    noise = _Noise.learn([before], [after])
    # Independent values are two memories apart; each segment's level takes one.
    expected = [20 / (2 * noise.memory) - 1, 4 / (2 * noise.memory) - 1]
    assert [f - 1.5 for f in noise.freedoms] == pytest.approx(expected)
    assert _Noise.learn([before], []).freedoms[1] == pytest.approx(1.5)


def test_a_side_that_scatters_little_by_chance_does_not_narrow_the_interval():
    rough = first_order(200, 0.3, 0.3, 1)
    usual = _Noise.learn([rough], []).variances
    assert usual[1] == pytest.approx(usual[0])  # of an unseen side the other tells
    lucky = _Noise.learn([rough], [first_order(10, 0.3, 0.001, 2)])
    assert 0.5 * usual[0] < lucky.variances[1] < usual[0]
    assert _Noise.learn([rough], [2 * rough]).variances[1] > 1.9 * lucky.variances[0]
    flat = _Noise.learn([np.zeros(40)], [np.zeros(40)])
    assert [math.sqrt(v) for v in flat.variances] == pytest.approx([0.03] * 2, rel=0.05)


@pytest.mark.parametrize("freedoms", [(30.0, 12.0), (3.0, 40.0)])
def test_the_interval_is_that_of_welch(freedoms):
    noise = _Noise(0.5, (0.04, 0.09), freedoms)
    before, after = np.zeros(20), np.r_[np.zeros(35), np.full(5, np.nan)]
    parts = [0.04 * _mean_share(2.0, 0.5), 0.09 * _mean_share(3.5, 0.5)]
    freedom = sum(parts) ** 2 / sum(p**2 / f for p, f in zip(parts, freedoms, strict=True))
    expected = stats.t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert noise.reach(before, after) == pytest.approx(expected, rel=1e-3)


def test_few_values_do_not_make_the_interval_endless():
    noise = _Noise(0.5, (0.04, 1e-9), (1.0, 40.0))
    before, after = np.zeros(20), np.zeros(40)
    share = math.sqrt(noise.of_mean(0, before) + noise.of_mean(1, after))
    assert noise.reach(before, after) == pytest.approx(t_quantile(0.975, 1.5) * share)


def test_the_change_stays_on_the_scale():
    noise = _Noise(0.5, (4.0, 4.0), (2.0, 2.0))
    change, interval = noise.change(series_of([-1.0] * 20), series_of([1.0] * 40))
    assert (change, interval[1]) == (2.0, 2.0)
    assert -2.0 <= interval[0] < 2.0
    change, interval = noise.change(series_of([1.0] * 20), series_of([-1.0] * 40))
    assert (change, interval[0]) == (-2.0, -2.0)
    change, interval = noise.change(series_of([np.nan] * 20), series_of([0.0] * 40))
    assert all(map(math.isnan, (change, *interval)))


@pytest.mark.parametrize(
    ("bins", "power"),
    [
        (1, 1.0),  # one look is taken as it is
        (40, 4 / (2 * 0.25) * 0.58),  # looks are two memories apart, and tempered
        (900, 12 * 0.58),  # the network may misread the person all the time
    ],
)
def test_the_verdict_of_an_expression_that_stays(bins, power):
    noise = _Noise(0.25, (0.01, 0.01), (9.0, 9.0))
    probabilities = np.tile(np.array([0.2, 0.3, 0.5]), (bins, 1))
    unseen = np.full((7, 3), np.nan)
    likely = (0.95 * probabilities[0] + 0.05 / 3) ** power
    found = noise.posterior(np.concatenate([unseen, probabilities]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, likely / likely.sum(), rtol=1e-5)
    assert noise.posterior(unseen).tolist() == [0, 0, 0]


# Segments


def parted(values, left_over, most_parts=3, least=8):
    """Find the segments by trying all of them."""

    def scatter(edges):
        parts = [values[a:b] for a, b in itertools.pairwise(edges)]
        known = [p[np.isfinite(p)] for p in parts]
        return sum(float(((k - k.mean()) ** 2).sum()) for k in known if len(k)), [
            k.mean() if len(k) else 0.0 for k in known
        ]

    chosen = [0, len(values)]
    explained, _ = scatter(chosen)
    for parts in range(2, most_parts + 1):
        tried = [
            (0, *cuts, len(values))
            for cuts in itertools.combinations(range(least, len(values) - least + 1), parts - 1)
            if all(b - a >= least for a, b in itertools.pairwise(cuts))
        ]
        if not tried:
            continue
        best = min(tried, key=lambda edges: scatter(edges)[0])
        left, levels = scatter(best)
        if (
            left < left_over * explained
            and min(abs(b - a) for a, b in itertools.pairwise(levels)) > 0.35
        ):
            chosen, explained = list(best), left
    return list(itertools.pairwise(chosen))


@pytest.mark.parametrize("left_over", [0.15, 0.25])
@pytest.mark.parametrize("seed", range(12))
def test_segments_are_those_of_a_search_through_all(seed, left_over):
    rng = np.random.default_rng(seed)
    levels = rng.choice([-0.6, -0.2, 0.0, 0.3, 0.7], 3)
    lengths = rng.integers(6, 16, 3)
    values = np.repeat(levels, lengths) + rng.normal(0, 0.1, lengths.sum())
    values[rng.random(len(values)) < 0.1] = np.nan
    assert _segments(values, left_over) == parted(values, left_over)


@pytest.mark.parametrize(
    ("lengths", "levels", "segments"),
    [
        ((20, 20), (0.0, 0.5), [(0, 20), (20, 40)]),
        ((20, 20), (0.5, 0.1), [(0, 20), (20, 40)]),
        ((20, 20), (0.0, 0.3), [(0, 40)]),  # no change of expression
        ((12, 8, 12), (0.0, 0.8, 0.0), [(0, 12), (12, 20), (20, 32)]),
        ((12, 12, 12), (0.0, 0.6, -0.6), [(0, 12), (12, 24), (24, 36)]),
        ((8, 8), (0.0, 0.5), [(0, 8), (8, 16)]),
        ((15,), (0.4,), [(0, 15)]),
        ((4,), (0.4,), [(0, 4)]),
    ],
)
def test_where_the_level_changes(lengths, levels, segments):
    assert _segments(np.repeat(levels, lengths).astype(float), 0.25) == segments


# The response


def test_the_part_that_differs_most_is_the_response():
    film = still([(-6, 0.5, CALM), (0.5, 1.8, SMILE), (1.8, 4, (0.3, 0.7, 0.0))])
    found = seen(film)
    assert found.onset == pytest.approx(0.5)
    np.testing.assert_allclose(found.response, SMILE, atol=1e-6)
    assert found.response_frames == 40


def test_a_smile_that_goes_for_a_moment_is_a_response():
    found = seen(still([(-6, 1, SMILE), (1, 2.5, CALM), (2.5, 4, SMILE)]))
    assert found.onset == pytest.approx(1.0)
    np.testing.assert_allclose(found.response, CALM, atol=1e-6)


def test_without_a_time_before_the_whole_window_is_the_response():
    found = seen(still([(0, 0.1, SAD), (0.1, 3.9, CALM), (3.9, 4, SAD)]))
    assert math.isnan(found.onset)
    assert found.response_valence == pytest.approx(-0.65 * 2 / 40, abs=1e-6)


def test_who_went_on_smiling_from_before_has_no_onset():
    found = seen(still([(-6, 4, SMILE)]))
    assert math.isnan(found.onset)
    assert found.reaction == Reaction.POSITIVE
    np.testing.assert_allclose(found.response, SMILE, atol=1e-6)


def test_a_change_just_at_the_start_has_onset_zero():
    found = seen(still([(-6, 0, CALM), (0, 4, SAD)]))
    assert found.onset == 0.0
    assert found.reaction == Reaction.NEGATIVE


def test_a_change_before_the_start_counts_as_the_response():
    # The person began to smile a second too early: the level of the time before is mixed.
    found = seen(still([(-6, -1, SAD), (-1, 4, SMILE)]))
    assert found.onset == 0.0
    assert found.response_frames == 40
    assert found.change == pytest.approx(0.75 - (0.75 - 0.65) / 2, abs=1e-6)


# Student's t


@pytest.mark.parametrize("probability", [0.6, 0.9, 0.975, 0.999])
@pytest.mark.parametrize(("freedom", "error"), [(10, 2e-3), (30, 1e-5), (300, 1e-10)])
def test_quantiles_of_students_t(probability, freedom, error):
    assert t_quantile(probability, freedom) == pytest.approx(
        stats.t.ppf(probability, freedom), rel=error
    )

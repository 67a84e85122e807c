# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a patient's page says, in words for clinicians and families."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from emotion_perception.sessions.report_data import LEAST_S
from emotion_perception.sessions.report_trend import LEAST_EACH, Change, Entry
from emotion_perception.sessions.report_wording import (
    and_list,
    capital,
    duration,
    percent,
    signed,
    signed_between,
)


def in_short(entries: Sequence[Entry], dated: bool, changes: Sequence[Change]) -> list[str]:
    """Return the sentences that a patient's page begins with."""
    enough = [entry for entry in entries if entry.enough]
    total = sum(entry.total for entry in entries)
    seen = sum(entry.seen * entry.total for entry in entries if entry.total)
    words = []
    if total:
        words.append(
            f"In {sessions_word(len(entries))} of {duration(total)} in all, the camera saw the "
            f"person's face for {percent(seen / total)} of the time. "
            f"{_how_many(len(enough), len(entries))}."
        )
    else:
        words.append("The recordings have no frame: nothing can be said about them.")
    known = [change for change in changes if math.isfinite(change.bounds[0])]
    if not known:
        words.append(
            f"To compare earlier with later sessions, at least {LEAST_EACH} of each with "
            f"{duration(LEAST_S)} or more of answers are needed: nothing can be said about a "
            "change."
        )
    words += [_how_it_changed(change) for change in known]
    risen = [change for change in known if change.verdict]
    if risen:
        words.append(
            "Where chance is unlikely, this page still cannot say what made the difference: the "
            "person, the activities, the robot, the light or the place of the camera. Of twenty "
            "figures that do not change at all, one looks as if it did."
        )
    words += _what_to_be_careful_about(entries, dated)
    words.append(
        "The program judges what a face looks like, not what a person feels, and it can be wrong. "
        "This page is no diagnosis and no proof that a treatment works or does not."
    )
    return words


def _how_many(enough: int, of: int) -> str:
    if not enough:
        return f"Too little was seen to say how the person was{' in any of them' if of > 1 else ''}"
    where = "" if of == 1 else f" in {'all' if enough == of else enough} of them"
    return f"Enough was seen to say how the person was{where}"


def _how_it_changed(change: Change) -> str:
    share = change.measure.is_share
    show = percent if share else signed
    first, second = show(change.first), show(change.second)
    title = capital(change.measure.title)
    bounds = difference_between(change)
    value = difference(change.value, share)
    words = (
        f"{title}: {first} in the first half ({sessions_word(change.counts[0])}), {second} in the "
        f"second ({sessions_word(change.counts[1])}), a difference of {value} (likely {bounds}). "
    )
    if not change.verdict:
        return words + "So no change is proven: it may be chance."
    return words + "Chance alone would seldom make such a difference."


def _what_to_be_careful_about(entries: Sequence[Entry], dated: bool) -> list[str]:
    words = []
    judges = versions(entries)
    if len(judges) > 1:
        words.append(
            f"Careful: the sessions were not all judged by the same model ({and_list(judges)}). "
            "A difference between sessions may come from that alone."
        )
    if not dated and len(entries) > 1:
        words.append(
            "Careful: not every session says when it was recorded. They stand in the order in "
            "which they were given, which may not be that of time."
        )
    if twice := _twice(entries):
        words.append(
            f"Careful: sessions {'; '.join(twice)} have the same name and file. If they are one "
            "recording, it counts more than once."
        )
    poor = [entry for entry in entries if not entry.enough]
    if poor and len(poor) < len(entries):
        one = len(poor) == 1
        words.append(
            f"Careful: {len(poor)} of the sessions {'has' if one else 'have'} too little to say "
            f"how the person was, and {'is' if one else 'are'} left out of the shares and of the "
            "mean valence."
        )
    return words


def _twice(entries: Sequence[Entry]) -> list[str]:
    """Return pairs of sessions of one name, recording and time, as far as the time is known."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number, entry in enumerate(entries, 1):
        groups.setdefault((entry.info.session, entry.info.recording), []).append(number)
    found = []
    for numbers in groups.values():
        for first, second in itertools.combinations(numbers, 2):
            times = {entries[number - 1].info.started for number in (first, second)} - {""}
            if len(times) < 2:
                found.append(f"{first} and {second}")
    return found


def versions(entries: Sequence[Entry]) -> list[str]:
    """Return what judged the sessions, each once, with the threshold where only that differs."""
    models = [entry.info.models[0] for entry in entries]
    ids = list(dict.fromkeys(model.model_id for model in models))
    both = list(dict.fromkeys((model.model_id, model.threshold) for model in models))
    if len(both) == len(ids):
        return ids
    return [f"{model_id}, sure from {percent(threshold)}" for model_id, threshold in both]


def difference(value: float, share: bool) -> str:
    """Return a difference of a measure in words."""
    if not math.isfinite(value):
        return "–"
    return f"{_points(value)} points" if share else signed(value)


def _points(value: float) -> str:
    if abs(value) < 0.0005:
        return "0"
    # One digit more where the sign would be lost.
    return f"{100 * value:+.{0 if abs(value) >= 0.005 else 1}f}".replace("-", "−")


def difference_between(change: Change) -> str:
    """Return the interval of a change in words."""
    if not all(map(math.isfinite, change.bounds)):
        return "–"
    if not change.measure.is_share:
        return signed_between(change.bounds)
    return f"{_points(change.bounds[0])} to {_points(change.bounds[1])} points"


def sessions_word(count: int) -> str:
    """Return ``1 session`` or ``4 sessions``."""
    return "1 session" if count == 1 else f"{count} sessions"

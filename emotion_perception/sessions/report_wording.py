# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a session's report says, in words for clinicians and families."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from emotion_perception.sessions.report_actions import count_of
from emotion_perception.sessions.report_data import LEAST_S, Estimate, Summary
from emotion_perception.valence.labels import CLASSES

STATE_NAMES: Final = {
    "negative": "negative", "neutral": "neutral", "positive": "positive",
    "unknown": "not sure", "no_face": "no face",
}  # fmt: skip
CAUSE_NAMES: Final = {
    "no_face": "nobody's face was in view",
    "others": "only other people's faces were in view",
    "dark": "there was too little light on the face",
    "turned": "the face was turned away",
    "small": "the face was too small in the picture",
    "blurred": "the face was blurred",
    "picture": "it seemed to be a picture of a face",
    "low_quality": "the face could not be seen well",
    "low_confidence": "the program was not sure what the face showed",
    "not_looked": "another face was looked at",
}
ANSWER_NAMES: Final = {
    "negative": "negative", "neutral": "neutral", "positive": "positive",
    "unclear": "no clear answer", "not_seen": "face not seen",
}  # fmt: skip

_NB: Final = "\u00a0"  # a line does not break between a number and its unit

_FEW: Final = 5  # actions with a clear answer; of fewer no share is told
_MUCH: Final = 0.25


def percent(share: float, digits: int = 0) -> str:
    """Return a share as ``87 %``; a dash for none, ``less than 1 %`` for hardly any."""
    if not math.isfinite(share):
        return "–"
    least = 10.0**-digits
    if 0 < 100 * share < least / 2:
        return f"less than {least:g}{_NB}%"
    if 1 > share > 1 - least / 200:
        return f"more than {100 - least:g}{_NB}%"
    return f"{100 * share:.{digits}f}{_NB}%"


def between(bounds: Sequence[float], digits: int = 0) -> str:
    """Return an interval as ``86 to 88 %``; a dash for none."""
    if not all(map(math.isfinite, bounds)):
        return "–"
    return f"{100 * bounds[0]:.{digits}f} to {100 * bounds[1]:.{digits}f}{_NB}%"


def signed(value: float) -> str:
    """Return a valence as ``+0.31``; a dash for none."""
    if not math.isfinite(value):
        return "–"
    return f"{value:+.2f}".replace("-", "−") if abs(value) >= 0.005 else "0.00"


def signed_between(bounds: Sequence[float]) -> str:
    """Return an interval of a valence as ``+0.10 to +0.31``; a dash for none."""
    if not all(map(math.isfinite, bounds)):
        return "–"
    return f"{signed(bounds[0])} to {signed(bounds[1])}"


def duration(seconds: float) -> str:
    """Return a time as ``45 seconds``, ``24 minutes`` or ``1 hour 52 minutes``."""
    if seconds < 9.95:
        return _counted(f"{seconds:.1f}".removesuffix(".0"), "second")
    if seconds < 99.5:
        return _counted(f"{seconds:.0f}", "second")
    minutes = round(seconds / 60)
    if minutes < 60:
        return _counted(str(minutes), "minute")
    hours, rest = divmod(minutes, 60)
    words = _counted(str(hours), "hour")
    return f"{words} {_counted(str(rest), 'minute')}" if rest else words


def _counted(number: str, unit: str) -> str:
    return f"{number}{_NB}{unit}{'' if number == '1' else 's'}"


def clock(seconds: float, *, tenths: bool = False) -> str:
    """Return a moment as ``3:07`` or ``1:03:07``, with tenths as ``3:07.4``; before 0 ``−0:05``."""
    ticks = round(seconds * 10) if tenths else round(seconds) * 10
    sign, ticks = "−" if ticks < 0 else "", abs(ticks)
    whole, tenth = divmod(ticks, 10)
    hours, rest = divmod(whole, 3600)
    minutes, second = divmod(rest, 60)
    text = sign + (f"{hours}:{minutes:02}:{second:02}" if hours else f"{minutes}:{second:02}")
    return f"{text}.{tenth}" if tenths else text


def capital(text: str) -> str:
    """Return a text with a capital."""
    return text[:1].upper() + text[1:]


def and_list(words: Sequence[str]) -> str:
    """Return ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def in_short(summary: Summary) -> list[str]:
    """Return the sentences that a report begins with."""
    if not summary.total:
        return ["The recording has no frame: nothing can be said about it."]
    words = [_how_much_was_seen(summary)]
    if not summary.enough:
        words.append(
            f"That is too little to say how the person was: at least {duration(LEAST_S)} in which "
            "the program has an answer are needed. What was found stands below; please do not "
            "draw conclusions from it."
        )
    else:
        words.append(_how_it_looked(summary))
    words.append(_how_actions_were_received(summary))
    words += _what_to_be_careful_about(summary)
    words.append(
        "The program judges what a face looks like, not what a person feels, and it can be wrong. "
        "Illness, medicines, pain, talking or chewing change a face too. This page is no "
        "diagnosis: please read it together with what you saw yourself."
    )
    return [word for word in words if word]


def _how_much_was_seen(summary: Summary) -> str:
    whole = duration(summary.total)
    if summary.seen <= 0:
        why = "faces were there, but not the person's" if summary.causes["others"].value else ""
        return f"The camera did not see the person's face in these {whole}{_bracketed(why)}."
    words = f"The camera saw the person's face for {percent(summary.seen)} of {whole}. "
    if summary.answered <= 0:
        return words + "The program could not tell at any time what it showed."
    told = duration(summary.answered * summary.total)
    return words + (
        f"For {percent(summary.answered)} of the time ({told}) the program could tell what the "
        "face showed."
    )


def _how_it_looked(summary: Summary) -> str:
    parts = [
        f"{name} for {percent(found.value)}{_bracketed(_likely(found))}"
        for name, found in sorted(summary.answers.items(), key=lambda item: -item[1].value)
        if found.value > 0
    ]
    words = f"When it could tell, the face looked {and_list(parts)} of that time"
    never = [name for name, found in summary.answers.items() if not found.value > 0]
    if never:
        words += f", and never {' or '.join(never)}"
    if not any(math.isfinite(found.bounds[0]) for found in summary.answers.values()):
        words += ". The recording is too short to say how far chance may have moved these figures"
    return words + "."


def _likely(found: Estimate) -> str:
    bounds = between(found.bounds)
    return "" if bounds == "–" else f"likely {bounds}"


def _how_actions_were_received(summary: Summary) -> str:
    if summary.responses is None:
        return ""
    left_out = refused_actions(summary)
    if not summary.actions:
        return left_out or "The list of the robot's actions is empty."
    every = count_of("", summary.actions)
    count = "one action" if every.total == 1 else f"{every.total} actions"
    left_out = f" {left_out}" if left_out else ""
    parts = [f"{every.counts[name]} {name}ly" for name in reversed(CLASSES) if every.counts[name]]
    if not parts:
        none = "how it" if every.total == 1 else "how any of them"
        return f"The robot did {count}; {none} was received could not be told.{left_out}"
    missed = every.total - every.clear
    words = f"The robot did {count}. Received, judged by the face: {and_list(parts)}"
    if missed:
        words += f"; for {missed} it could not be told"
    words += f".{left_out}"
    if every.clear < _FEW:
        return words + " That is too few to say how the person usually receives them."
    return words + (
        f" So {percent(every.share('positive'))} of the clear answers were positive "
        f"(likely {between(every.bounds['positive'])})."
    )


def refused_actions(summary: Summary) -> str:
    """Say how many actions in the list could not be looked at at all; empty if none."""
    if not summary.refused:
        return ""
    one = summary.refused == 1
    return (
        f"{summary.refused} of the listed actions {'is' if one else 'are'} not counted: not within "
        "the recording, or with times that the robot refuses."
    )


def _what_to_be_careful_about(summary: Summary) -> list[str]:
    words = []
    info = summary.session.info
    worst = max(
        (name for name in summary.causes if name not in ("no_face",)),
        key=lambda name: summary.causes[name].value,
    )
    if summary.causes[worst].value >= _MUCH:
        words.append(
            f"Careful: for {percent(summary.causes[worst].value)} of the time {CAUSE_NAMES[worst]}."
        )
    if summary.several >= _MUCH / 5:
        words.append(
            f"Careful: several people were in view for {percent(summary.several)} of the time. "
            "The figures are those of the one whom the robot took for the person it dealt with."
        )
    if info.unreadable:
        parts = "One part" if len(info.unreadable) == 1 else f"{len(info.unreadable)} parts"
        words.append(f"Careful: {parts} of the recording could not be read.")
    return words


def _bracketed(text: str) -> str:
    return f" ({text})" if text else ""

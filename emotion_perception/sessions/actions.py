# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How the robot's actions were received, from a recording: what ObserveReaction would have said."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.reaction.observation import (
    BASELINE_S,
    HISTORY_S,
    WINDOW_S,
    Moment,
    Observation,
    Outcome,
    describe,
    length_problem,
    nothing,
    observe,
)
from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.sessions import csv_files
from emotion_perception.sessions.action_times import (
    Action,
    read_actions_bag,
    read_actions_csv,
    sessions_named,
)
from emotion_perception.sessions.events import row_times
from emotion_perception.sessions.table import (
    FRAME_PROBABILITIES,
    SUFFIX,
    Session,
    column,
)
from emotion_perception.valence.labels import CLASSES

__all__ = [
    "ACTIONS_SUFFIX", "Action", "ObservedAction", "actions_path", "moments_of",
    "observe_actions", "read_actions_bag", "read_actions_csv", "read_observed", "sessions_named",
    "write_observed",
]  # fmt: skip

ACTIONS_SUFFIX: Final = ".actions.csv"

CSV_FIELDS: Final = (
    "session", "model", "action_id", "time_s", "baseline_s", "watch_s", "outcome", "face_id",
    "reaction", "reason",
    *(f"{part}_p_{name}" for part in ("baseline", "response", "verdict") for name in CLASSES),
    "change", "change_low", "change_high", "onset_after_s", "baseline_frames", "response_frames",
    "missed_frames", "text", "job",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class ObservedAction:
    """An action and how it was received.

    Attributes:
        session: of the recording.
        model: name of the model that judged.
        action_id: the action's name.
        time: when it began, seconds since the recording's first frame.
        baseline: seconds before it that told how the person was.
        watch: seconds after it that were watched.
        observation: what was seen; its onset is in seconds since the action began.
        text: all of it in one sentence.
    """

    session: str
    model: str
    action_id: str
    time: float
    baseline: float
    watch: float
    observation: Observation
    text: str


def moments_of(session: Session, model: str | None = None) -> list[Moment]:
    """Return a recording as ObserveReaction would have seen it, in order of time.

    Raises:
        SessionError: the table has no such model, or a row without a time.
    """
    judged_by = session.model(model)
    times = row_times(session)
    rows = session.rows
    names = [column(name, judged_by, session.info.models) for name in FRAME_PROBABILITIES]
    own = rows[names].to_numpy(np.float32, na_value=np.nan)
    face_ids = rows["face_id"].fillna("").tolist()
    problems = rows["problem"].fillna("").tolist()
    partner = rows["is_partner"].eq(True).to_numpy(bool)
    known = np.isfinite(own).all(axis=1)
    result = []
    for index in np.argsort(times, kind="stable").tolist():
        seen: NDArray[np.float32] | None = own[index] if known[index] else None
        face_id = face_ids[index]
        waited = bool(face_id) and seen is None and not problems[index]
        if not face_id:
            seen = None
        result.append(Moment(float(times[index]), face_id, seen, bool(partner[index]), waited))
    return result


def observe_actions(
    session: Session, actions: Iterable[Action], *, model: str | None = None,
    threshold: float | None = None, face_id: str = "", baseline: float = BASELINE_S[0],
    watch: float = WINDOW_S[0],
) -> list[ObservedAction]:  # fmt: skip
    """Say how actions were received, by the code that answers ObserveReaction on the robot.

    Args:
        session: the table of the recording.
        actions: what the robot did.
        model: whose probabilities; the first model by default.
        threshold: least probability that counts as an answer; that of the model by default.
        face_id: whom to watch; empty for the partner at the start of each action.
        baseline: seconds before an action that does not say how far to look back.
        watch: seconds after an action that does not say how long to watch.

    Returns:
        One for each action, in their order. Actions outside of the recording, or with times that
        ObserveReaction does not take, are REFUSED.

    Raises:
        SessionError: the table has no such model, or a row without a time.
    """
    judged_by = session.model(model)
    moments = moments_of(session, model)
    stamps = [moment.stamp for moment in moments]
    least = judged_by.threshold if threshold is None else threshold
    result = []
    for action in actions:
        # As in a goal of the action, 0 is the default.
        back = action.baseline if action.baseline is not None else baseline
        ahead = action.watch if action.watch is not None else watch
        problem = length_problem(back, ahead)
        back, ahead = back or BASELINE_S[0], ahead or WINDOW_S[0]
        start, end = action.time, action.time + ahead
        if not problem and (not stamps or end <= stamps[0] or start > stamps[-1]):
            length = f"0 to {stamps[-1]:.1f} s" if stamps else "which is empty"
            problem = f"not within the recording ({length})"
        if problem:
            found, text = nothing(Outcome.REFUSED), problem
        else:
            first = bisect_left(stamps, start - max(HISTORY_S, back))
            inside = moments[first : bisect_left(stamps, end)]
            found = observe(inside, face_id, start, back, end, least)
            text = describe(found)
            frame = stamps[-1] / max(len(set(stamps)) - 1, 1)
            if end - stamps[-1] > frame + 0.1:
                text += f"; the recording ends {end - stamps[-1]:.1f} s before the time to watch"
        result.append(
            ObservedAction(
                session=session.info.session, model=judged_by.name, action_id=action.action_id,
                time=action.time, baseline=back, watch=ahead, observation=found, text=text,
            )
        )  # fmt: skip
    return result


def actions_path(table: Path, folder: Path | None = None) -> Path:
    """Return where the observed actions of a table are written: beside it, or in a folder."""
    return (folder or table.parent) / (table.name.removesuffix(SUFFIX) + ACTIONS_SUFFIX)


def write_observed(path: Path, observed: Iterable[ObservedAction], job: str = "") -> None:
    """Write observed actions as CSV, one a line; the file appears whole or not at all.

    Args:
        path: of the file.
        observed: in order.
        job: of the table that they were observed in, see SessionInfo.

    Raises:
        SessionError: a file of that name is there that is none of ours.
        OSError: it cannot be written.
    """
    csv_files.write_csv(path, CSV_FIELDS, ([*_cells(each), job] for each in observed))


def _cells(each: ObservedAction) -> list[str]:
    found = each.observation
    show = csv_files.show
    return [
        each.session, each.model, each.action_id, show(each.time, 6), show(each.baseline, 3),
        show(each.watch, 3), found.outcome.name.lower(), found.face_id,
        found.reaction.name.lower(), found.reason.name.lower(),
        *(show(float(value)) for part in (found.baseline, found.response, found.verdict)
          for value in part),
        show(found.change), show(found.interval[0]), show(found.interval[1]), show(found.onset),
        str(found.baseline_frames), str(found.response_frames), str(found.missed_frames),
        each.text,
    ]  # fmt: skip


def read_observed(path: Path, job: str = "") -> list[ObservedAction]:
    """Read what `write_observed` wrote.

    Args:
        path: of the file.
        job: of the table that they should be of; empty takes those of any.

    Raises:
        SessionError: it is something else, or of another table; names the line and the column.
        OSError: it cannot be read.
    """
    rows = csv_files.read_csv(path, [name for name in CSV_FIELDS if name != "job"])
    csv_files.refuse_other_table(path, rows, job)
    return [_observed(path, line, cells) for line, cells in rows]


def _observed(path: Path, line: int, cells: dict[str, str]) -> ObservedAction:
    def read(name: str) -> float:
        return csv_files.cell(path, line, cells, name, csv_files.number, "a number")

    def maybe(name: str) -> float:
        return csv_files.cell(
            path, line, cells, name, csv_files.number_or_nan, "a number or nothing"
        )

    def probabilities(part: str) -> NDArray[np.float32]:
        return np.array([read(f"{part}_p_{name}") for name in CLASSES], np.float32)

    def named(name: str, known: Sequence[str]) -> int:
        expected = f"one of {', '.join(known)}"
        return csv_files.cell(path, line, cells, name, known.index, expected)

    outcomes, reactions, reasons = (
        [item.name.lower() for item in kind] for kind in (Outcome, Reaction, Reason)
    )
    observation = Observation(
        outcome=Outcome(named("outcome", outcomes)),
        face_id=cells["face_id"],
        reaction=Reaction(named("reaction", reactions)),
        reason=Reason(named("reason", reasons)),
        baseline=probabilities("baseline"),
        response=probabilities("response"),
        verdict=probabilities("verdict"),
        change=maybe("change"),
        interval=(maybe("change_low"), maybe("change_high")),
        onset=maybe("onset_after_s"),
        baseline_frames=int(read("baseline_frames")),
        response_frames=int(read("response_frames")),
        missed_frames=int(read("missed_frames")),
    )
    return ObservedAction(
        session=cells["session"], model=cells["model"], action_id=cells["action_id"],
        time=read("time_s"), baseline=read("baseline_s"), watch=read("watch_s"),
        observation=observation, text=cells["text"],
    )  # fmt: skip

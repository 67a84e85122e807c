# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception events`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emotion_perception.commands.options import JobsOption, RayOption, RetriesOption

if TYPE_CHECKING:
    from emotion_perception.sessions.actions import Action, ObservedAction
    from emotion_perception.sessions.batch import Tell
    from emotion_perception.sessions.table import SessionInfo

_EACH = 4
"""Tables that are worth a process."""


def events(
    tables: Annotated[
        list[Path],
        typer.Argument(help="Tables of recordings (.parquet), from predict.", show_default=False),
    ],
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Whose judgement, if several models judged; default: the first."),
    ] = None,
    threshold: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Probability an event must reach; default: that of the model."),
    ] = None,
    release: Annotated[
        float, typer.Option(help="It lasts while above this share of the threshold.")
    ] = 0.7,
    min_duration: Annotated[float, typer.Option(help="Leave out shorter ones, seconds.")] = 0.3,
    merge_gap: Annotated[
        float, typer.Option(help="Make one of two of a kind that are no further apart, seconds.")
    ] = 0.3,
    max_gap: Annotated[
        float, typer.Option(help="End it where the face was not judged for longer, seconds.")
    ] = 1.0,
    neutral: Annotated[bool, typer.Option("--neutral", help="Tell neutral stretches too.")] = False,
    person: Annotated[
        str, typer.Option(help="Whose events: partner, all, or a face_id such as f3.")
    ] = "all",
    actions: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="CSV or ROS 2 bag: when the robot acted; says how it was received."),
    ] = None,
    actions_topic: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Topic of the bag that the robot's actions are on."),
    ] = None,
    before: Annotated[
        float, typer.Option(help="Seconds before an action that tell how the person was.")
    ] = 2.0,
    after: Annotated[float, typer.Option(help="Seconds after an action to watch.")] = 4.0,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder to write to; default: beside each table."),
    ] = None,
    jobs: JobsOption = 0,
    ray: RayOption = None,
    retries: RetriesOption = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Find when somebody reacted in recordings: from when to when, how, how strongly.

    Writes NAME.events.csv, and with --actions NAME.actions.csv. See docs/events.md.
    """
    import json

    from rich.console import Console

    from emotion_perception.reaction.observation import length_problem
    from emotion_perception.sessions.actions import actions_path
    from emotion_perception.sessions.batch import run_all, usable_cores
    from emotion_perception.sessions.event_summary import summary_table
    from emotion_perception.sessions.events import EventOptions, events_path
    from emotion_perception.sessions.table import SessionError

    options = EventOptions(
        threshold=threshold, release=release, min_duration=min_duration, merge_gap=merge_gap,
        max_gap=max_gap, neutral=neutral,
    )  # fmt: skip
    if problem := length_problem(before, after):
        raise ValueError(problem.replace("baseline", "--before").replace("window", "--after"))
    named = _check_actions(tables, actions, actions_topic)
    targets = [events_path(table, output) for table in tables]
    for number, target in enumerate(targets):
        if target in targets[:number]:
            raise SessionError(f"{tables[number]}: {target} would be written twice")
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    told: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    asked = None if actions is None else (actions, actions_topic, before, after)
    tasks = [
        (table, target, options, model, person, asked, actions_path(table, output))
        for table, target in zip(tables, targets, strict=True)
    ]
    # A process takes longer to begin than a table to be done.
    jobs = min(jobs or usable_cores(), -(-len(tables) // _EACH))
    for table, result in zip(
        tables, run_all(_one, tasks, jobs=jobs, ray=ray, retries=retries), strict=True
    ):
        if result.error:
            failed.append({"table": str(table), "error": result.error})
            typer.echo(f"error: {result.error}", err=True)
            continue
        one, people = result.answer
        told.append(one)
        if not as_json:
            console.print(summary_table(one["session"], people))
            console.print(one["events_file"], soft_wrap=True, markup=False)
            for each in one.get("actions", ()):
                line = f"{each['time']:9.2f} s  {each['action_id']}: {each['text']}"
                console.print(line, soft_wrap=True, markup=False)
            if "actions_file" in one:
                console.print(one["actions_file"], soft_wrap=True, markup=False)
    missed = [name for name in named if name not in {one["session"] for one in told}]
    if missed and not failed:
        typer.echo(
            f"warning: {actions}: session: no table of {', '.join(missed)}; those actions were left"
            " out",
            err=True,
        )
    if as_json:
        typer.echo(json.dumps({"sessions": told, "failed": failed}, ensure_ascii=False, indent=2))
    elif len(tables) > 1:
        console.print(f"{len(told)} of {len(tables)} tables done")
    if failed:
        raise typer.Exit(1)


def _check_actions(tables: list[Path], actions: Path | None, topic: str | None) -> list[str]:
    """Refuse what cannot work before anything is done; return the sessions that a CSV names."""
    from emotion_perception.image.bag import is_bag
    from emotion_perception.sessions.actions import sessions_named

    if actions is None:
        if topic is not None:
            raise ValueError("--actions-topic: goes with --actions BAG")
        return []
    if not actions.exists():
        raise ValueError(f"--actions: {actions}: no such file")
    bag = is_bag(actions)
    if bag and topic is None:
        raise ValueError(f"--actions: {actions}: is a bag; name the topic by --actions-topic")
    if not bag and topic is not None:
        raise ValueError(f"--actions: {actions}: is no bag; --actions-topic goes with a bag")
    named = [] if bag else sessions_named(actions)
    if len(tables) > 1 and not named:
        raise ValueError(
            f"--actions: {actions}: does not say which of {len(tables)} recordings it is about; "
            "give one table, or a CSV file with a column session"
        )
    return named


def _one(task: tuple[Any, ...], _: Tell) -> tuple[dict[str, Any], list[Any]]:
    """Do one table; returns what is told of it as JSON, and its people."""
    from dataclasses import asdict

    from emotion_perception.sessions.actions import observe_actions, write_observed
    from emotion_perception.sessions.event_summary import choose_person, summarise
    from emotion_perception.sessions.events import find_events, write_events
    from emotion_perception.sessions.table import read_session

    table, target, options, model, person, actions, actions_target = task
    session = read_session(table)
    judged_by = session.model(model)
    found = choose_person(session, find_events(session, options, model), person)
    observed = None
    if actions is not None:
        path, topic, before, after = actions
        observed = observe_actions(
            session, _read_actions(path, topic, session.info), model=model,
            threshold=options.threshold, face_id="" if person in ("partner", "all") else person,
            baseline=before, watch=after,
        )  # fmt: skip
    write_events(target, found, session.info.job)
    people = summarise(session, found, model)
    told = {
        "session": session.info.session, "table": str(table), "model": judged_by.name,
        "model_id": judged_by.model_id, "events_file": str(target),
        "people": [asdict(each) for each in people],
        "events": [{**asdict(event), "duration": round(event.duration, 6)} for event in found],
    }  # fmt: skip
    if observed is not None:
        write_observed(actions_target, observed, session.info.job)
        told |= {"actions_file": str(actions_target), "actions": [_told(o) for o in observed]}
    return told, people


def _read_actions(path: Path, topic: str | None, info: SessionInfo) -> list[Action]:
    from emotion_perception.sessions.actions import read_actions_bag, read_actions_csv

    return read_actions_csv(path, info) if topic is None else read_actions_bag(path, topic, info)


def _told(each: ObservedAction) -> dict[str, Any]:
    """Return an observed action for JSON; what is not known is null."""
    import math

    found = each.observation

    def number(value: float) -> float | None:
        return round(float(value), 4) if math.isfinite(value) else None

    return {
        "action_id": each.action_id, "time": round(each.time, 6), "baseline_s": each.baseline,
        "watch_s": each.watch, "outcome": found.outcome.name.lower(), "face_id": found.face_id,
        "reaction": found.reaction.name.lower(), "reason": found.reason.name.lower(),
        "baseline": [number(value) for value in found.baseline],
        "response": [number(value) for value in found.response],
        "verdict": [number(value) for value in found.verdict],
        "change": number(found.change), "change_interval": [number(v) for v in found.interval],
        "onset_after": number(found.onset), "baseline_frames": found.baseline_frames,
        "response_frames": found.response_frames, "missed_frames": found.missed_frames,
        "text": each.text,
    }  # fmt: skip

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings judged by `emotion-perception predict`, beside fer's own analysis of a video.

Each contender is a command in a process of its own, from start to end, decoding included. What it
takes before and after the frames is told by the same command on a recording of one frame.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import children, peers
from benchmarks.children import ChildError
from benchmarks.processes import Cost, run
from benchmarks.samples import summary
from benchmarks.session_films import CODEC, RATE_HZ, Film, encode, first_frame, repeat

WORKER = Path(__file__).absolute().parent / "workers" / "fer_video_worker.py"
START_S, FRAME_S = 180.0, 1.0
SECONDS, QUICK_SECONDS = 60.0, 2.0
PEER_SECONDS = 8.0
"""Of the recording that peers analyse: they take as long as it plays, and times a frame count."""
COPIES = 4


@dataclass(frozen=True)
class Contender:
    """One way to judge recordings.

    Attributes:
        name: for the report.
        threads: processor threads of one process.
        jobs: processes at once.
        copies: recordings to judge.
        peer: whose environment it runs in; None is this one.
        detector: of the peer.
        beside: name of the contender that it is held against, times as fast.
    """

    name: str
    threads: int
    jobs: int = 1
    copies: int = 1
    peer: peers.Peer | None = None
    detector: str = ""
    beside: str = ""


ONE = Contender("predict, one recording", 2)
IN_TURN = Contender("predict, one process", 1, copies=COPIES)
AT_ONCE = Contender("predict, two processes", 1, jobs=2, copies=COPIES, beside=IN_TURN.name)
OURS: tuple[Contender, ...] = (ONE, IN_TURN, AT_ONCE)
PEERS = (
    Contender("fer's Video.analyze, Haar cascade", 2, peer=peers.FER, detector="haar"),
    Contender("fer's Video.analyze, MTCNN", 2, peer=peers.FER_MTCNN, detector="mtcnn"),
)


@dataclass(frozen=True)
class _Films:
    """The recordings of a benchmark: whole, as peers get it, and of one frame."""

    whole: Film
    peers: Film
    one: Film


def measure(
    contenders: Sequence[Contender], frames_file: Path, seconds: float, passes: int, device: str,
    say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Let each contender judge its recordings in turns, so that other load meets all alike.

    Args:
        contenders: the first one is what peers are held against.
        frames_file: see `clip.write_frames`.
        seconds: that the recording plays at least.
        passes: how often each has its turn.
        device: where ours judges, ``cpu`` or ``cuda:N``.
        say: told what happens.

    Returns:
        What was recorded, and one entry a contender; with ``error`` where it can't run.
    """
    with tempfile.TemporaryDirectory() as folder:
        films = _make_films(Path(folder), frames_file, seconds)
        entries: dict[Contender, dict[str, Any]] = {}
        costs: defaultdict[Contender, list[tuple[Cost, Cost]]] = defaultdict(list)
        for contender in contenders:
            film = films.peers if contender.peer else films.whole
            entries[contender] = {
                "name": contender.name, "threads": contender.threads, "jobs": contender.jobs,
                "peer": contender.peer is not None, "recordings": contender.copies,
                "seconds": round(contender.copies * film.seconds, 2),
                "frames": contender.copies * film.frames,
            }  # fmt: skip
        for number in range(passes):
            say(f"sessions: pass {number + 1} of {passes}")
            for contender in contenders:
                if "error" in entries[contender]:
                    continue
                try:
                    cost, found = _turn(contender, films, device, Path(folder))
                except (ChildError, peers.PeerError) as error:
                    say(f"{contender.name} can't run: {error}")
                    entries[contender]["error"] = str(error)
                    continue
                costs[contender].append(cost)
                entries[contender] |= found
        for contender, entry in entries.items():
            if "error" not in entry:
                entry |= _figures(entry, costs[contender])
        _add_ratios(contenders, entries)
        width, height = _size(frames_file)
        return {
            "codec": CODEC, "rate_hz": RATE_HZ, "width": width, "height": height,
            "seconds": round(films.whole.seconds, 2), "device": device,
            "megabits_per_s": round(
                films.whole.path.stat().st_size * 8e-6 / films.whole.seconds, 3
            ),
            "contenders": list(entries.values()),
        }  # fmt: skip


def predict_command(
    recordings: Sequence[Path], output: Path, *, threads: int, jobs: int = 1, device: str = "cpu",
    every: int = 1,
) -> list[str]:  # fmt: skip
    """Return the command that a user gives, run by this interpreter."""
    return [
        sys.executable, "-m", "emotion_perception.cli", "predict", *map(str, recordings),
        "--output", str(output), "--threads", str(threads), "--jobs", str(jobs),
        "--device", device, "--every", str(every),
    ]  # fmt: skip


def frames_judged(tables: Sequence[Path]) -> tuple[int, int]:
    """Return how many frames the tables tell of, and in how many there is a face."""
    import pyarrow.parquet as pq

    frames, with_faces = 0, 0
    for table in tables:
        rows = pq.read_table(table, columns=["frame", "face_id"]).to_pydict()
        pairs = list(zip(rows["frame"], rows["face_id"], strict=True))
        frames += len({frame for frame, _ in pairs})
        with_faces += len({frame for frame, face_id in pairs if face_id})
    return frames, with_faces


def _make_films(folder: Path, frames_file: Path, seconds: float) -> _Films:
    frames = np.load(frames_file, mmap_mode="r")
    stretch = encode(folder / "stretch.mp4", frames)
    return _Films(
        repeat(stretch, folder / "recording.mp4", seconds),
        repeat(stretch, folder / "short.mp4", min(seconds, PEER_SECONDS)),
        first_frame(folder / "one.mp4", frames),
    )


def _size(frames_file: Path) -> tuple[int, int]:
    height, width = np.load(frames_file, mmap_mode="r").shape[1:3]
    return width // 2 * 2, height // 2 * 2


def _turn(
    contender: Contender, films: _Films, device: str, folder: Path
) -> tuple[tuple[Cost, Cost], dict[str, Any]]:
    """Return what a contender took for recordings of one frame and for its own, and what it found.

    Raises:
        ChildError: it failed, or did not judge every frame.
        PeerError: it can't be installed.
    """
    film = films.peers if contender.peer else films.whole
    made: list[tuple[Cost, int, int]] = []
    for what in (films.one, film):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            if contender.peer is None:
                made.append(_ours(contender, what, device, Path(place)))
            else:
                made.append(_peer(contender, what, Path(place)))
    (start, *_), (cost, frames, with_faces) = made
    expected = contender.copies * film.frames
    if frames != expected:
        raise ChildError(f"judged {frames} of {expected} frames")
    return (start, cost), {"frames_with_faces": with_faces}


def _ours(contender: Contender, film: Film, device: str, place: Path) -> tuple[Cost, int, int]:
    recordings = [place / f"session {number + 1}.mp4" for number in range(contender.copies)]
    for recording in recordings:
        shutil.copyfile(film.path, recording)
    output = place / "tables"
    command = predict_command(
        recordings, output, threads=contender.threads, jobs=contender.jobs, device=device
    )
    # Elsewhere than in the checkout, whose copy of the package would come first.
    cost = run(command, children.environment(), place, _limit(contender, film))
    return cost, *frames_judged([output / f"{file.stem}.parquet" for file in recordings])


def _peer(contender: Contender, film: Film, place: Path) -> tuple[Cost, int, int]:
    assert contender.peer is not None
    command: list[str | Path] = [
        peers.install(contender.peer), WORKER, film.path, "--threads", str(contender.threads),
        "--detector", contender.detector,
    ]  # fmt: skip
    variables = peers.environment(contender.threads)
    cost = run(command, variables, place, _limit(contender, film))
    told = json.loads(cost.told.strip().splitlines()[-1])
    return cost, told["frames"], told["frames_with_faces"]


def _limit(contender: Contender, film: Film) -> float:
    return START_S + FRAME_S * contender.copies * film.frames


def _figures(entry: Mapping[str, Any], costs: Sequence[tuple[Cost, Cost]]) -> dict[str, Any]:
    """Return the figures of a contender; `judging` is its time less that for one frame."""
    whole = [cost.wall_s for _, cost in costs]
    start = [cost.wall_s for cost, _ in costs]
    # Of a few frames the difference may be mere noise.
    judging = [max(cost.wall_s - first.wall_s, cost.wall_s / 10) for first, cost in costs]
    worked = [cost.processor_s - first.processor_s for first, cost in costs]
    frames, seconds = entry["frames"], entry["seconds"]
    return {
        "whole_s": summary(whole), "start_s": summary(start), "judging_s": summary(judging),
        "times_real_time": summary([seconds / taken for taken in judging]),
        "whole_times_real_time": summary([seconds / taken for taken in whole]),
        "frames_per_s": summary([frames / taken for taken in judging]),
        "ms_per_frame": summary([1e3 * taken / frames for taken in judging]),
        "samples_ms": [round(1e3 * taken / frames, 3) for taken in judging],
        "processor_ms_per_frame": summary([1e3 * taken / frames for taken in worked]),
        "peak_mb": summary([cost.peak_mb for _, cost in costs], 1),
    }  # fmt: skip


def _add_ratios(
    contenders: Sequence[Contender], entries: Mapping[Contender, dict[str, Any]]
) -> None:
    """Say how many times as fast as another one it is, and of peers how much slower than ours."""
    by_name = {contender.name: entries[contender] for contender in contenders}
    first = entries[contenders[0]]
    for contender, entry in entries.items():
        other = by_name.get(contender.beside, {})
        if "error" in entry:
            continue
        if "samples_ms" in other:
            entry["times_as_fast"] = _ratio(other["samples_ms"], entry["samples_ms"])
        if contender.peer is not None and "samples_ms" in first:
            entry["times_as_long"] = _ratio(entry["samples_ms"], first["samples_ms"])


def _ratio(of: Sequence[float], to: Sequence[float]) -> dict[str, float]:
    """Return the ratio of medians, and the least and the greatest of any pass."""
    passes = np.divide(of, to)
    return {
        "median": round(float(np.median(of) / np.median(to)), 2),
        "least": round(float(passes.min()), 2),
        "greatest": round(float(passes.max()), 2),
    }

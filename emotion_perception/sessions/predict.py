# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A recording in, the table of what was seen out; in pieces, so that a stop loses little.

The frames go through the same pipeline as the robot's, in batches. Every `PART_FRAMES` the rows and
all that the pipeline knows are written to a part beside the table; whoever comes back goes on after
the last whole part and gets the same table, byte for byte, as without the stop.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import emotion_perception
from emotion_perception.faces.face import FaceDetector
from emotion_perception.image.source import Frame, FrameSource, SourceError, Unreadable
from emotion_perception.pipeline import ReactionPipeline, Shot
from emotion_perception.reaction.reaction import FaceReaction
from emotion_perception.sessions.parts import Parts
from emotion_perception.sessions.recording import open_recording
from emotion_perception.sessions.rows import Rows
from emotion_perception.sessions.state import StateError, freeze, pack, thaw, unpack
from emotion_perception.sessions.table import (
    SUFFIX,
    JudgedBy,
    SessionError,
    SessionInfo,
    read_info,
    write_table,
)
from emotion_perception.valence.model import key_of

PART_FRAMES: Final = 600
_IDENTITY_BYTES: Final = 2**20

_log = logging.getLogger(__name__)

Progress = Callable[[int, "int | None", float], None]
"""Called with frames read, frames expected and seconds of the recording."""

Preview = Callable[[NDArray[np.uint8], Sequence[FaceReaction]], None]


@dataclass(frozen=True, kw_only=True)
class PredictOptions:
    """How a recording is judged.

    Attributes:
        models: name and checkpoint folder of each; None is the shipped one. The first decides.
        every: of so many frames one is judged.
        batch: frames whose faces are judged together.
        threshold: least probability that counts as an answer; None takes the card's.
        detector: ``mtcnn`` or ``yunet``.
        yunet_model: ONNX file of YuNet, if that is the detector.
        min_face_size: smallest face that is looked for, pixels of the frame as it is searched.
        max_side: larger frames are shrunk to this longer side before they are searched, pixels.
        fps: frames a second of a folder of images.
        topic: image topic of a bag that has several.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: processor threads.
    """

    models: tuple[tuple[str, Path | None], ...] = (("valence-base", None),)
    every: int = 1
    batch: int = 8
    threshold: float | None = None
    detector: str = "mtcnn"
    yunet_model: Path | None = None
    min_face_size: int = 40
    max_side: int = 1920
    fps: float = 10.0
    topic: str | None = None
    device: str = "auto"
    threads: int = 2

    def __post_init__(self) -> None:
        names = [name for name, _ in self.models]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"--model: expected different names, got {', '.join(names)}")
        for name in ("every", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class About:
    """What the file itself does not tell.

    Attributes:
        session: what the session is called; empty takes the name of the recording.
        participant: a pseudonym, or empty.
        started: when it was recorded, ISO 8601; empty takes what the file says.
    """

    session: str = ""
    participant: str = ""
    started: str = ""


def predict(
    recording: Path, table: Path, options: PredictOptions | None = None,
    about: About | None = None, *, replace: bool = False, progress: Progress | None = None,
    preview: Preview | None = None, pipeline: ReactionPipeline | None = None,
) -> SessionInfo:  # fmt: skip
    """Judge a recording and write its table.

    Args:
        recording: see `open_recording`.
        table: of the Parquet file; parts lie in a hidden folder beside it meanwhile.
        options: how.
        about: what the recording is.
        replace: write over a table that was made otherwise.
        progress: is told after each batch.
        preview: is shown each frame.
        pipeline: of these options, to use again; its film is forgotten.

    Returns:
        What the table is about; at once if it was made so already.

    Raises:
        SourceError: the recording can't be read at all.
        SessionError: the table exists and was made otherwise, or another run is making it.
        ModelError: a model is missing, damaged or does not fit.
        OSError: the table can't be written; what is done is kept for the next try.
        KeyboardInterrupt: Ctrl-C; what is done is kept for the next time.
    """
    options, about = options or PredictOptions(), about or About()
    pipeline = pipeline or make_pipeline(options)
    pipeline.reset(ids=True)
    models = judged_by(pipeline, options)
    job = _job(recording, options, about, pipeline)
    if table.is_dir() or (table.exists() and not replace):
        info = read_info(table)
        if info.job == job:
            return info
        raise SessionError(
            f"{table}: exists, made with other options or of another recording;"
            " --replace writes over it, --output writes elsewhere"
        )
    table.parent.mkdir(parents=True, exist_ok=True)
    parts = Parts(table, job)
    writer = Rows(models)
    with parts.held():
        state = parts.resume()
        try:
            if state is not None:
                thaw(pipeline, state["scene"])
                writer.beside = unpack(state["beside"])
        except StateError as error:
            _log.warning("%s: begun anew, %s", parts.folder, error)
            parts.drop(0)
            pipeline.reset(ids=True)
            writer.beside = {}
            state = None
        if state is None or not state["done"]:
            state = _judge(
                recording, options, about, pipeline, parts, writer, state, progress, preview
            )
        info = SessionInfo(
            **{
                **state["info"], "notes": tuple(state["info"]["notes"]),
                "unreadable": tuple(Unreadable(*part) for part in state["unreadable"]),
            },
            models=models, job=job, version=emotion_perception.__version__,
        )  # fmt: skip
        write_table(table, info, parts.tables())
        parts.clear()
    return info


def make_pipeline(options: PredictOptions) -> ReactionPipeline:
    """Load the models and the detector of these options.

    Raises:
        ModelError: one is missing, damaged or does not fit.
    """
    (_, first), *others = options.models
    also = [folder for _, folder in others if folder is not None]
    if len(also) < len(others):
        raise SessionError("--model: only the first may be the shipped one without its folder")
    detector: FaceDetector | None = None
    if options.detector == "yunet":
        from emotion_perception.faces.yunet import YuNetDetector

        if options.yunet_model is None:
            raise SessionError("--detector yunet: needs the ONNX file of YuNet, --yunet-model")
        detector = YuNetDetector(options.yunet_model)
    elif options.detector != "mtcnn":
        raise SessionError(f"--detector: expected mtcnn or yunet, got {options.detector}")
    return ReactionPipeline(
        first, device=options.device, detector=detector, min_face_size=options.min_face_size,
        confidence_threshold=options.threshold, threads=options.threads,
        also=also,
    )  # fmt: skip


def judged_by(pipeline: ReactionPipeline, options: PredictOptions) -> tuple[JudgedBy, ...]:
    """Return what the table says of the models of a pipeline."""
    models = (pipeline.model, *pipeline.also)
    return tuple(
        JudgedBy(
            name=name,
            model_id=model.model_id,
            threshold=(
                pipeline.confidence_threshold
                if index == 0 or options.threshold is not None
                else model.checkpoint.confidence_threshold
            ),
            emotions=tuple(model.emotion_names),
        )
        for index, ((name, _), model) in enumerate(zip(options.models, models, strict=True))
    )


def _judge(
    recording: Path, options: PredictOptions, about: About, pipeline: ReactionPipeline,
    parts: Parts, rows: Rows, state: dict[str, Any] | None, progress: Progress | None,
    preview: Preview | None,
) -> dict[str, Any]:  # fmt: skip
    """Judge what is left of a recording, part by part; return the last state."""
    after = None
    known: list[Unreadable] = []
    first: dict[str, Any] = {}
    frames = 0
    if state is not None:
        after = Frame(state["index"], state["time"], np.empty((0, 0, 3), np.uint8))
        known = [Unreadable(*part) for part in state["unreadable"]]
        first, frames = state["info"], state["info"]["frames"]
    with open_recording(
        recording, topic=options.topic, fps=options.fps, every=options.every, after=after,
        threads=options.threads, max_side=options.max_side,
        seek=state is None or state.get("exact", True),
    ) as source:  # fmt: skip
        broken = ""
        last = after
        told = 0

        def tell(done: bool) -> dict[str, Any]:
            unreadable = [*known, *source.unreadable]
            if broken:
                at = last.time if last else 0.0
                unreadable.append(Unreadable(at, at, -1, broken))
            info = first or _about(recording, source, about)
            seconds = last.time if last else 0.0
            info |= {
                "frames": frames, "seconds": seconds, "every": options.every,
                "rate": last.index / seconds if last and seconds > 0 else source.fps or 0.0,
                "detector": options.detector,
                "notes": tuple(sorted({*info.get("notes", ()), *source.notes})),
            }  # fmt: skip
            return {
                "index": last.index if last else -1, "time": seconds, "done": done, "info": info,
                "exact": source.exact,
                "unreadable": [[p.start, p.end, p.frames, p.why] for p in unreadable],
                "scene": freeze(pipeline), "beside": pack(rows.beside),
            }  # fmt: skip

        stream = _whole(source)
        while True:
            batch, broken = _next(stream, min(options.batch, PART_FRAMES - told))
            if batch:
                answers = pipeline.run_many([Shot(f.image, f.time) for f in batch])
                for frame, reactions in zip(batch, answers, strict=True):
                    rows.add(frame, reactions)
                    if preview is not None:
                        preview(frame.image, reactions)
                last, told, frames = batch[-1], told + len(batch), frames + len(batch)
                first = first or _about(recording, source, about)
            ended = broken or len(batch) == 0
            if ended and frames == 0:
                raise SourceError(f"{recording}: {broken or 'not one readable frame'}")
            if told >= PART_FRAMES or ended:
                state = tell(done=bool(ended))
                parts.add(rows.take(), state)
                told = 0
            if progress is not None and last is not None:
                progress(last.index + 1, source.frame_count, last.time)
            if ended:
                return tell(done=True)


def _whole(source: FrameSource) -> Iterator[Frame | str]:
    """Yield the frames; then why there are no more, if the recording breaks off."""
    try:
        yield from source
    except SourceError as error:
        yield str(error).removeprefix(f"{source.name}: ")


def _next(stream: Iterator[Frame | str], count: int) -> tuple[list[Frame], str]:
    frames: list[Frame] = []
    while len(frames) < count:
        found = next(stream, None)
        if found is None:
            break
        if isinstance(found, str):
            return frames, found
        frames.append(found)
    return frames, ""


def _about(recording: Path, source: FrameSource, about: About) -> dict[str, Any]:
    width, height = source.size
    return {
        "recording": recording.name or recording.resolve().name,
        "session": about.session or session_name(recording),
        "participant": about.participant,
        "started": about.started or source.started,
        "origin": source.origin,
        "width": width,
        "height": height,
        "notes": tuple(source.notes),
    }


def session_name(recording: Path) -> str:
    """Return what a session is called that nobody named: its file without the suffix."""
    # "." has no name.
    return (recording.name or recording.resolve().name) if recording.is_dir() else recording.stem


def _job(recording: Path, options: PredictOptions, about: About, pipeline: ReactionPipeline) -> str:
    """Return what tells one table from another that would hold something else."""
    told = asdict(options) | asdict(about)
    del told["threads"]  # they change nothing
    told["models"] = [name for name, _ in options.models]
    told["keys"] = [_weights(model) for model in (pipeline.model, *pipeline.also)]
    told |= {"device": pipeline.device, "yunet_model": str(options.yunet_model or "")}
    told |= {"version": emotion_perception.__version__, "recording": _identity(recording)}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _weights(model: Any) -> str:
    return str(key_of(model.checkpoint)).replace(str(model.checkpoint.directory), "")


def _identity(recording: Path) -> list[Any]:
    """Return what tells one recording from another, without reading all of it."""
    if not recording.exists():
        raise SourceError(f"{recording}: no such file or folder")
    if recording.is_dir():
        files = sorted(file for file in recording.iterdir() if file.is_file())
        return [recording.name, *((file.name, file.stat().st_size) for file in files)]
    try:
        size = recording.stat().st_size
        with recording.open("rb") as stream:
            head = stream.read(_IDENTITY_BYTES)
            stream.seek(max(0, size - _IDENTITY_BYTES))
            tail = stream.read()
    except OSError as error:
        raise SourceError(f"{recording}: can't be read, {error.strerror}") from None
    return [recording.name, size, hashlib.sha256(head + tail).hexdigest()]


def table_of(recording: Path, folder: Path | None) -> Path:
    """Return where the table of a recording goes: beside it, or into a folder."""
    return (folder or recording.parent) / f"{session_name(recording)}{SUFFIX}"

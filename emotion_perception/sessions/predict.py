"""A recording in, the table of what was seen out; in pieces, so that a stop loses little.

The frames go through the same pipeline as the robot's, in batches. Every `PART_FRAMES` the rows and
all that the pipeline knows are written to a part beside the table; whoever comes back goes on after
the last whole part and gets the same table, byte for byte, as without the stop.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

import emotion_perception
from emotion_perception.faces.face import FaceDetector
from emotion_perception.image.source import Frame, FrameSource, SourceError, Unreadable
from emotion_perception.pipeline import ReactionPipeline, Shot
from emotion_perception.reaction.reaction import FaceReaction, Reaction, Reason
from emotion_perception.reaction.smoothing import ReactionFilter
from emotion_perception.sessions.recording import open_recording
from emotion_perception.sessions.state import StateError, freeze, pack, thaw, unpack
from emotion_perception.sessions.table import (
    FRAME_PROBABILITIES,
    PROBABILITIES,
    SUFFIX,
    JudgedBy,
    SessionError,
    SessionInfo,
    column,
    read_info,
    schema,
    write_table,
)
from emotion_perception.valence.model import key_of

if TYPE_CHECKING:
    import pyarrow

PART_FRAMES: Final = 600
_FORGET_S: Final = 10.0  # a face unseen for longer has a new id anyway
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
    parts = _Parts(table, job)
    writer = _Rows(models)
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
    parts: _Parts, rows: _Rows, state: dict[str, Any] | None, progress: Progress | None,
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


class _Rows:
    """Gathers rows column by column."""

    def __init__(self, models: Sequence[JudgedBy]) -> None:
        self._models = models
        self._schema = schema(models)
        self._columns: dict[str, list[Any]] = {name: [] for name in self._schema.names}
        # For each further model and each face, what the robot would have said with it.
        self.beside: dict[str, list[Any]] = {}

    def add(self, frame: Frame, reactions: Sequence[FaceReaction]) -> None:
        """Add what a frame said; boxes become those of the frame before it was shrunk."""
        if not reactions:
            self._row(frame, None)
        for reaction in reactions:
            self._row(frame, reaction)
        gone = [
            face_id for face_id, (seen, *_) in self.beside.items() if frame.time - seen > _FORGET_S
        ]
        for face_id in gone:
            del self.beside[face_id]

    def take(self) -> pyarrow.Table:
        """Return the rows gathered so far, and begin anew."""
        import pyarrow as pa

        table = pa.table(
            [pa.array(self._columns[item.name], item.type) for item in self._schema],
            schema=self._schema,
        )
        for values in self._columns.values():
            values.clear()
        return table

    def _row(self, frame: Frame, reaction: FaceReaction | None) -> None:
        row: dict[str, Any] = dict.fromkeys(self._columns)
        row["frame"], row["time"] = frame.index, frame.time
        row["face_id"] = row["problem"] = ""
        row["is_partner"] = False
        if reaction is not None:
            face, quality = reaction.face, reaction.quality
            row |= dict(zip(("x1", "y1", "x2", "y2"), face.box / frame.scale, strict=True))
            row |= {
                "face_id": reaction.face_id, "is_partner": reaction.is_partner,
                "score": face.score, "landmarks": (face.landmarks / frame.scale).ravel(),
                "problem": reaction.problem,
            }  # fmt: skip
            if quality is not None:
                row |= {
                    "size": quality.size / frame.scale, "sharpness": quality.sharpness,
                    "light": quality.light, "turn": quality.turn,
                }  # fmt: skip
        for index, model in enumerate(self._models):
            self._judgement(row, index, model, frame.time, reaction)
        for name, values in self._columns.items():
            values.append(row[name])

    def _judgement(
        self, row: dict[str, Any], index: int, model: JudgedBy, time: float,
        reaction: FaceReaction | None,
    ) -> None:  # fmt: skip
        own: NDArray[np.float32] | None = None
        smooth: NDArray[np.float32] | None = None
        verdict, reason = Reaction.UNKNOWN, Reason.NO_FACE
        if reaction is not None and index == 0:
            own, smooth = reaction.frame_probabilities, reaction.probabilities
            verdict, reason = reaction.reaction, reaction.reason
        elif reaction is not None:
            own = reaction.also[index - 1] if reaction.also else None
            known = self.beside.setdefault(
                reaction.face_id, [0.0, *(ReactionFilter() for _ in self._models[1:])]
            )
            known[0] = time
            if own is None and not reaction.problem:
                smooth, verdict, reason = known[index].wait(time)
            else:
                smooth, verdict, reason = known[index].update(own, time, model.threshold)
        if smooth is not None and not smooth.any():
            smooth = None  # nothing is known
        told: dict[str, Any] = {
            "reaction": verdict.name.lower(), "reason": reason.name.lower(),
            "model_id": model.model_id,
            "confidence": None if smooth is None else float(smooth.max()),
            "valence": None if smooth is None else float(smooth[2] - smooth[0]),
        }  # fmt: skip
        for names, values in ((PROBABILITIES, smooth), (FRAME_PROBABILITIES, own)):
            if values is not None:
                told |= dict(zip(names, map(float, values), strict=True))
        emotions = _emotions(reaction, index)
        told |= {f"e_{name}": emotions.get(name) for name in model.emotions}
        for name, value in told.items():
            row[column(name, model, self._models)] = value


def _emotions(reaction: FaceReaction | None, index: int) -> dict[str, float]:
    """Return the discrete emotions that one of the models told of a face in this frame."""
    if reaction is None:
        return {}
    if index == 0:
        return dict(reaction.emotions)
    return dict(reaction.also_emotions[index - 1]) if reaction.also_emotions else {}


@dataclass
class _Parts:
    """The parts of a table that is being made, each with what is needed to go on after it.

    Attributes:
        table: that is being made.
        job: what makes it; parts of another job are thrown away.
        count: parts that there are.
    """

    table: Path
    job: str
    count: int = field(default=0, init=False)

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self.table.with_name(f".{self.table.name}.parts")

    @property
    def _lock(self) -> Path:
        return self.folder / "lock"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other runs away; the lock ends with its process, however that ends.

        Raises:
            SessionError: another run has it.
        """
        lock = self._locked()
        try:
            yield
        except BaseException:
            if not self.count:
                self.clear()
            raise
        finally:
            lock.close()

    def _locked(self) -> BinaryIO:
        while True:
            self.folder.mkdir(exist_ok=True)
            try:
                lock = self._lock.open("ab")
            except FileNotFoundError:  # whoever had it cleared all away just now
                continue
            if not _take(lock):
                lock.close()
                raise SessionError(f"{self.table}: another run is making it just now")
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(lock.fileno()), self._lock.stat()):
                    return lock
            lock.close()

    def resume(self) -> dict[str, Any] | None:
        """Return the state after the last whole part; None to begin at the start."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        state: dict[str, Any] | None = None
        self.count = 0
        while self._path(self.count).exists():
            try:
                metadata = pq.read_schema(self._path(self.count)).metadata or {}
                told = json.loads(metadata[b"state"])
                if metadata[b"job"].decode() != self.job:
                    break
                pq.read_metadata(self._path(self.count))
            except (pa.ArrowException, OSError, KeyError, ValueError):
                break
            state = told
            self.count += 1
        self.drop(self.count)
        return state

    def drop(self, count: int) -> None:
        """Throw all away but the first parts."""
        self.count = count
        kept = {self._lock, *map(self._path, range(count))}
        for other in self.folder.iterdir():
            if other not in kept:
                other.unlink()

    def add(self, rows: pyarrow.Table, state: dict[str, Any]) -> None:
        """Write one more part; it is there whole or not at all."""
        import pyarrow.parquet as pq

        path = self._path(self.count)
        beside = path.with_suffix(".new")
        told = rows.replace_schema_metadata({"job": self.job, "state": json.dumps(state)})
        with beside.open("wb") as stream:
            pq.write_table(told, stream)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
        self.count += 1

    def tables(self) -> Iterator[pyarrow.Table]:
        """Yield the rows of each part."""
        import pyarrow.parquet as pq

        for index in range(self.count):
            rows = pq.read_table(self._path(index)).replace_schema_metadata(None)
            if len(rows):
                yield rows

    def clear(self) -> None:
        """Throw all parts away."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.count = 0

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:06d}{SUFFIX}"


def _take(lock: BinaryIO) -> bool:
    """Lock a file; whether nobody else had it. True where files cannot be locked."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network disks cannot
        return True
    return True


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

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Building a patient's data set: frames in, labelled face crops on disk.

A run is one recording a source: splits never part the frames of one recording. Nothing is written
without a valid consent.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from emotion_perception.image.bag import is_bag, open_bag
from emotion_perception.image.playback import DEMO_SOURCE, open_any_source
from emotion_perception.image.source import FrameSource, SourceError
from emotion_perception.image.still import read_still
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.training.capture_prompts import Guide
from emotion_perception.training.capture_select import FaceSelector, SelectionOptions, Verdict
from emotion_perception.training.capture_sheet import write_overview
from emotion_perception.training.capture_spans import Span, label_at, spans_of
from emotion_perception.training.capture_store import PatientStore
from emotion_perception.training.consent import require_consent
from emotion_perception.training.faces import DataError
from emotion_perception.training.patients import DiskFullError, check_pseudonym
from emotion_perception.valence.labels import CLASSES

_DETECTOR_MIN_FACE = 40

_log = logging.getLogger(__name__)


Labels = tuple[Span, ...] | str | None
"""Spans, the class of every frame, or None where a guide asks."""


@dataclass(frozen=True)
class Planned:
    """A recording to be made.

    Attributes:
        name: of its source, as tables name it; without the folder that it lies in.
        pieces: what to open, and where its labels come from; several for class folders.
    """

    name: str
    pieces: tuple[tuple[str, Labels], ...]


@dataclass(eq=False)
class CaptureReport:
    """What a run did.

    Attributes:
        kept: new images of each class.
        verdicts: how many frames met with each verdict.
        skipped: frames without a label.
        several: frames with more than one face, of which one was chosen.
        total: images of each class that the person has now.
        recordings: names of the new recordings.
        sheets: overview sheets.
        taken_in: images without a row that an earlier, killed run had left.
        problems: sources that broke off, with the reason.
        interrupted: whether somebody pressed Ctrl-C.
    """

    kept: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    skipped: int = 0
    several: int = 0
    total: dict[str, int] = field(default_factory=dict)
    recordings: list[str] = field(default_factory=list)
    sheets: list[Path] = field(default_factory=list)
    taken_in: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    interrupted: bool = False


def capture(
    data: Path,
    person: str,
    sources: Sequence[str],
    *,
    spans: Sequence[Span] = (),
    label: str | None = None,
    guide: Guide | None = None,
    options: SelectionOptions | None = None,
    topic: str | None = None,
) -> CaptureReport:
    """Add images of a person from some sources.

    Args:
        data: folder with one folder a person.
        person: pseudonym.
        sources: webcam index, videos, GIFs, images, folders of images (also of folders
            ``negative``, ``neutral`` and ``positive``), bags, or ``demo``.
        spans: labelled spans of the sources.
        label: class of every frame.
        guide: asks for the classes one by one, where neither spans nor label are given.
        options: what a face must be like.
        topic: of the images in a bag.

    Raises:
        DataError: no consent, sources without labels, a bag's topic that is not clear.
        SourceError: a source cannot be opened; images of those before it are kept.
        DiskFullError: images up to there are kept.
    """
    check_pseudonym(person)
    require_consent(data, person)
    chosen = options or SelectionOptions()
    plan = [_planned(source, spans, label, guide) for source in sources]
    report = CaptureReport()
    with PatientStore(data, person) as store:
        report.taken_in = store.taken_in
        pipeline = ReactionPipeline(
            device="cpu", min_face_size=min(_DETECTOR_MIN_FACE, chosen.min_face)
        )
        selector = FaceSelector(pipeline, chosen)
        stored = (read_still(store.folder / name) for name in store.images())
        selector.remember([np.asarray(crop, np.uint8) for crop in stored if crop is not None])
        try:
            for planned in plan:
                _record(store, selector, planned, topic, guide, asdict(chosen), report)
        except KeyboardInterrupt:
            report.interrupted = True
        report.several = selector.several
        report.total = store.counts()
        report.sheets = write_overview(store)
    return report


def _planned(source: str, spans: Sequence[Span], label: str | None, guide: Guide | None) -> Planned:
    """Find out where the labels of a source come from."""
    path = Path(source)
    webcam = source.isdigit() or source.startswith("/dev/")
    if not webcam and source != DEMO_SOURCE and not path.exists():
        raise SourceError(f"{source}: no such file or folder")
    name = f"webcam {source}" if webcam else path.name or path.resolve().name
    if label is not None:
        return Planned(name, ((source, label),))
    if spans:
        mine = spans_of(spans, path)
        if not mine:
            named = ", ".join(sorted({span.file for span in spans}))
            raise DataError(f"{source}: no labelled span; the table has spans of {named}")
        return Planned(name, ((source, tuple(mine)),))
    folders = [folder for folder in CLASSES if (path / folder).is_dir()]
    if folders:
        return Planned(
            name,
            tuple((str(path / f), f) for f in folders if any((path / f).iterdir())),
        )
    if guide is not None:
        return Planned(name, ((source, None),))
    raise DataError(
        f"{source}: what do its frames show? Give --labels CSV with spans, or --label CLASS,"
        " or --prompts to be asked"
    )


def _record(
    store: PatientStore, selector: FaceSelector, planned: Planned, topic: str | None,
    guide: Guide | None, settings: dict[str, object], report: CaptureReport,
) -> None:  # fmt: skip
    kept, verdicts, skipped = Counter(report.kept), Counter(report.verdicts), report.skipped
    begun = complete = False
    try:
        for piece, labels in planned.pieces:
            path = Path(piece)
            with open_bag(path, topic) if is_bag(path) else open_any_source(piece) as source:
                if not begun:
                    report.recordings.append(store.begin(planned.name, {"settings": settings}))
                    begun = True
                try:
                    if labels is None:
                        assert guide is not None
                        _guided(store, selector, source, guide, report)
                    else:
                        _labelled(store, selector, source, labels, report)
                except SourceError as error:  # after its last good frame
                    _log.warning("%s", error)
                    report.problems.append(str(error))
        complete = True
    finally:
        if begun:
            counts = {v.value: n for v, n in (report.verdicts - verdicts).items()}
            about = {
                "complete": complete,
                "kept": {name: report.kept[name] - kept[name] for name in CLASSES},
                "frames": counts,
                "frames_without_label": report.skipped - skipped,
            }
            # Where the disk is full that is told already; the images are what counts.
            with contextlib.suppress(DiskFullError):
                store.finish(about)


def _guided(
    store: PatientStore, selector: FaceSelector, source: FrameSource, guide: Guide,
    report: CaptureReport,
) -> None:  # fmt: skip
    for take in guide.takes(source, selector):
        report.verdicts += take.verdicts
        for time, crop in take.crops:
            store.add(crop, take.valence, time)
            report.kept[take.valence] += 1


def _labelled(
    store: PatientStore, selector: FaceSelector, source: FrameSource,
    labels: tuple[Span, ...] | str, report: CaptureReport,
) -> None:  # fmt: skip
    console = Console(stderr=True)
    for frame in track(
        source, description=Path(source.name).name, total=source.frame_count, console=console,
        transient=True, disable=not console.is_terminal,
    ):  # fmt: skip
        valence = labels if isinstance(labels, str) else label_at(labels, frame)
        if valence is None:
            report.skipped += 1
            continue
        crop, verdict = selector.select(frame.image)
        report.verdicts[verdict] += 1
        if crop is not None:
            store.add(crop, valence, frame.time)
            report.kept[valence] += 1

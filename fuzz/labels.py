# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Label files: those of data sets, labelled spans, FER's tables, what capture and training keep."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from emotion_perception.image.source import Frame
from emotion_perception.training.capture_spans import label_at, read_spans, spans_of
from emotion_perception.training.capture_store import read_labels
from emotion_perception.training.faces import DataError
from emotion_perception.training.fer import load_fer
from emotion_perception.training.fer_csv import TILE, VOTE_COLUMNS
from emotion_perception.training.metrics import learning_curves
from emotion_perception.training.source_kinds import ADAPTERS, detect_kind
from fuzz.hostile import csv_bombs
from fuzz.reader import Reader, block
from fuzz.target import Target

# file, folders that must be there, kind of the set, header, a row
_FORMS: tuple[tuple[str, tuple[str, ...], str, bytes, bytes], ...] = (
    ("labels.csv", ("images",), "imfdb", b"file,person,movie,valence,age",
     b"a.jpg,P1,M,positive,old"),
    ("labels.csv", ("positive",), "folders", b"file,valence,emotion,recording",
     b"a.jpg,negative,fear,r"),
    ("basic/EmoLabel/list_patition_label.txt", ("basic/Image/aligned",), "raf-db",
     b"train_00001.jpg 5", b"test_0001.jpg 1"),
    ("train_labels.csv", (), "raf-db", b"image,label", b"train_1.jpg,3"),
    ("label.lst", ("Images",), "expw", b"a.jpg 0 10 10 50 60 99.5 3", b"b.jpg 1 1 2 3 4 5 6"),
    ("training.csv", ("images",), "affectnet",
     b"subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,"
     b"valence,arousal", b"1/a.jpg,1,2,30,40,1;2,1,0.5,0.5"),
    ("labels.csv", ("happy", "sad"), "affectnet", b"pth,label", b"happy/a.jpg,happy"),
    ("train_set/annotations/1_exp.npy", ("train_set/images",), "affectnet", b"", b""),
)  # fmt: skip


def _labels(data: bytes, scratch: Path) -> None:
    """The label file of each kind of data set; and those of capture and of training's log."""
    reader = Reader(data)
    choice, content = reader.byte() % (len(_FORMS) + 2), reader.rest()
    if choice >= len(_FORMS):
        path = scratch / "table.csv"
        path.write_bytes(content)
        (read_labels if choice == len(_FORMS) else learning_curves)(path)
        return
    name, folders, kind, _, _ = _FORMS[choice]
    for folder in folders:
        (scratch / folder).mkdir(parents=True, exist_ok=True)
    for folder in ("1", "images/1", "train_set/images"):
        (scratch / folder).mkdir(parents=True, exist_ok=True)
        (scratch / folder / ("1.jpg" if "set" in folder else "a.jpg")).write_bytes(b"")
    path = scratch / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    detect_kind(scratch)
    adapter = ADAPTERS[kind]
    for split in adapter.splits(scratch):
        for entry in adapter.entries(scratch, split):
            assert scratch in entry.path.parents, entry.path
            assert -1 <= entry.valence <= 2, entry.valence
            _ = entry.path.is_file()


def _labels_seeds() -> Iterator[bytes]:
    import io

    for index, (name, _, _, header, row) in enumerate(_FORMS):
        if not name.endswith(".npy"):
            yield from (bytes([index]) + text for text in csv_bombs(header, row))
    index = len(_FORMS) - 1
    for value in (np.array("3"), np.array(3), np.array([3, 4]), np.array(np.nan), np.array(1e300),
                  np.array(3 + 0j), np.array(b"3"), np.array("x" * 3000)):  # fmt: skip
        made = io.BytesIO()
        np.save(made, value)
        yield bytes([index]) + made.getvalue()
    header = b"file,recording,person,valence,time"
    yield from (bytes([index + 1]) + t for t in csv_bombs(header, b"a.jpg,r,P1,positive,1.5"))
    yield from (bytes([index + 2]) + t for t in csv_bombs(b"epoch,step,loss", b"1,2,0.5"))


def _spans(data: bytes, scratch: Path) -> None:
    """Labelled spans of recordings."""
    path = scratch / "spans.csv"
    path.write_bytes(data)
    spans = read_spans(path)
    frame = Frame(3, 0.5, np.zeros((1, 1, 3), np.uint8))
    label_at(spans_of(spans, Path("/x/monday.mp4")), frame)


def _spans_seeds() -> Iterator[bytes]:
    for header, row in (
        (b"file,start,end,valence", b"monday.mp4,0.5,2,positive"),
        (b"video,first_frame,last_frame,emotion", b"x/monday.mp4,1,20,fear"),
        (b"path,valence", b"x\\monday.mp4,neutral"),
    ):
        yield from csv_bombs(header, row)


def _fer(data: bytes, scratch: Path) -> None:
    """FER2013 and FER+: pixels and votes, or sheets and votes."""
    reader = Reader(data)
    form = reader.byte()
    # An image has 2304 numbers: each @ stands for an image of its own, so that inputs stay small.
    if form % 2:
        parts = reader.block().split(b"@")
        pixels = [b" ".join([b"%d" % number] * TILE**2) for number in range(min(len(parts), 9))]
        mixed = itertools.zip_longest(parts[:9], pixels[: len(parts) - 1], fillvalue=b"")
        (scratch / "fer2013.csv").write_bytes(b"".join(itertools.chain(*mixed)))
        (scratch / "fer2013new.csv").write_bytes(reader.rest())
    else:
        (scratch / "labels.csv").write_bytes(reader.rest())
        (scratch / "sheets").mkdir()
        (scratch / "sheets" / "sheet_000.png").write_bytes(_sheet())
    for split in ("train", "test"):
        load_fer(scratch, split)


def _sheet(made: list[bytes] = []) -> bytes:  # noqa: B006 - made once
    if not made:
        side = 32 * TILE
        made.append(cv2.imencode(".png", np.zeros((side, side), np.uint8))[1].tobytes())
    return made[0]


def _fer_seeds() -> Iterator[bytes]:
    names = ",".join(VOTE_COLUMNS).encode()
    votes = b"4,0,0,1,3,2,0,0,0,0"
    pictures = b"emotion,pixels,Usage\n0,@,Training\n1,@,PublicTest\n2,@,PrivateTest\n"
    told = b"Usage,Image name," + names
    rows = b"".join(
        b"%s,fer%d.png,%s\n" % (usage, number, votes)
        for number, usage in enumerate((b"Training", b"PublicTest", b"PrivateTest"))
    )
    yield b"\1" + block(pictures) + told + b"\n" + rows
    for text in csv_bombs(told, b"Training,fer1.png," + votes):
        yield b"\1" + block(pictures) + text
    for text in csv_bombs(b"emotion,pixels,Usage", b"0,@,Training"):
        if len(text) < 1 << 15:
            yield b"\1" + block(text) + told + b"\n" + rows
    for usage in (b"Training", b"PrivateTest"):
        header = b"index,row,usage,unique_keep," + names
        yield from (b"\0" + t for t in csv_bombs(header, b"5,7," + usage + b",1," + votes))


TARGETS = (
    Target(name="labels", read=_labels, allowed=(DataError,), seeds=_labels_seeds),
    Target(name="spans", read=_spans, allowed=(DataError,), seeds=_spans_seeds),
    Target(name="fer-csv", read=_fer, allowed=(DataError,), seeds=_fer_seeds),
)

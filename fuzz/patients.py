# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A patient's files: enrolment, consent and which model is in use."""

from __future__ import annotations

import datetime
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emotion_perception.faces.enrolment import (
    Enrolment,
    load_enrolment,
    make_key,
    read_key,
    save_enrolment,
)
from emotion_perception.faces.model_files import ModelError
from emotion_perception.training.consent import Consent, read_consents, record_consent
from emotion_perception.training.faces import DataError
from emotion_perception.training.registry import find_patient_model, read_current
from fuzz.hostile import json_bombs
from fuzz.reader import Reader, block
from fuzz.target import Target

_PERSON = "P-1"
_KEY = b"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
_TODAY = datetime.date(2026, 11, 21)


def _enrolment(data: bytes, scratch: Path) -> None:
    """An enrolment: the encrypted file, what is inside of it, its two arrays, or the key file."""
    from cryptography.fernet import Fernet

    reader = Reader(data)
    kind = reader.byte() % 4
    path = scratch / "enrolment.bin"
    if kind == 3:
        path.write_bytes(reader.rest())
        path.chmod(0o600)
        read_key(path)
        return
    if kind == 0:
        token = reader.rest()
    else:
        plain = reader.rest() if kind == 1 else _zipped(reader.block(), reader.rest())
        token = Fernet(_KEY).encrypt(plain)
    path.write_bytes(token)
    found = load_enrolment(path, _KEY)
    assert np.isfinite(found.likeness(found.embeddings[0]))


def _enrolment_seeds() -> Iterator[bytes]:
    import tempfile

    from cryptography.fernet import Fernet

    vectors = np.eye(2, 4, dtype=np.float32)
    enrolment = Enrolment(_PERSON, vectors, "face-identity-1+0", "2026-11-20T10:00:00+00:00", 0.5)
    with tempfile.TemporaryDirectory() as folder:
        save_enrolment(Path(folder) / "e", enrolment, _KEY)
        token = (Path(folder) / "e").read_bytes()
        key = make_key(Path(folder) / "k")
    yield b"\0" + token
    yield b"\1" + Fernet(_KEY).decrypt(token)
    about = {"format": 1, "patient": _PERSON, "model_id": "m", "created": "c", "threshold": 0.5}
    for told in (
        json.dumps(about).encode(), *json_bombs(),
        *(json.dumps({**about, name: odd}).encode() for name in about
          for odd in (10**400, float("nan"), [], None, "x" * 3000)),
    ):  # fmt: skip
        if len(told) < 1 << 15:
            yield b"\2" + block(_array(np.frombuffer(told or b"\0", np.uint8))) + _array(vectors)
    text = block(_array(np.frombuffer(json.dumps(about).encode(), np.uint8)))
    for odd in (np.zeros((0, 4), np.float32), np.full((2, 4), np.nan, np.float32),
                np.array("x"), np.zeros((2, 4), complex), np.eye(4)[None], vectors.astype(">f8"),
                np.zeros(2, [("a", "f4")])):  # fmt: skip
        yield b"\2" + text + _array(odd)
    yield b"\2" + text + _array(vectors).replace(b"(2, 4)", b"(2, 9**9)")
    yield b"\2" + text + _array(vectors).replace(b"(2, 4), ", b"(99999999999, 4), ")
    yield b"\3" + key + b"\n"


def _array(values: np.ndarray) -> bytes:
    made = io.BytesIO()
    np.save(made, values)
    return made.getvalue()


def _zipped(about: bytes, embeddings: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("about.npy", about)
        archive.writestr("embeddings.npy", embeddings)
    return made.getvalue()


def _consent(data: bytes, scratch: Path) -> None:
    """The record of a person's consents."""
    folder = scratch / _PERSON
    folder.mkdir()
    (folder / "consent.json").write_bytes(data)
    for consent in read_consents(scratch, _PERSON):
        consent.objection(_TODAY)


def _consent_seeds() -> Iterator[bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for _ in range(2):
            consent = Consent(given_by="patient", given=_TODAY, purpose="p", recorded_by="r",
                              expires=_TODAY, keep_until=_TODAY)  # fmt: skip
            path = record_consent(Path(folder), _PERSON, consent, _TODAY)
        good = path.read_bytes()
    yield good
    yield from json_bombs()
    record = json.loads(good)
    for name in record["consents"][0]:
        for odd in (7, 1e999, None, [], {}, "x" * 300, "2026-13-01", "a\0b", True, 10**400):
            yield json.dumps(
                {**record, "consents": [{**record["consents"][0], name: odd}]}
            ).encode()
    for odd in (7, None, [7], ["x"], [[]], [{}], [{"x": 1}], {"a": 1}):
        yield json.dumps({**record, "consents": odd}).encode()


def _registry(data: bytes, scratch: Path) -> None:
    """Which of a patient's models is in use."""
    folder = scratch / _PERSON
    (folder / "0001").mkdir(parents=True)
    (folder / "current.json").write_bytes(data)
    read_current(scratch, _PERSON)
    assert find_patient_model(_PERSON, scratch) == folder / "0001"


def _registry_seeds() -> Iterator[bytes]:
    good = {"version": "0001", "before": [], "log": [{"at": "x", "action": "y", "version": None}]}
    yield json.dumps(good).encode()
    yield from json_bombs()
    for name in good:
        for odd in (7, None, [], ["0001"], [7], [[]], {}, "x", "0002", "\u0661\u0661\u0661\u0661",
                    "9" * 9, "0001\n", "../x", [{}], True):  # fmt: skip
            yield json.dumps({**good, name: odd}).encode()


TARGETS = (
    Target(name="enrolment", read=_enrolment, allowed=(ModelError,), seeds=_enrolment_seeds),
    Target(name="consent", read=_consent, allowed=(DataError,), seeds=_consent_seeds),
    Target(name="registry", read=_registry, allowed=(ModelError,), seeds=_registry_seeds),
)

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A patient's enrolled faces, on disk only in encrypted form.

The file is a Fernet token (AES-128-CBC with HMAC-SHA256; see the ``cryptography`` package): without
the key nobody learns anything from it, and a changed byte is noticed. The key lies in a file of its
own that only its owner can read, best on another device than the enrolment.
"""

from __future__ import annotations

import io
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.model_files import ModelError
from emotion_perception.limited_arrays import read_arrays
from emotion_perception.limited_files import parse_json, read_bytes

ENROLMENT_FILE: Final = "enrolment.bin"
"""Its name in the patient's folder of the registry."""

_FORMAT: Final = 1
_TOP: Final = 3
_UNLIKE: Final = 0.35
"""With 12 images of one person and 3 of another (CMU faces, one camera), this left out 96 % of the
other's and 10 % of the person's own; 0.2 left out 68 % and 2 %."""
_SIZE_LIMIT: Final = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Enrolment:
    """Whom the robot is to recognise.

    Attributes:
        patient: pseudonym.
        embeddings: float32 (K, D) of length 1, as FaceIdentity.embed gives them.
        model_id: of the network that made them.
        created: when, ISO 8601 with its time zone.
        threshold: the likeness from which on a face is taken for the patient's.
    """

    patient: str
    embeddings: NDArray[np.float32]
    model_id: str
    created: str
    threshold: float

    def __post_init__(self) -> None:
        vectors = self.embeddings
        if vectors.ndim != 2 or not len(vectors) or not np.isfinite(vectors).all():
            raise ValueError(f"Enrolment.embeddings: expected finite (K, D), got {vectors.shape}")
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
            raise ValueError("Enrolment.embeddings: expected vectors of length 1")
        if not -1 <= self.threshold <= 1:
            raise ValueError(f"Enrolment.threshold: expected -1 to 1, got {self.threshold}")

    def likeness(self, embedding: NDArray[np.float32]) -> float:
        """Return how alike a face is to the patient's, -1 to 1.

        It is the mean of the similarities to the three most similar enrolled faces: on films the
        best one alone told people apart less well (see docs/enrolment.md).

        Args:
            embedding: float32 (D,) of length 1, by the same model.
        """
        found = np.sort(self.embeddings @ np.asarray(embedding, np.float32))[-_TOP:]
        return float(found.mean())


def make_key(path: Path) -> bytes:
    """Write a new key into a file that only its owner can read; an existing file stays.

    Raises:
        FileExistsError: if there is a file.
    """
    key: bytes = _fernet().Fernet.generate_key()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(key + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def read_key(path: Path) -> bytes:
    """Return the key in a file.

    Raises:
        ModelError: if it is missing, can be read by others, or holds no key.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            text = file.read(4096)
    except OSError as error:
        raise ModelError(
            f"{path}: cannot read the key ({error.strerror}); without it the enrolment cannot be"
            " read: find the key file, or enrol again"
        ) from error
    if mode & 0o077:
        raise ModelError(
            f"{path}: others can read this key (mode {mode:04o}); run: chmod 600 {path}, and enrol"
            " again with a new key if somebody may have copied it"
        )
    key = text.strip()
    try:
        _fernet().Fernet(key)
    except ValueError as error:
        raise ModelError(
            f"{path}: holds no key; expected one line of 44 characters, as emotion-perception enrol"
            " writes it"
        ) from error
    return key


def save_enrolment(path: Path, enrolment: Enrolment, key: bytes) -> None:
    """Encrypt an enrolment and write it, so that nobody but its owner ever reads it.

    Args:
        path: the file; an older one is replaced as a whole.
        enrolment: what to store.
        key: as make_key and read_key give it.
    """
    about = {
        "format": _FORMAT,
        "patient": enrolment.patient,
        "model_id": enrolment.model_id,
        "created": enrolment.created,
        "threshold": enrolment.threshold,
    }
    plain = io.BytesIO()
    # The text goes in as numbers, so that nothing needs pickle.
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(plain, about=text, embeddings=enrolment.embeddings.astype(np.float32))
    token: bytes = _fernet().Fernet(key).encrypt(plain.getvalue())
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(token)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def load_enrolment(
    path: Path, key: bytes, *, patient: str | None = None, model_id: str | None = None
) -> Enrolment:
    """Read and decrypt an enrolment.

    Args:
        path: the file.
        key: the key it was written with.
        patient: whose it must be; None: anybody's.
        model_id: of the network in use, whose embeddings it must hold; None: any.

    Raises:
        ModelError: if the file is missing, was written with another key, is damaged, is another
            patient's, or was made by another network; says what to do.
    """
    fernet = _fernet()
    again = "enrol again with emotion-perception enrol"
    try:
        token = read_bytes(path, _SIZE_LIMIT)
    except ValueError as error:
        raise ModelError(f"{path}: {error}; {again}") from error
    except OSError as error:
        raise ModelError(
            f"{path}: cannot read the enrolment ({error.strerror}); {again}"
        ) from error
    try:
        plain = fernet.Fernet(key).decrypt(token)
    except (fernet.InvalidToken, ValueError) as error:
        raise ModelError(
            f"{path}: cannot be decrypted: another key, or the file is damaged; check"
            f" the key file, or {again}"
        ) from error
    try:
        stored = read_arrays(io.BytesIO(plain), most=_SIZE_LIMIT)
        about = parse_json(stored["about"].tobytes())
        embeddings = stored["embeddings"]
        if about["format"] != _FORMAT:
            raise ValueError(f"format {about['format']} is not {_FORMAT}")
        enrolment = Enrolment(
            patient=str(about["patient"]),
            embeddings=np.asarray(embeddings, np.float32),
            model_id=str(about["model_id"]),
            created=str(about["created"]),
            threshold=float(about["threshold"]),
        )
    except Exception as error:  # NumPy's reader raises many kinds
        raise ModelError(f"{path}: not a usable enrolment ({error}); {again}") from error
    if patient is not None and enrolment.patient != patient:
        raise ModelError(f"{path}: is of {enrolment.patient}, not of {patient}; {again}")
    if model_id is not None and enrolment.model_id != model_id:
        raise ModelError(
            f"{path}: was made with the model {enrolment.model_id}, in use is {model_id}; {again}"
        )
    return enrolment


@dataclass(frozen=True, eq=False)
class Choice:
    """Which of a person's faces are enrolled.

    Attributes:
        chosen: int64 (K,), the first is the most typical one, each further one the least like
            those before it.
        unlike: int64, those left out as unlike the rest: another person, or a bad image.
        likeness: mean similarity of two faces that were not left out.
        recognised: share of these that the others among them would recognise.
    """

    chosen: NDArray[np.int64]
    unlike: NDArray[np.int64]
    likeness: float
    recognised: float


def choose_faces(embeddings: NDArray[np.float32], threshold: float, most: int = 20) -> Choice:
    """Choose faces that are of one person and show as much of its variety as possible.

    The most typical face and the half of all that is most like it are taken to be the person; a
    face is left out when its mean similarity to these is below _UNLIKE. A second person on fewer
    images cannot vouch for himself.

    Args:
        embeddings: float32 (N, D) of length 1.
        threshold: the likeness from which on a face is recognised.
        most: faces to choose, at most.
    """
    count = len(embeddings)
    if count == 1:
        return Choice(np.arange(1), np.arange(0), 1.0, 1.0)
    similar = np.asarray(embeddings @ embeddings.T, np.float64)
    alone = np.eye(count, dtype=bool)
    typical = int(np.nanmedian(np.where(alone, np.nan, similar), axis=1).argmax())
    person = np.argsort(np.where(alone, np.inf, similar)[typical])[::-1][: (count + 1) // 2]
    to_person = np.nanmean(np.where(alone, np.nan, similar)[:, person], axis=1)
    kept, unlike = np.flatnonzero(to_person >= _UNLIKE), np.flatnonzero(to_person < _UNLIKE)
    if len(kept) < 2:
        return Choice(kept, unlike, 1.0, 0.0)
    among = similar[np.ix_(kept, kept)]
    chosen = [int(to_person[kept].argmax())]
    while len(chosen) < min(most, len(kept)):
        nearest = among[chosen].max(axis=0)
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    off = ~np.eye(len(kept), dtype=bool)
    top = np.sort(np.where(off, among, np.nan), axis=1)  # NaN comes last
    top = top[:, max(0, len(kept) - 1 - _TOP) : len(kept) - 1].mean(axis=1)
    return Choice(
        chosen=kept[chosen].astype(np.int64),
        unlike=unlike.astype(np.int64),
        likeness=float(among[off].mean()),
        recognised=float((top >= threshold).mean()),
    )


def _fernet() -> ModuleType:
    """Import what encrypts: only those who enrol need it."""
    try:
        from cryptography import fernet
    except ImportError as error:
        raise ModelError(
            "an enrolment is stored encrypted, which needs a package that is not here:"
            " pip install cryptography"
        ) from error
    return fernet

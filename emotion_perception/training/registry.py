# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Patients' models on disk: numbered versions that never change, and which of them is in use.

    ROOT/PATIENT/0001/         a checkpoint folder, with the held-out answers it was judged by
    ROOT/PATIENT/0002/
    ROOT/PATIENT/current.json  the promoted version, those before it, and what was done when

A version is built beside its place and renamed, its files are read-only and bound by the hashes of
its card. ``current.json`` is replaced as a whole, so that a killed process leaves the old or the
new state; a file and not a symbolic link, because it also carries the way back. Needs no torch:
the robot looks up its patient here.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from emotion_perception.faces.model_files import ModelError, read_card, sha256_of
from emotion_perception.limited_files import read_json
from emotion_perception.training.faces import DataError
from emotion_perception.training.patients import (
    check_pseudonym,
    make_private,
    patient_folder,
    write_private,
)
from emotion_perception.training.promotion import decide_again
from emotion_perception.valence.checkpoint import (
    CARD_FILE,
    Checkpoint,
    load_checkpoint,
    write_atomically,
)

PATIENTS_VARIABLE: Final = "EMOTION_PERCEPTION_PATIENTS"
"""Environment variable with the folder of all patients' models."""

CURRENT_FILE: Final = "current.json"

_VERSION = re.compile(r"\d{4,9}")


class RefusedError(ModelError):
    """A model may not be promoted; the message says why."""


@dataclass(frozen=True)
class Current:
    """Which version of a patient is in use.

    Attributes:
        version: the promoted one; None where the base is used.
        before: those promoted before it, the latest last; rollback takes that one.
        log: what was done, oldest first: ``at`` (UTC), ``action``, ``version``.
    """

    version: str | None = None
    before: tuple[str, ...] = ()
    log: tuple[dict[str, Any], ...] = ()


def patients_root(chosen: Path | None = None) -> Path:
    """Return the folder of all patients' models.

    It is ``chosen``, else ``$EMOTION_PERCEPTION_PATIENTS``, else
    ``$XDG_DATA_HOME/emotion_perception/models/patients`` (``~/.local/share/...``): outside every
    checkout, so that nothing of a patient is ever committed.
    """
    if chosen is not None:
        return chosen.expanduser()
    if told := os.environ.get(PATIENTS_VARIABLE):
        return Path(told).expanduser()
    base = os.environ.get("XDG_DATA_HOME", "")
    home = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "share"
    return home / "emotion_perception" / "models" / "patients"


def patients(root: Path) -> list[str]:
    """Return the pseudonyms that have a folder, sorted."""
    if not root.is_dir():
        return []
    return sorted(path.name for path in root.iterdir() if path.is_dir() and _is_patient(path.name))


def versions(root: Path, patient: str) -> list[str]:
    """Return a patient's versions, oldest first."""
    folder = patient_folder(root, patient)
    if not folder.is_dir():
        return []
    found = [path.name for path in folder.iterdir() if _VERSION.fullmatch(path.name)]
    return sorted(found, key=int)


def load_version(root: Path, patient: str, version: str) -> Checkpoint:
    """Read one version and check every file of it.

    Raises:
        ModelError: if there is no such version, it is damaged, or is another patient's.
    """
    known = versions(root, patient)
    if version not in known:
        there = ", ".join(known) or "none"
        raise ModelError(f"{patient}: no version {version!r} in {root} (there: {there})")
    checkpoint = load_checkpoint(root / patient / version)
    owner = checkpoint.training.get("patient")
    if owner != patient or checkpoint.version != version:
        raise ModelError(
            f"{checkpoint.directory}: the card is of {owner!r}, version {checkpoint.version!r}; "
            f"the folder was moved or exchanged"
        )
    return checkpoint


def publish(root: Path, patient: str, staged: Path) -> Path:
    """Make a finished checkpoint folder the patient's next version.

    Args:
        root: of the registry.
        patient: pseudonym.
        staged: complete folder, inside the patient's folder; it gets its number, the hashes of
            every file that lies in it, and is moved to its place.

    Returns:
        Where it is now; nothing there will ever be changed.
    """
    with locked(root, patient) as folder:
        known = versions(root, patient)
        version = f"{int(known[-1]) + 1 if known else 1:04d}"
        card = read_card(staged)
        files = sorted(path.name for path in staged.iterdir() if path.name != CARD_FILE)
        card["version"] = version
        card["files"] = {name: sha256_of(staged / name) for name in files}
        write_atomically(staged / CARD_FILE, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        load_checkpoint(staged)
        for name in (*files, CARD_FILE):
            _flush(staged / name)
            (staged / name).chmod(0o400)
        staged.chmod(0o700)
        staged.rename(folder / version)
        _flush(folder)
    return folder / version


def read_current(root: Path, patient: str) -> Current:
    """Return which version is in use; of a patient without a promoted one, an empty Current.

    Raises:
        ModelError: if the file is damaged.
    """
    path = patient_folder(root, patient) / CURRENT_FILE
    try:
        found = read_json(path)
    except FileNotFoundError:
        return Current()
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read ({error})") from error
    state: dict[str, Any] = found if isinstance(found, dict) else {}
    version, before, log = state.get("version", 0), state.get("before"), state.get("log")
    if (
        not (version is None or _is_version(version))
        or not (isinstance(before, list) and all(map(_is_version, before)))
        or not (isinstance(log, list) and all(isinstance(entry, dict) for entry in log))
    ):
        raise ModelError(f"{path}: expected version, before and log, got {found!r}")
    return Current(version, tuple(before), tuple(log))


def promote(root: Path, patient: str, version: str) -> tuple[str, ...]:
    """Put a version to use, if its held-out answers show that it deserves it.

    Returns:
        What speaks for it, in plain words.

    Raises:
        RefusedError: if it is not better than the base or forgets too much; nothing is changed.
        ModelError: if the version is missing or damaged.
    """
    with locked(root, patient):
        decision = decide_again(load_version(root, patient, version))
        if not decision.allowed:
            raise RefusedError(
                f"{patient} {version} is not promoted: {'; '.join(decision.reasons)}"
            )
        current = read_current(root, patient)
        if current.version == version:
            raise ModelError(f"{patient}: version {version} is in use already")
        before = (*current.before, current.version) if current.version else current.before
        _write(root, patient, replace(current, version=version, before=before), "promote")
    return decision.reasons


def rollback(root: Path, patient: str) -> str | None:
    """Go back to the version that was in use before, or to the base.

    Returns:
        The version that is in use now; None for the base.

    Raises:
        ModelError: if none is promoted, or the one before is missing or damaged.
    """
    with locked(root, patient):
        current = read_current(root, patient)
        if current.version is None:
            raise ModelError(f"{patient}: no version is promoted, so there is no way back")
        before = current.before[-1] if current.before else None
        if before is not None:
            load_version(root, patient, before)
        _write(
            root, patient, replace(current, version=before, before=current.before[:-1]), "rollback"
        )
    return before


def find_patient_model(patient: str, root: Path | None = None) -> Path:
    """Return the checkpoint folder of a patient's promoted model.

    Args:
        patient: pseudonym.
        root: of the registry; None: see patients_root.

    Raises:
        ModelError: if there is none: use the base then.
    """
    place = patients_root(root)
    version = read_current(place, patient).version
    if version is None:
        raise ModelError(f"{patient}: no promoted model in {place}")
    if version not in versions(place, patient):
        raise ModelError(f"{place / patient / version}: the promoted version is gone")
    return place / patient / version


def private_folder(root: Path, patient: str) -> Path:
    """Return a patient's folder, made where it is missing, that only its owner can enter.

    A registry that is made here is private too: the names of its folders are the pseudonyms.
    """
    folder = patient_folder(root, patient)
    if not root.exists():
        make_private(root)
    return make_private(folder)


@contextlib.contextmanager
def locked(root: Path, patient: str) -> Iterator[Path]:
    """Keep other processes from changing a patient's folder; yields the folder, made private.

    Raises:
        DataError: for a bad pseudonym.
    """
    folder = private_folder(root, patient)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(handle)


def _write(root: Path, patient: str, state: Current, action: str) -> None:
    entry = {
        "at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "action": action,
        "version": state.version,
    }
    path = root / patient / CURRENT_FILE
    text = json.dumps(
        {"version": state.version, "before": list(state.before), "log": [*state.log, entry]},
        indent=2,
    )
    write_private(path, text + "\n")
    _flush(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    """Bring a file or the entries of a folder to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_version(value: object) -> bool:
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None


def _is_patient(name: str) -> bool:
    try:
        return check_pseudonym(name) == name
    except DataError:
        return False

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Deleting everything of a person: images, models, logs of runs and sheets."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_perception.training.faces import DataError
from emotion_perception.training.patients import IMAGE_NAME, check_pseudonym

DELETIONS_LOG = "deletions.log"

_TEXT_SUFFIXES = frozenset({".csv", ".json", ".html", ".log", ".md", ".txt", ".yaml", ".yml"})
_TEXT_LIMIT = 64 * 2**20


@dataclass(frozen=True)
class Found:
    """What there is of a person.

    Attributes:
        folders: whole folders of that person.
        files: images of that person outside of them, such as copies in the folders of folds.
    """

    folders: tuple[Path, ...]
    files: tuple[Path, ...]

    def counts(self) -> dict[str, int]:
        """Return how many files of which kind would go."""
        every = [*self.files, *(file for folder in self.folders for file in _files(folder))]
        images = sum(IMAGE_NAME.fullmatch(file.name) is not None for file in every)
        models = sum(file.suffix in (".safetensors", ".onnx") for file in every)
        return {"images": images, "model files": models, "other": len(every) - images - models}


def find_person(person: str, data: Path, models: Path, runs: Path) -> Found:
    """Look for everything of a person.

    Args:
        person: pseudonym.
        data: folder with one folder a person; images ``person_idxNUM.jpg`` are found anywhere in
            it.
        models: registry with one folder a person.
        runs: logs of runs; folders called like the person are found anywhere in it.

    Raises:
        DataError: for a bad pseudonym, or if a symbolic link is in the place of a folder: what it
            leads to is not deleted, as it may be anything.
    """
    check_pseudonym(person)
    folders = [root / person for root in (data, models)]
    folders += [path for path in _walk(runs) if path.name == person and path not in folders]
    here: list[Path] = []
    for folder in folders:
        if folder.is_symlink():
            raise DataError(
                f"{folder}: a symbolic link to {folder.readlink()}; look what is there, delete it"
                " and the link yourself, then run this again"
            )
        # One folder may lie in another, and the same root may be given twice.
        if folder.is_dir() and not any(folder.is_relative_to(other) for other in here):
            here.append(folder)
    outside = {
        file
        for root in (data, models, runs)
        for file in _walk(root)
        if _shows(person, file) and not any(file.is_relative_to(folder) for folder in here)
    }
    return Found(tuple(here), tuple(sorted(outside)))


def forget(found: Found, person: str, data: Path, models: Path, runs: Path) -> list[Path]:
    """Delete what was found and check that nothing is left.

    A line without anything personal goes to ``deletions.log`` in the data folder.

    Returns:
        Text files under the three roots that still mention the pseudonym, such as reports on
        several people; these are for a human to decide on.

    Raises:
        DataError: the data are in use, or something could not be deleted.
    """
    counts = found.counts()
    with contextlib.ExitStack() as stack:
        # What capture and the registry hold while they write.
        for lock in (data / person / ".lock", models / person):
            if lock.exists():
                stack.enter_context(_locked(lock))
        for path in found.files:
            path.unlink()
        for folder in found.folders:
            for directory, _, _ in os.walk(folder):
                Path(directory).chmod(0o700)  # versions of models are read-only
            shutil.rmtree(folder)  # removes links themselves, never what they lead to
    left = find_person(person, data, models, runs)
    if left.folders or left.files:
        listed = ", ".join(str(path) for path in (*left.folders, *left.files)[:5])
        raise DataError(f"not everything could be deleted; left: {listed}")
    _log(data, counts, len(found.folders))
    return [path for path in mentions(person, (data, models, runs)) if path.name != DELETIONS_LOG]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise DataError(f"{path}: in use by another run; stop it first") from None
    finally:
        os.close(handle)


def mentions(person: str, roots: Sequence[Path]) -> list[Path]:
    """Return the text files under some roots that hold a pseudonym as a word of its own."""
    found = set()
    for root in roots:
        for path in _walk(root):
            if path.suffix.lower() not in _TEXT_SUFFIXES or path.is_symlink() or path.is_dir():
                continue
            try:
                if path.stat().st_size > _TEXT_LIMIT:
                    continue
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if _holds(person, text):
                found.add(path)
    return sorted(found)


def _holds(person: str, text: str) -> bool:
    at = text.find(person)
    while at >= 0:
        around = text[at - 1 : at] + text[at + len(person) : at + len(person) + 1]
        if not any(character.isalnum() for character in around):
            return True
        at = text.find(person, at + 1)
    return False


def _shows(person: str, path: Path) -> bool:
    found = IMAGE_NAME.fullmatch(path.name)
    return found is not None and found["person"] == person


def _walk(root: Path) -> Iterator[Path]:
    """Yield everything below a folder; links are not followed."""
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            yield Path(folder) / name


def _files(folder: Path) -> list[Path]:
    return [path for path in _walk(folder) if path.is_symlink() or not path.is_dir()]


def _log(data: Path, counts: dict[str, int], folders: int) -> None:
    """Note that something was deleted; not even a hash of the pseudonym, which could be guessed."""
    now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    what = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    data.mkdir(parents=True, exist_ok=True)
    with open(
        data / DELETIONS_LOG, "a", encoding="utf-8",
        opener=lambda name, flags: os.open(name, flags, 0o600),
    ) as file:  # fmt: skip
        file.write(f"{now} all data of one person: {folders} folders, {what}\n")

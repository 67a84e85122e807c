# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The pieces of a table that is being made, so that a stop loses little."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from emotion_perception.sessions.table import SUFFIX, SessionError

if TYPE_CHECKING:
    import pyarrow


@dataclass
class Parts:
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

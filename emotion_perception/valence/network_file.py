"""What an ONNX file says of itself, read without running it and without the ``onnx`` package.

Only two things are looked for: weights that lie in another file, and operators that ONNX Runtime
does not have. Both would else end in a parser's error, or in reading files that nobody verified.
The numbers are those of the fields in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emotion_perception.faces.model_files import ModelError

MOST_BYTES: Final = 1 << 30
"""The largest network that is accepted; the largest of the known ones has 0.3 GB."""

DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""Of operators that ONNX Runtime has built in."""

_Span = tuple[int, int]
# Fields that hold further nodes, graphs, attributes and tensors: {message: {field: message}}.
_INSIDE: Final = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
}  # fmt: skip


def check_network_file(path: Path) -> None:
    """Refuse a file that is no ONNX network, or one that needs more than itself.

    Raises:
        ModelError: if it cannot be read, is too large, is damaged, keeps its weights in another
            file, or has operators that are not built into ONNX Runtime.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise ModelError(f"{path}: {size / 1e9:.1f} GB; networks above 1 GB are not accepted")
        if not size:
            raise ModelError(f"{path}: the file is empty")
        with (
            path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as at,
        ):
            _check(path, at)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error


def _check(path: Path, data: mmap.mmap) -> None:
    try:
        found = {number for number, _ in _fields(data, (0, len(data)))}
        messages = list(_messages(data, "model", (0, len(data))))
    except (IndexError, RecursionError) as error:
        raise ModelError(f"{path}: not an ONNX network, or a damaged one") from error
    if 7 not in found:
        raise ModelError(f"{path}: not an ONNX network")
    own = {_text(data, span, 10) for kind, span in messages if kind == "function"}
    for kind, span in messages:
        if kind == "tensor" and any(n == 13 or (n, v) == (14, 1) for n, v in _fields(data, span)):
            raise ModelError(
                f"{path}: its weights lie in a file of their own; save it as one file "
                "(onnx.save_model with save_as_external_data=False)"
            )
        if kind == "node" and _text(data, span, 7) not in {*DOMAINS, *own}:
            raise ModelError(
                f"{path}: the operator {_text(data, span, 4)} of {_text(data, span, 7)!r} is not "
                "a standard one; export the network without it"
            )


def _messages(data: mmap.mmap, kind: str, span: _Span) -> Iterator[tuple[str, _Span]]:
    """Yield each message of a kind that matters, with where it lies; the outermost first."""
    yield kind, span
    inside = _INSIDE.get(kind, {})
    for number, value in _fields(data, span):
        if number in inside and isinstance(value, tuple):
            yield from _messages(data, inside[number], value)


def _text(data: mmap.mmap, span: _Span, wanted: int) -> str:
    for number, value in _fields(data, span):
        if number == wanted and isinstance(value, tuple):
            return data[value[0] : value[1]].decode("utf-8", errors="replace")
    return ""


def _fields(data: mmap.mmap, span: _Span) -> Iterator[tuple[int, int | _Span]]:
    """Yield number and value (an integer, or from where to where) of each field of a message.

    Raises:
        IndexError: if the bytes are no message.
    """
    at, end = span
    while at < end:
        key, at = _integer(data, at, end)
        number, kind = key >> 3, key & 7
        if not number:
            raise IndexError("field 0")
        if kind == 0:
            value, at = _integer(data, at, end)
            yield number, value
            continue
        if kind == 2:
            length, at = _integer(data, at, end)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise IndexError(f"wire type {kind}")
        if at + length > end:
            raise IndexError("beyond the end")
        yield number, (at, at + length)
        at += length


def _integer(data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """Read an integer of seven bits a byte; return it and where it ends."""
    value = shift = 0
    while True:
        if at >= end or shift > 63:
            raise IndexError("not an integer")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7

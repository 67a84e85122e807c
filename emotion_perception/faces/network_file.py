# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What an ONNX file says of itself, read without running it and without the ``onnx`` package.

A network of others may reach for other files, ask for operators that do more than calculate, or
declare tensors of terabytes. What is refused here never gets to ONNX Runtime or OpenCV. The numbers
are those of the fields in https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

from __future__ import annotations

import math
import mmap
import stat
from pathlib import Path
from typing import Final

import numpy as np

from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.network_operators import ALLOWED
from emotion_perception.faces.protobuf import Reader, Span

MOST_BYTES: Final = 1 << 30
"""The largest network that is accepted; the largest of the known ones has 0.3 GB."""

MOST_VALUES: Final = 1 << 28
"""In one tensor: 1 GB of floats."""

MOST_PIXELS: Final = 1 << 16
"""That a kernel, stride or border may have."""

# Fields that hold further nodes, graphs, attributes and tensors: {message: {field: message}}.
_INSIDE: Final = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
}  # fmt: skip

# By data_type. Others (texts, four bits, complex numbers) are no weights of such a network.
_KINDS: Final = {
    1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "u1", 10: "<f2",
    11: "<f8", 12: "<u4", 13: "<u8", 16: "<u2",
}  # fmt: skip
_RAW: Final = 9
_FIXED: Final = {4: "<f4", 10: "<f8"}  # float_data, double_data
_VARYING: Final = (5, 7, 11)  # int32_data, int64_data, uint64_data

# Operators whose output is as large as one of their inputs says, and which: the shape, or factors.
_SIZED_BY: Final = {
    "ConstantOfShape": (0,), "Expand": (1,), "Tile": (1,), "Upsample": (1,), "Resize": (2, 3),
    "Pad": (1,), "Range": (0, 1, 2), "OneHot": (1,), "AffineGrid": (1,),
}  # fmt: skip
_PIXELS: Final = ("pads", "kernel_shape", "strides", "dilations", "output_padding", "output_shape")


def check_network_file(path: Path, most_bytes: int = MOST_BYTES) -> None:
    """Refuse a file that is no ONNX network of ordinary operators, or needs more than itself.

    Sizes that are only calculated while the network runs cannot be seen here; `import_network`
    tries it with bounded memory.

    Args:
        path: of the file.
        most_bytes: that it may have.

    Raises:
        ModelError: if it cannot be read, is too large, is damaged, keeps its weights in another
            file, has operators that a network of faces does not need, or declares tensors that it
            does not hold or that are absurdly large.
    """
    try:
        told = path.stat()
        if not stat.S_ISREG(told.st_mode):
            raise ModelError(f"{path}: cannot be read (not an ordinary file)")
        if told.st_size > most_bytes:
            raise ModelError(
                f"{path}: {told.st_size / 1e6:.0f} MB; networks above {most_bytes / 1e6:.0f} MB "
                "are not accepted"
            )
        if not told.st_size:
            raise ModelError(f"{path}: the file is empty")
        with (
            path.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            try:
                _check(Reader(data), (0, len(data)))
            except (IndexError, RecursionError):
                raise ModelError("not an ONNX network, or a damaged one") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except ModelError as error:
        if str(error).startswith(str(path)):
            raise
        raise ModelError(f"{path}: {error}") from error


def _check(reader: Reader, whole: Span) -> None:
    found = reader.gathered(whole)
    if 7 not in found:
        raise ModelError("not an ONNX network")
    if 20 in found:
        raise ModelError("has instructions for training; export it for inference")
    messages = list(reader.messages("model", whole, _INSIDE))
    own = {reader.text(span, 1) for kind, span in messages if kind == "function"}
    domains = {reader.text(span, 10) for kind, span in messages if kind == "function"}
    known: dict[str, list[float]] = {}
    for kind, span in messages:
        if kind == "tensor":
            name, values = _check_tensor(reader, span)
            known[name] = values
        elif kind == "value":
            _check_value(reader, span)
        elif kind == "attribute" and reader.text(span, 1) in _PIXELS:
            numbers = reader.integers(reader.gathered(span).get(8, []), most=64)
            if any(abs(number) > MOST_PIXELS for number in numbers):
                raise ModelError(f"its attribute {reader.text(span, 1)} is {numbers[:8]} pixels")
    for kind, span in messages:
        if kind == "node":
            _check_node(reader, span, (domains, own), known)


def _check_node(
    reader: Reader, span: Span, own: tuple[set[str], set[str]], known: dict[str, list[float]]
) -> None:
    """Refuse an operator that is not allowed, or that is asked for too much at once.

    Args:
        reader: of the file.
        span: of the node.
        own: domains and names of the functions in the file, whose nodes are checked themselves.
        known: small constants by their names; those of Constant are added.
    """
    domain, operator = reader.text(span, 7), reader.text(span, 4)
    allowed = ALLOWED.get(domain, frozenset())
    if operator not in allowed and not (domain in own[0] and operator in own[1]):
        what = f"the operator {operator}" + (f" of {domain!r}" if domain else "")
        raise ModelError(
            f"{what} is not among those that a network of faces needs; export it without"
        )
    node = reader.gathered(span)
    names = reader.texts(node.get(1, []))
    if operator == "Constant":
        for attribute in reader.spans(node.get(5, [])):
            for tensor in reader.spans(reader.gathered(attribute).get(5, [])):
                known |= dict.fromkeys(
                    reader.texts(node.get(2, [])), _check_tensor(reader, tensor)[1]
                )
    for index in _SIZED_BY.get(operator, ()):
        asked = known.get(names[index], []) if index < len(names) else []
        # Of a range and a border each number counts; shapes and factors multiply.
        each = operator in ("Pad", "Range")
        many = max(map(abs, asked), default=0) if each else abs(math.prod(asked))
        if not many <= (MOST_PIXELS if operator == "Pad" else MOST_VALUES):
            raise ModelError(f"its operator {operator} asks for {many:.2g} values at once")


def _check_tensor(reader: Reader, span: Span) -> tuple[str, list[float]]:
    """Refuse a tensor that is not there, or not as large as it says.

    Returns:
        Its name, and its values if there are at most 16, else none.
    """
    tensor = reader.gathered(span)
    if 13 in tensor or 1 in tensor.get(14, []):
        raise ModelError(
            "its weights lie in a file of their own; export it with external_data=False, or save "
            "it anew as one file: onnx.save(onnx.load(FILE), NEW_FILE)"
        )
    name = reader.text(span, 8)
    what = f"the tensor {name}" if name else "a tensor"
    kind = tensor.get(2, [0])[-1]
    if isinstance(kind, tuple) or kind not in _KINDS:
        raise ModelError(f"{what} is of the kind {kind}, which no weights are")
    wanted = _values(what, reader.integers(tensor.get(1, []), most=16))
    held = 0
    values: list[float] = []
    for number, kind_of in ((_RAW, _KINDS[kind]), *_FIXED.items()):
        size = np.dtype(kind_of).itemsize
        for at, end in reader.spans(tensor.get(number, [])):
            count = (end - at) // size
            held += count
            if count <= 16:
                values += np.frombuffer(reader.bytes_of((at, at + count * size)), kind_of).tolist()
    for number in _VARYING:
        count = sum(map(reader.count, tensor.get(number, [])))
        held += count
        if 0 < count <= 16:
            values += reader.integers(tensor[number], most=16)
    if held != wanted:
        raise ModelError(f"{what} should have {wanted} values and holds {held}; it is damaged")
    return name, values


def _check_value(reader: Reader, span: Span) -> None:
    """Refuse an input or output that is no tensor of numbers, or absurdly large."""
    what = f"its input or output {reader.text(span, 1)}"
    for told in reader.spans(reader.gathered(span).get(2, [])):
        for number, value in reader.gathered(told).items():
            if number == 6:  # what the type means, in words
                continue
            if number != 1:
                raise ModelError(f"{what} is no tensor")
            for about in reader.spans(value):
                tensor = reader.gathered(about)
                if any(kind not in _KINDS for kind in tensor.get(1, [])):
                    raise ModelError(f"{what} is no tensor of numbers")
                sides: list[int] = []
                for shape in reader.spans(tensor.get(2, [])):
                    for side in reader.spans(reader.gathered(shape).get(1, [])):
                        sides += reader.integers(reader.gathered(side).get(1, []), most=1)
                # Some write -1 or 0 for a side that may vary.
                _values(what, [side for side in sides if side > 0])


def _values(what: str, shape: list[int]) -> int:
    """Return how many values a shape has.

    Raises:
        ModelError: if it is no shape, or nobody could hold them.
    """
    if any(side < 0 for side in shape) or math.prod(shape) > MOST_VALUES:
        raise ModelError(f"{what} has the shape {shape}; nothing so large is accepted")
    return math.prod(shape)

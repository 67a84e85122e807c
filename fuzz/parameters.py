# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Values of parameters, of every type that ROS has, through the declared ranges and patterns."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rclpy.parameter import Parameter

from emotion_perception.nodes.launch_arguments import launch_values
from emotion_perception.nodes.parameters import PARAMETERS, check_changes
from emotion_perception.nodes.video_source_node import VIDEO_SOURCE_PARAMETERS
from fuzz.reader import Reader, block
from fuzz.target import Target

TABLES = (PARAMETERS, VIDEO_SOURCE_PARAMETERS)


def _parameters(data: bytes, _: Path) -> None:
    """One to three values for parameters of a node, and the text of a launch argument."""
    reader = Reader(data)
    table = reader.pick(TABLES)
    configured = bool(reader.byte() & 1)
    changes = []
    for _number in range(1 + reader.byte() % 3):
        spec = reader.pick(table)
        change = Parameter(spec.name, value=_value(reader, reader.byte() % 10))
        # A node hands on no value of another type: test/ros asks a real one.
        if change.type_ == Parameter(spec.name, value=spec.default).type_:
            changes.append(change)
    result = check_changes(changes, lambda: not configured, table)
    assert result.successful == (not result.reason), result
    assert "\n" not in result.reason
    if result.successful:
        for change in changes:
            spec = next(one for one in table if one.name == change.name)
            assert spec.problem(change.value) is None
            numbers = change.value if isinstance(spec.default, list) else [change.value]
            if spec.low is not None and spec.high is not None:
                assert all(spec.low <= number <= spec.high for number in numbers), change.value
    spec = reader.pick(table)
    try:
        launch_values({spec.name: reader.text()}, table)
    except ValueError as error:
        if not str(error).startswith("launch argument "):
            raise


def _value(reader: Reader, kind: int) -> Any:
    if kind in (5, 6, 7, 8, 9):
        many = [_value(reader, kind - 5) for _ in range(reader.byte() % 5)]
        return [bytes([item % 256]) for item in map(hash, many)] if kind == 9 else many
    if kind == 0:
        return bool(reader.byte() & 1)
    if kind == 1:
        return int.from_bytes(reader.take(8), "little", signed=True)
    if kind == 2:
        return reader.double()
    if kind == 3:
        return reader.text()
    return None


def _seeds() -> Iterator[bytes]:
    numbers = (0.0, 0.5, 1.0, -1.0, math.nan, math.inf, 1e308, 5.0)
    for which, table in enumerate(TABLES):
        for index, spec in enumerate(table):
            for number in numbers:
                yield bytes([which, 0, 0, index, 2]) + struct.pack("<d", number)
            yield bytes([which, 1, 0, index, 1]) + array("q", [40]).tobytes()
            yield bytes([which, 0, 0, index, 7, 3]) + struct.pack("<3d", 0.6, 0.7, math.nan)
            yield bytes([which, 0, 0, index, 8, 2]) + block(b"front/image") + block(b"a\nb")
            yield bytes([which, 0, 0, index, 3]) + block(str(spec.default).encode())
            yield bytes([which, 0, 0, index, 0, 1, index]) + block(b"[1, 2")
            yield bytes([which, 0, 0, index, 4, index]) + block(b"{a: *b}")


TARGETS = (Target(name="parameters", read=_parameters, allowed=(), seeds=_seeds, largest=256),)

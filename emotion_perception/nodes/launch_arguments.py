# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The reaction node's parameters as launch arguments.

A launch argument is text, and it is empty unless somebody sets it: an empty one leaves the
parameter to the YAML file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from emotion_perception.nodes.parameters import PARAMETERS, Spec, Value

NOT_ARGUMENTS = frozenset({"autostart"})
"""Parameters that the launch file has an argument of its own for."""


def launch_arguments(table: Sequence[Spec] = PARAMETERS) -> Iterator[tuple[str, str, str]]:
    """Yield name, default and description of each launch argument that is a parameter."""
    for spec in table:
        if spec.name not in NOT_ARGUMENTS:
            default = "empty" if spec.default == "" else default_text(spec.default)
            text = f"{spec.description}{range_text(spec)} Unset: as in params_file ({default})."
            yield spec.name, "", text


def launch_values(
    arguments: Mapping[str, str], table: Sequence[Spec] = PARAMETERS
) -> dict[str, Value]:
    """Turn launch arguments into parameters of the right types, without the empty ones.

    Args:
        arguments: text by name; other names than the table's are ignored.
        table: the parameters.

    Raises:
        ValueError: a text is no value of its parameter; names it and what was expected.
    """
    values = {}
    for spec in table:
        text = arguments.get(spec.name, "").strip()
        if text:
            value = _parse(spec, text)
            problem = spec.problem(value)
            if problem is not None:
                raise ValueError(f"launch argument {problem}")
            values[spec.name] = value
    return values


def default_text(value: Value) -> str:
    """Write a value as YAML on one line."""
    return json.dumps(value, ensure_ascii=False)


def range_text(spec: Spec) -> str:
    """Return the range of a number as a sentence after a blank, or nothing."""
    if spec.low is None or spec.high is None:
        return ""
    return f" Range {spec.low:g} to {spec.high:g}."


def _parse(spec: Spec, text: str) -> Value:
    default = spec.default
    if isinstance(default, str):
        return text
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(default, int):
            return int(text)
        if isinstance(default, float):
            return float(text)
        words = [word.strip(" '\"") for word in text.strip("[] ").split(",")]
        return words if isinstance(default[0], str) else [float(word) for word in words]
    except (ValueError, KeyError):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}
        raise ValueError(
            f"launch argument {spec.name}: expected "
            f"{expected.get(type(default), 'numbers such as [0.5, 1.0]')}, got {text!r}"
        ) from None

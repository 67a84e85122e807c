# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The text of ``config/reaction.yaml``, made from the table of parameters.

After a change of the table:
``python -m emotion_perception.nodes.parameter_file > config/reaction.yaml``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from emotion_perception.nodes.launch_arguments import default_text, range_text
from emotion_perception.nodes.parameters import PARAMETERS, Spec

_HEAD = """\
# Parameters of the reaction node with their defaults. Written by
# `python -m emotion_perception.nodes.parameter_file` from emotion_perception/nodes/parameters.py.
# Copy the file, change what you need, and pass it on:
#   ros2 launch emotion_perception reaction.launch.py params_file:=my.yaml
#   ros2 run emotion_perception reaction_node --ros-args --params-file my.yaml
# A launch argument goes before this file; autostart is always taken from the launch argument.
/**/reaction_node:  # in every namespace
  ros__parameters:
"""


def parameter_file(table: Sequence[Spec] = PARAMETERS) -> str:
    """Return a YAML file with every parameter, its default, meaning and range."""
    blocks = []
    for spec in table:
        text = f"{spec.description}{range_text(spec)} Changes {spec.change.value}."
        comment = textwrap.fill(
            text, 100, initial_indent="    # ", subsequent_indent="    # ", break_on_hyphens=False
        )
        blocks.append(f"{comment}\n    {spec.name}: {default_text(spec.default)}\n")
    return _HEAD + "\n".join(blocks)


if __name__ == "__main__":
    print(parameter_file(), end="")

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The README's table of parameters is the node's."""

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from emotion_perception.nodes.parameters import PARAMETERS, Change

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("spec", PARAMETERS, ids=lambda spec: spec.name)
def test_every_parameter_is_described(spec):
    mark = " ¹" if spec.change is Change.LIVE else ""
    rows = [r for r in README.read_text().splitlines() if r.startswith(f"| `{spec.name}`")]
    assert len(rows) == 1
    name, default, description = (cell.strip() for cell in rows[0].strip("|").split("|", 2))
    assert name == f"`{spec.name}`{mark}"
    assert default == (f"`{spec.default}`" if spec.default != "" else "")
    assert description == spec.description


def test_the_table_names_no_other_parameter():
    text = README.read_text()
    table = text[text.index("| parameter |") :].split("\n\n")[0].splitlines()[2:]
    assert len(table) == len(PARAMETERS)

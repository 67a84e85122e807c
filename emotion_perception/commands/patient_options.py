# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Options of the commands that work on one patient's data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PersonArgument = Annotated[
    str,
    typer.Argument(
        help="Pseudonym of the patient: letters, digits, dashes, such as P-017. NEVER a name:"
        " it becomes part of every file name.",
        show_default=False,
    ),
]
PatientDataOption = Annotated[
    Path, typer.Option(help="Folder with one private folder a patient.", show_default=False)
]

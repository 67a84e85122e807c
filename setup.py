# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Adds the shipped models, and the messages of MCAP files, to what setup.cfg installs."""

from pathlib import Path

from setuptools import setup

FOLDERS = sorted({file.parent for file in Path("models").rglob("*") if file.is_file()})
FOLDERS.append(Path("msg"))

setup(
    data_files=[
        (
            f"share/emotion_perception/{folder.as_posix()}",
            [file.as_posix() for file in sorted(folder.iterdir()) if file.is_file()],
        )
        for folder in FOLDERS
    ]
)

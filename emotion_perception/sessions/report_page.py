# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A report as one HTML page: it fetches nothing, runs nothing and escapes every name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Union

import emotion_perception
from emotion_perception.sessions.report_template import MACROS, PAGE, STYLE
from emotion_perception.sessions.table import SessionError

SUFFIX: Final = ".report.html"

SESSION: Final = "session"
PATIENT: Final = "patient"


@dataclass(frozen=True)
class Picture:
    """A picture in a cell of a table.

    Attributes:
        src: a data URI.
        alt: what it shows, for those who cannot see it.
        width: pixels.
        height: pixels.
    """

    src: str
    alt: str
    width: int
    height: int


@dataclass(frozen=True)
class Table:
    """A table; the first cell of each row names it.

    Attributes:
        caption: above it.
        head: names of the columns.
        rows: texts and pictures.
        folded: if not empty, what one opens to see the table.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str | Picture]]
    folded: str = ""


@dataclass(frozen=True)
class Figure:
    """A drawing with its figures in a table behind it.

    Attributes:
        svg: as report_svg makes it, in which every text is escaped.
        caption: below it.
        table: the same in numbers.
        title: above it, where the section has several.
    """

    svg: str
    caption: str
    table: Table
    title: str = ""


@dataclass(frozen=True)
class Terms:
    """Words and what they mean."""

    terms: Sequence[tuple[str, str]]


Block = Union[Table, Figure, Terms]  # noqa: UP007 - Python 3.10 evaluates it


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    texts: Sequence[str] = ()
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes:
        kind: SESSION or PATIENT.
        title: of the page.
        about: whom and what it is about, in a line.
        short: the sentences that it begins with.
        sections: the rest.
    """

    kind: str
    title: str
    about: str
    short: Sequence[str]
    sections: Sequence[Section]

    @property
    def made_by(self) -> str:
        """Say what made the page."""
        return (
            f"Made by emotion_perception {emotion_perception.__version__}. This page is about a "
            "person's health: keep it where only those can read it whom the person allows to."
        )


def generator(kind: str) -> str:
    """Return how a page of ours says what it is."""
    return f"emotion_perception report of one {kind}"


def render(page: Page) -> str:
    """Return the HTML of a page; the same page gives the same text."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=False, lstrip_blocks=False
    )
    macros = environment.from_string(MACROS).module
    tables = vars(macros)["table"]

    def figure(found: Figure) -> Markup:
        # Ours, every text in it escaped already.
        marked = replace(found, svg=Markup(found.svg))
        return Markup(vars(macros)["figure"](marked))

    text = environment.from_string(PAGE).render(
        page=page, style=Markup(STYLE), table=tables, figure=figure, generator=generator(page.kind)
    )
    # A file name may hold bytes that are no text; they must not stop the page from being written.
    return text.encode("utf-8", "replace").decode("utf-8")


def write_page(path: Path, page: Page, *, private: bool = False) -> None:
    """Write a page; it appears whole or not at all.

    Args:
        path: of the HTML file.
        page: what to write.
        private: only the owner may read it.

    Raises:
        SessionError: another file of that name is there that is no such page.
        OSError: it cannot be written.
    """
    path = path.resolve()
    if path.exists():
        with path.open("rb") as file:
            head = file.read(2000).decode("utf-8", "replace")
        if f'content="{generator(page.kind)}"' not in head:
            raise SessionError(
                f"{path}: is no report of a {page.kind}; move it away or choose --output"
            )
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.touch(mode=0o600 if private else 0o666)
        beside.write_text(render(page), encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)

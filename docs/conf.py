# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sphinx: the documentation as a site, made by `make docs` into `site/`.

The pages are the Markdown files of the repository as they are, so that links between them hold here
and where the repository is browsed alike: the source folder is the repository's root, and README.md
the first page. Only what GitHub cannot show, the interfaces and the modules, has pages of its own
in `docs/sphinx`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# First what somebody needs who wants to use it, last what somebody needs who wants to judge it.
# A page that is named nowhere here comes under "More".
CHAPTERS = {
    "On the robot": ("behaviours", "reactions", "enrolment", "ros4hri", "networks"),
    "A model for each patient": ("capture", "finetuning"),
    "Recorded sessions": ("sessions", "events", "playback", "session_report", "review"),
    "Training and evaluation": ("training", "evaluation", "experiments", "performance"),
    "Can it be trusted?": (
        "model_card",
        "risk",
        "reliability",
        "privacy",
        "security",
        "untrusted_files",
    ),
    "Inside": ("architecture", "versioning", "tests", "fuzzing"),
}
LAST = {
    "Models": ("models/*/README",),
    "Reference": (
        "docs/sphinx/interfaces",
        "docs/sphinx/generated/commands",
        "docs/sphinx/generated/api",
    ),
    "The project": ("CONTRIBUTING", "SECURITY", "QUALITY_DECLARATION", "CHANGELOG"),
}

# In the order in which a frame travels; what is named nowhere here comes last.
MODULES = {
    "The pipeline": ("pipeline", "image", "faces", "valence", "reaction"),
    "The robot": ("nodes",),
    "The offline half": ("training", "sessions", "cli", "commands"),
}
API = """\
Python modules
==============

One folder a stage, in the order in which a frame travels; a stage imports only stages before it
(:doc:`/docs/architecture`). Most programs need :mod:`emotion_perception.pipeline` alone. What
of this is kept stable is told in :doc:`/docs/versioning`.
"""

project = "emotion_perception"
author = "the emotion_perception maintainers"
copyright = author
release = re.search(r"<version>(.+)</version>", (ROOT / "package.xml").read_text()).group(1)  # type: ignore[union-attr]
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
root_doc = "README"
include_patterns = ["*.md", "docs/**", "models/*/README.md"]
exclude_patterns = [
    ".*", "build", "install", "log", "site", "demo_output", "runs",
    "docs/sphinx/templates", "docs/sphinx/extra", "docs/sphinx/static", "**/__pycache__",
]  # fmt: skip
# Two stages may have a class of the same name; a link in a signature then leads to the first.
suppress_warnings = ["ref.python"]
templates_path = [str(ROOT / "docs" / "sphinx" / "templates")]
highlight_language = "text"

myst_heading_anchors = 4
myst_links_external_new_tab = False

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
maximum_signature_line_length = 88
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False  # the docstrings have shapes and units, and no need of more
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"emotion_perception {release}"
html_extra_path = ["sphinx/extra"]  # index.html, which leads to the first page
html_static_path = ["sphinx/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def contents() -> str:
    """Return the table of contents as MyST directives; what does not exist is left out."""
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    chapters = {
        caption: [f"docs/{name}" for name in names if name in pages]
        for caption, names in CHAPTERS.items()
    }
    named = {name for names in CHAPTERS.values() for name in names}
    chapters["More"] = [f"docs/{name}" for name in sorted(pages - named)]
    for caption, patterns in LAST.items():
        found = [path for pattern in patterns for path in sorted(ROOT.glob(f"{pattern}.*"))]
        chapters[caption] = [path.relative_to(ROOT).with_suffix("").as_posix() for path in found]
    blocks = [
        "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *entries, "```"])
        for caption, entries in chapters.items()
        if entries
    ]
    return "\n\n".join(blocks)


def _adapt(_app: Any, docname: str, source: list[str]) -> None:
    """Give the first page the contents, and take links to folders away, which have no page."""
    if docname == root_doc:
        source[0] += "\n\n" + contents() + "\n"
    here = (ROOT / docname).parent
    source[0] = re.sub(
        r"\[([^\]\n]+)\]\(([^)\s#:]+)\)",
        lambda link: link[1] if (here / link[2]).is_dir() else link[0],
        source[0],
    )


def commands() -> str:
    """Return the page of the commands and their options, from the commands themselves."""
    import typer
    from typer.cli import get_docs_for_click

    from emotion_perception.cli import app

    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="emotion-perception")
    text = get_docs_for_click(
        obj=command, ctx=context, name="emotion-perception", title="The command emotion-perception"
    )
    # The list of commands is cut after a few words, and the page has a table of contents.
    return re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n", "", text)


def modules() -> str:
    """Return the page that lists the modules."""
    named = {name for names in MODULES.values() for name in names}
    package = (ROOT / "emotion_perception").iterdir()
    others = {path.stem for path in package if path.suffix == ".py"} - named - {"__init__"}
    parts = [API]
    for caption, names in {**MODULES, "Shared": sorted(others)}.items():
        lines = "\n".join(f"   emotion_perception.{name}" for name in names)
        options = "   :toctree:\n   :recursive:"
        title = f"{caption}\n{'-' * len(caption)}"
        parts.append(f"{title}\n\n.. autosummary::\n{options}\n\n{lines}\n")
    return "\n".join(parts)


def _generate(_app: Any, _config: Any) -> None:
    """Write the pages that are made of the code, and remove those of what is there no more."""
    folder = ROOT / "docs" / "sphinx" / "generated"
    folder.mkdir(exist_ok=True)
    for name, text in (("commands.md", commands()), ("api.rst", modules())):
        file = folder / name
        if not file.is_file() or file.read_text() != text:
            file.write_text(text)
    for page in folder.glob("emotion_perception*.rst"):
        source = ROOT / page.stem.replace(".", "/")
        if not source.is_dir() and not source.with_suffix(".py").is_file():
            page.unlink()


def _fold(_app: Any, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Open the contents beside a page only where the page is.

    Whole, they are hundreds of entries on hundreds of pages, and more than a third of the time.
    """
    whole = context["toctree"]
    context["toctree"] = lambda **options: whole(**options | {"collapse": True})


def setup(app: Any) -> None:
    """Connect what is above to Sphinx."""
    app.connect("config-inited", _generate)  # before Sphinx looks for pages
    app.connect("source-read", _adapt)
    app.connect("html-page-context", _fold, priority=400)  # before the theme asks for them
    # A page that was added changes the contents, but not the file README.md.
    app.connect("env-get-outdated", lambda *_: [root_doc])

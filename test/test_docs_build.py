# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The documentation as a site: it builds without a warning, and its links lead somewhere."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here, and the modules of the nodes need it")
for needed in ("sphinx", "myst_parser", "furo", "lightning", "pyarrow"):
    pytest.importorskip(needed, reason="the site needs requirements/docs.txt and all extras")

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    """What a page links to, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.places |= {values[name] for name in ("id", "name") if values.get(name)}
        self.links += [values[name] for name in ("href", "src") if values.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built as `make docs` does from what a checkout has, warnings as errors."""
    folder = tmp_path_factory.mktemp("docs")
    source = folder / "source"
    # A copy, since pages are made in the folder, and somebody may be building there just now.
    skipped = shutil.ignore_patterns(
        ".venv", ".git", ".*cache", ".hypothesis", ".mutation*", "__pycache__", "generated", "site",
        "build", "install", "log", "runs", "results", "*.safetensors", "*.onnx", ".cov*",
    )  # fmt: skip
    shutil.copytree(ROOT, source, ignore=skipped, symlinks=True)
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".",
         folder / "site"],
        cwd=source, env={**os.environ, "PYTHONSAFEPATH": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path.read_text()) for path in site.rglob("*.html")}


def test_the_readme_is_the_first_page(site):
    assert "url=README.html" in (site / "index.html").read_text()
    text = (site / "README.html").read_text()
    assert "A social robot acts" in text
    assert "{toctree}" not in text


def test_every_page_of_the_docs_is_there_and_in_the_contents(site, pages):
    contents = {link.partition("#")[0] for link in pages[site / "README.html"].links}
    documents = [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]
    assert len(documents) > 20
    for document in documents:
        page = document.relative_to(ROOT).with_suffix(".html")
        assert (site / page).is_file()
        assert page.name == "README.html" or page.as_posix() in contents, page


def test_every_module_and_an_entry_of_it_is_there(site):
    folder = site / "docs" / "sphinx" / "generated"
    for file in (ROOT / "emotion_perception").rglob("*.py"):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        if file.name != "__init__.py":
            assert (folder / f"{module}.html").is_file(), module
    text = (folder / "emotion_perception.pipeline.html").read_text()
    assert 'id="emotion_perception.pipeline.ReactionPipeline.run"' in text
    assert "uint8 BGR (H, W, 3)" in text


def test_every_command_and_message_is_there(site):
    commands = (site / "docs" / "sphinx" / "generated" / "commands.html").read_text()
    commands = re.sub(r"<[^>]+>", "", commands)
    for name in (ROOT / "emotion_perception" / "commands").glob("*.py"):
        if name.stem not in ("__init__", "options", "patient_options"):
            assert f"emotion-perception {name.stem}" in commands
    interfaces = (site / "docs" / "sphinx" / "interfaces.html").read_text()
    for file in (*ROOT.glob("msg/*.msg"), *ROOT.glob("srv/*.srv"), *ROOT.glob("action/*.action")):
        assert f"emotion_perception/{file.parent.name}/{file.stem}" in interfaces


def test_no_link_within_the_site_is_dead(site, pages):
    dead, looked = [], 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or not (parts.path or parts.fragment):
                continue
            looked += 1
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            if target.is_dir():
                target /= "index.html"
            if not target.is_file() or (
                parts.fragment
                and target.suffix == ".html"
                and unquote(parts.fragment) not in pages[target].places
            ):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert looked > 1000
    assert dead == []


def test_nothing_comes_from_elsewhere(pages):
    """The site can be read on a robot without a network."""
    for path, page in pages.items():
        text = path.read_text()
        loaded = re.findall(
            r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="([^"]*)"', text
        )
        assert page.links
        assert not [address for address in loaded if urlsplit(address).netloc], path.name

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Every page with hostile names in it, in a real browser: nothing runs, nothing leaves."""

import csv
import http.server
import io
import threading

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")
pytest.importorskip("jinja2")

from chrome import Browser
from report_made import plan, write
from reviewing import served
from typer.testing import CliRunner

from emotion_perception import cli
from emotion_perception.sessions import csv_files
from emotion_perception.sessions.actions import (
    Action,
    actions_path,
    observe_actions,
    read_observed,
    write_observed,
)
from emotion_perception.sessions.table import read_session


class Outside(http.server.ThreadingHTTPServer):
    """Somebody else's server, which notes who asks."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
        self.asked = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def process_request(self, request, client):
        self.asked.append(client)
        super().process_request(request, client)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/owned"


@pytest.fixture(scope="module")
def outside():
    server = Outside()
    yield server
    server.shutdown()
    server.server_close()


def hostile(url):
    """Names that would run a script or fetch an address, were they not text."""
    run = f"window.owned=1;fetch('{url}')"
    return {
        "script": f"<script>{run}</script>",
        "closing": f"</title></style></textarea></script><script>{run}</script>",
        "image": f'"><img src=x onerror="{run}">',
        "picture": f"'><img src='{url}'>",
        "address": f"javascript:{run}//",
        "drawing": f'</svg><svg onload="{run}"><a xlink:href="javascript:{run}">',
        "style": f"</style><style>@import url({url});*{{background:url({url})}}",
        "template": "{{7*7}}{% for x in ().__class__.__mro__ %}{{x}}{% endfor %}${7*7}<%=7*7%>",
        "meta": f'<meta http-equiv=refresh content="0;url={url}"><base href="{url}/">',
        "frame": f'<iframe src="{url}" srcdoc="<script>{run}</script>"></iframe>',
        "comment": f"--><script>{run}</script><!--",
        "entity": f"&lt;script&gt;{run}&lt;/script&gt;&#60;script&#62;",
        "right-to-left": "\u202e\u2066gpj.exe\u2069\u200f",
        "odd": "a\x00b\nc\r\td\x1b[31m\ufeff\U0001f600\udcff",
        "formula": f"=cmd|'/C calc'!A0 =HYPERLINK(\"{url}\")",
        "long": "x" * 20_000,
    }


NAMES = sorted(hostile(""))


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


def check(browser, outside, expected):
    """Assert that the page on show did nothing but what it is for."""
    assert browser.run("return window.owned ?? null") is None
    assert browser.run("return document.querySelectorAll('iframe,base,object,embed').length") == 0
    scripts = '[href^="javascript:" i],[src^="javascript:" i],[action^="javascript:" i]'
    assert browser.run(f"return document.querySelectorAll('{scripts}').length") == 0
    assert browser.log("browser") == []  # also no script that only the policy has kept back
    asked = [url for url in browser.requests() if not url.startswith(("data:", expected))]
    assert asked == []
    assert outside.asked == []


def open_file(browser, path):
    browser.requests()
    browser.log("browser")
    browser.open(path.as_uri())
    # What is loaded late would have begun by now.
    browser.wait(lambda: browser.run("return document.readyState") == "complete")


def text_of(name):
    """What is left of a name in a file: bytes that are no text are not."""
    return name.encode("utf-8", "replace").decode()


@pytest.fixture(scope="module")
def everything(outside):
    """All hostile names in one."""
    return " ".join(name for kind, name in hostile(outside.url).items() if kind != "odd")


def test_the_browser_would_notice(browser, outside, tmp_path):
    """Else the tests below could not fail."""
    page = tmp_path / "page.html"
    for name in ("script", "image"):
        page.write_text(f'<!doctype html><p title="{hostile(outside.url)[name]}">', "utf-8")
        if name == "script":
            page.write_text(f"<!doctype html>{hostile(outside.url)[name]}", "utf-8")
        open_file(browser, page)
        browser.wait(lambda: outside.asked)
        assert browser.run("return window.owned") == 1
        outside.asked.clear()
    browser.open("about:blank")


@pytest.mark.parametrize("kind", [*NAMES, "everything"])
def test_report_of_a_session_and_of_a_patient(browser, outside, everything, tmp_path, kind):
    name = everything if kind == "everything" else hostile(outside.url)[kind]
    name = name.replace("\udcff", "")  # what JSON and Parquet cannot hold either
    table = write(
        tmp_path / "s.parquet", plan([(30, "positive"), (30, "neutral"), (20, "negative")]),
        session=name, participant=name, recording=name, started=name, detector=name,
        notes=(name,), version=name,
    )  # fmt: skip
    write_observed(
        actions_path(table),
        observe_actions(read_session(table), [Action(action_id=name, time=20.0)]),
    )
    for more in ((), ("--patient", name)):
        done = CliRunner().invoke(cli.app, ["report", str(table), *more])
        assert done.exit_code == 0, (done.output, done.exception)
    pages = sorted(tmp_path.glob("*.html"))
    assert len(pages) == 2
    for page in pages:
        open_file(browser, page)
        check(browser, outside, "file:")
        shown = browser.run("return document.body.textContent")
        assert "".join(name.split())[:500].replace("\x00", "") in "".join(shown.split()) or (
            kind in ("odd", "everything")
        )


@pytest.mark.parametrize("kind", [*NAMES, "everything"])
def test_review_page(browser, outside, everything, make_session, kind):
    pytest.importorskip("flask")
    pytest.importorskip("waitress")
    name = everything if kind == "everything" else hostile(outside.url)[kind]
    name = name.replace("\udcff", "")
    emotion = "happiness" if kind in ("odd", "everything", "long") else name
    table = make_session(
        [(2, "neutral"), (2, "positive"), (2, "neutral"), (2, "negative")], face_id=name,
        participant=name, session=name, recording=name, emotions=("anger", emotion),
    )  # fmt: skip
    with served(table) as server:
        browser.requests()
        browser.log("browser")
        browser.open(server.url)
        browser.wait(lambda: browser.text("#title").startswith("Event"))
        check(browser, outside, f"http://127.0.0.1:{server.port}/")
        browser.press("r")
        browser.wait(lambda: browser.text("#count").startswith("1 of"))
        check(browser, outside, f"http://127.0.0.1:{server.port}/")
        browser.open("about:blank")


def test_report_of_an_evaluation(browser, outside, everything, tmp_path):
    pytest.importorskip("matplotlib")
    from emotion_perception.training.evaluate import Judged
    from emotion_perception.training.faces import from_labels
    from emotion_perception.training.report import write_report

    rng = np.random.default_rng(0)
    names = [*hostile(outside.url).values(), everything]
    count = 3 * 4 * len(names)
    labels = np.arange(count) % 3
    p = rng.dirichlet((1, 1, 1), count).astype(np.float32)
    cycled = (names * 12)[:count]
    faces = from_labels(
        rng.integers(0, 256, (count, 48, 48), np.uint8), labels, files=cycled, persons=cycled,
        recordings=cycled, groups={name[:60]: cycled for name in names[:4]},
    )  # fmt: skip
    formula = hostile(outside.url)["formula"]
    models = [Judged(everything, everything, 0.5, p), Judged(formula, names[1], 0.5, p)]
    write_report(tmp_path / "r", faces, models, title=everything, data=everything, with_images=True)
    open_file(browser, tmp_path / "r" / "index.html")
    check(browser, outside, "file:")
    assert browser.run("return document.querySelectorAll('script,[onerror],[onload]').length") == 0
    for table in (tmp_path / "r").glob("*.csv"):
        text = table.read_bytes().decode("utf-8", "replace").replace("\0", "")  # for Python 3.10
        for row in csv.reader(io.StringIO(text, newline="")):
            for cell in row:
                assert not cell.startswith(("=", "@", "+", "-", "\t", "\r")) or is_number(cell)
    with (tmp_path / "r" / "summary.csv").open(newline="", encoding="utf-8") as file:
        assert f"'{formula}" in next(csv.reader(file))


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_names_in_csv_files_are_no_formulas_and_come_back(tmp_path):
    table = write(tmp_path / "s.parquet", plan([(30, "positive"), (30, "neutral")]))
    ids = ["=cmd|'/C calc'!A0", "@SUM(1)", "+1+1", "-2+3", "'quoted", "-0.5", "joke"]
    actions = [Action(action_id=name, time=5.0 + 5 * k) for k, name in enumerate(ids)]
    path = actions_path(table)
    write_observed(path, observe_actions(read_session(table), actions))
    with path.open(newline="", encoding="utf-8") as file:
        told = [row["action_id"] for row in csv.DictReader(file)]
    assert [text for text in told if text.startswith(("=", "@", "+", "-"))] == ["-0.5"]
    assert [each.action_id for each in read_observed(path)] == ids
    csv_files.write_csv(tmp_path / "x.csv", ["a", "b"], [["=1", "-1.5"], ["'=1", "'x"]])
    found = [cells for _, cells in csv_files.read_csv(tmp_path / "x.csv")]
    assert found == [{"a": "=1", "b": "-1.5"}, {"a": "'=1", "b": "'x"}]
    assert (tmp_path / "x.csv").read_text() == "a,b\n'=1,-1.5\n''=1,'x\n"

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The pages themselves: structure, contrast, hostile names, and how Chromium shows them."""

import base64
import html
import io
import json
import math
import re
import shutil
import stat
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from report_made import face, plan, write

pytest.importorskip("jinja2")

from PIL import Image
from typer.testing import CliRunner

from emotion_perception.cli import app
from emotion_perception.sessions.actions import (
    Action,
    actions_path,
    observe_actions,
    write_observed,
)
from emotion_perception.sessions.report_svg import Drawing
from emotion_perception.sessions.report_template import DARK, FILLS, LIGHT, STYLE
from emotion_perception.sessions.table import Unreadable, read_session

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> & Ünïcode ' + "x" * 120
LONG = [(40, "positive"), (60, "neutral"), (20, "negative"), (15, "unsure"), (20, "dark"),
        (25, "nobody")]  # fmt: skip
VOID = {"meta", "img", "br", "path", "rect", "circle"}
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


def report(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def run(*arguments):
    """Run the command as a user does; return its exit code and what it says."""
    found = report(*arguments)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        return 1, f"error: {found.exception}"
    return found.exit_code, found.output


class Page(HTMLParser):
    """The tags of a page, in a tree flat enough to ask."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._open = [], [], []
        self.feed(text)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes), tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes), tuple(self._open)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not {"style", "title"} & set(self._open):
            self.text.append(data)

    def all(self, *names):
        return [(tag, found) for tag, found, _ in self.tags if tag in names]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The texts of pages of all kinds."""
    folder = tmp_path_factory.mktemp("pages")
    usual = write(
        folder / "usual.parquet", plan(LONG * 2), participant="P-17", started="2026-03-01T10:00",
        unreadable=(Unreadable(3.0, 4.0, 10, "damaged frames"),), notes=("interlaced",),
    )  # fmt: skip
    actions = [Action(action_id=f"{name} action", time=t) for t, name in
               ((10.0, "first"), (50.0, "second"), (170.0, "first"), (200.0, "third"))]  # fmt: skip
    write_observed(actions_path(usual), observe_actions(read_session(usual), actions))
    hostile = write(
        folder / "hostile.parquet", plan(LONG), session=HOSTILE, participant=HOSTILE,
        recording=HOSTILE, started=HOSTILE, detector=HOSTILE, notes=(HOSTILE,),
        unreadable=(Unreadable(3.0, 4.0, -1, HOSTILE),),
    )  # fmt: skip
    write_observed(
        actions_path(hostile),
        observe_actions(read_session(hostile), [Action(action_id=HOSTILE, time=20.0)]),
    )
    write(folder / "nobody.parquet", plan([(30, "nobody")]))
    write(folder / "one frame.parquet", [[face("positive")]])
    write(folder / "empty.parquet", [])
    models = ("base", "own")
    other = face("negative", "f2", partner=False, others=("negative",), models=models, at=300)
    two = [face("positive", others=("neutral",), models=models), other]
    write(folder / "two.parquet", [two] * 300, models=models)
    rng = np.random.default_rng(0)
    kinds = ("negative", "neutral", "positive", "nobody", "dark", "unsure")
    hours = [(float(rng.uniform(2, 30)), str(rng.choice(kinds))) for _ in range(470)]
    write(folder / "hours.parquet", plan(hours, rate=5)[: 2 * 3600 * 5], rate=5.0)
    for week in range(4):
        told = {"participant": "P-17", "started": f"2026-03-{week * 7 + 1:02}T10:00"}
        write(folder / f"week {week}.parquet", plan([(60 + 5 * week, "positive"),
              (90, "neutral"), (20, "nobody")]), **told)  # fmt: skip
    tables = sorted(folder.glob("*.parquet"))
    code, said = run(*tables)
    assert code == 0, said
    code, said = run(*sorted(folder.glob("week*.parquet")), usual, "--patient", "P-17")
    assert code == 0, said
    return {path.name.removesuffix(".report.html"): path.read_text(encoding="utf-8")
            for path in folder.glob("*.report.html")}  # fmt: skip


KINDS = ("usual", "hostile", "nobody", "one frame", "empty", "two", "hours", "P-17")


@pytest.mark.parametrize("kind", KINDS)
def test_structure(pages, kind):
    page = Page(pages[kind])
    assert page.all("html")[0][1]["lang"] == "en"
    ids = [found["id"] for _, found, _ in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    named = {found["aria-labelledby"] for _, found in page.all("section")}
    assert named <= set(ids)
    headings = [tag for tag, _ in page.all("h1", "h2", "h3")]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert len(headings) > 3
    # Every picture says what it shows, and every figure has its figures in a table.
    assert all(found["role"] == "img" and found["aria-label"] for _, found in page.all("svg"))
    assert all(found["alt"] for _, found in page.all("img"))
    figures = re.findall(r"<figure>.*?</figure>", pages[kind], re.DOTALL)
    assert all("<details>" in figure and "<tbody><tr>" in figure for figure in figures)
    assert len(figures) == (0 if kind == "empty" else len(page.all("figure")))
    assert all(found.get("scope") in ("col", "row") for _, found in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    # What scrolls can be reached with the keyboard, and says what it is.
    scrolls = [found for _, found in page.all("div") if "scroll" in found.get("class", "")]
    assert all(found["tabindex"] == "0" and found["aria-label"] for found in scrolls)
    for svg in re.findall(r"<svg.*?</svg>", pages[kind], re.DOTALL):
        used = set(re.findall(r"url\(#([^)]+)\)", svg))
        assert used == set(re.findall(r'<pattern id="([^"]+)"', svg))
        assert "nan" not in svg.lower().replace("nan ", "")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_fetched_and_nothing_runs(pages, kind):
    page = Page(pages[kind])
    (policy,) = [f for _, f in page.all("meta") if f.get("http-equiv")]
    assert policy["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert not page.all("script", "link", "iframe", "object", "embed", "form", "base")
    for _, found, _ in page.tags:
        assert not [name for name in found if name.startswith("on")]
        assert found.get("src", "data:").startswith("data:")
        assert found.get("href", "#").startswith("#")
    assert not re.search(r"url\((?!#)|@import", pages[kind])


def test_hostile_names_are_text(pages):
    page = Page(pages["hostile"])
    assert not page.all("script", "img")
    assert HOSTILE in page.text[1] or any(HOSTILE in text for text in page.text)
    assert "<script" not in pages["hostile"]
    assert sum(HOSTILE in text for text in page.text) >= 5


def test_bytes_that_are_no_text_do_not_stop_it(tmp_path):
    svg = Drawing("x", 10, 10)
    svg.text(0, 0, "<b>&")
    assert "&lt;b&gt;&amp;" in svg.to_svg("wide-only", '"<i>"')
    assert "&quot;&lt;i&gt;" in svg.to_svg("wide-only", '"<i>"')


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast(pages, colours):
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # of WCAG's examples
    for text in ("ink", "muted", "accent"):
        for ground in ("paper", "soft"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    # Lines and edges of what is drawn.
    assert contrast(colours["rule"], colours["paper"]) >= 3
    assert contrast(colours["ink"], colours["paper"]) >= 7
    for name, value in colours.items():
        assert f"--{name}:{value};" in pages["usual"]
    # No text stands on a fill, and no colour is used that is not among these.
    used = set(re.findall(r"#[0-9a-f]{3,8}\b", STYLE))
    assert used <= {*LIGHT.values(), *DARK.values(), *FILLS.values(), "#1b1b1b"}


def test_states_differ_by_pattern_too(pages):
    patterns = dict(
        re.findall(r'<pattern id="shares-w-(\w+)"[^>]*>(.*?)</pattern>', pages["usual"])
    )
    assert set(patterns) == {"positive", "neutral", "negative", "unknown", "no_face"}
    assert len({re.sub(r"f-\w+", "", pattern) for pattern in patterns.values()}) == 5


def test_it_needs_no_more_for_hours(pages):
    assert len(pages["hours"]) < 600_000


def test_the_same_input_gives_the_same_bytes(tmp_path):
    rng = np.random.default_rng(0)
    kinds = ("negative", "neutral", "positive", "nobody")
    frames = plan([(float(rng.uniform(1, 8)), str(rng.choice(kinds))) for _ in range(120)])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        table = write(tmp_path / name / "s.parquet", frames, participant="P-1")
        assert run(table)[0] == 0
        assert run(table, "--patient", "P-1")[0] == 0
    page = (tmp_path / "a" / "s.report.html").read_text(encoding="utf-8")
    assert "(likely " in page.split("</section>")[0]  # there is something to draw
    for name in ("s.report.html", "P-1.report.html"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_one_that_fails_does_not_stop_the_others(tmp_path):
    good = write(tmp_path / "good.parquet", plan([(5, "positive")]))
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(good.read_bytes()[:200])
    code, said = run(bad, tmp_path / "none.parquet", good)
    assert code == 1
    assert f"error: {bad}: not a readable Parquet file" in said
    assert f"error: {tmp_path / 'none.parquet'}: no such file" in said
    assert f"Wrote {tmp_path / 'good.report.html'}" in said
    assert sorted(path.name for path in tmp_path.glob("*report*")) == ["good.report.html"]


def test_other_files_are_not_overwritten(tmp_path):
    table = write(tmp_path / "P-1.parquet", plan([(5, "positive")]), participant="P-1")
    page = tmp_path / "P-1.report.html"
    page.write_text("my notes")
    code, said = run(table)
    assert code == 1
    assert "is no report of a session; move it away or choose --output" in said
    assert page.read_text() == "my notes"
    page.unlink()
    assert run(table)[0] == 0
    assert run(table)[0] == 0  # our own is made anew
    # A session that has the name of a patient.
    code, said = run(table, "--patient", "P-1")
    assert code == 1
    assert "is no report of a patient" in said


def test_output_folder_and_name_twice(tmp_path):
    for name in ("a", "b", "out"):
        (tmp_path / name).mkdir()
    tables = [write(tmp_path / n / "s.parquet", plan([(5, "positive")])) for n in ("a", "b")]
    code, said = run(*tables, "--output", tmp_path / "out")
    assert code == 1
    assert f"{tables[1]}: another table of that name" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s.report.html"]
    code, said = run(tables[0], "--output", tmp_path / "none")
    assert (code, said) == (1, f"error: --output: {tmp_path / 'none'}: no such folder")


def test_patients_by_name(tmp_path):
    for number, who in enumerate(("P-1", "P-2", "P-1", "", "../../x", "../../y")):
        write(tmp_path / f"{number}.parquet", plan([(5, "positive")]), participant=who)
    code, said = run(*sorted(tmp_path.glob("*.parquet")), "--per-patient")
    assert code == 1
    assert "3.parquet: participant: expected a pseudonym, got nothing" in said
    assert "P-1.report.html (2 sessions)" in said
    # A pseudonym is no path, and two of them are never one.
    names = sorted(path.name for path in tmp_path.glob("*.report.html"))
    assert len(names) == 4
    assert {"P-1.report.html", "P-2.report.html"} < set(names)
    assert not list(tmp_path.parent.glob("*.report.html"))
    code, said = run(tmp_path / "0.parquet", tmp_path / "1.parquet", "--patient", "P-1")
    assert code == 1
    assert "1.parquet: participant: expected P-1, got P-2" in said
    assert "(1 session)" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--patient", "P-1", "--per-patient"], "expected one of --patient and --per-patient"),
        (["--patient", " "], "--patient: expected a pseudonym, got nothing"),
        (["--per-patient", "--with-images", "x.mp4"], "--with-images: goes with the table of one"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, options, message):
    code, said = run(write(tmp_path / "s.parquet", plan([(5, "positive")])), *options)
    assert code == 1
    assert message in said


@pytest.fixture
def filmed(tmp_path):
    """A table and its recording, in which the face is red on green."""
    import cv2

    path = tmp_path / "made.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
    frame = np.full((480, 640, 3), (0, 160, 0), np.uint8)
    frame[90:210, 90:190] = (0, 0, 200)
    for _ in range(60):
        writer.write(frame)
    writer.release()
    frames = plan([(2, "neutral"), (2, "positive"), (2, "neutral")])
    return write(tmp_path / "s.parquet", frames, recording=path.name), path


def test_faces_are_shown_only_if_asked_for(filmed):
    pytest.importorskip("av")
    table, recording = filmed
    assert run(table)[0] == 0
    page = table.with_name("s.report.html")
    assert not Page(page.read_text(encoding="utf-8")).all("img")
    code, said = run(table, "--with-images", recording)
    assert code == 0, said
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    (image,) = [found for _, found in Page(page.read_text(encoding="utf-8")).all("img")]
    assert image["alt"].startswith("Face at 0:0")
    assert image["alt"].endswith("event 1, positive")
    data = base64.b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
    picture = Image.open(io.BytesIO(data))
    assert picture.format == "JPEG"
    assert max(picture.size) == 112
    red, green, _ = np.asarray(picture.convert("RGB"))[56, 40].tolist()
    assert red > 150 > 60 > green


def test_pictures_of_another_recording_are_refused(filmed, tmp_path):
    pytest.importorskip("av")
    table, recording = filmed
    other = tmp_path / "other.avi"
    shutil.copy(recording, other)
    code, said = run(table, "--with-images", other)
    assert code == 1
    assert f"error: {other}: expected made.avi, which s.parquet was made of" in said
    code, said = run(table, "--with-images", tmp_path / "none" / "made.avi")
    assert code == 1
    assert "no such file" in said
    write(table, plan([(2, "positive")]), recording=recording.name, width=320, height=240)
    code, said = run(table, "--with-images", recording)
    assert code == 1
    assert "640x480 pixels, but" in said
    assert not table.with_name("s.report.html").exists()


def chromium(*arguments):
    """Run Chromium without a window and return what it prints."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    found = subprocess.run(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         "--virtual-time-budget=3000", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return found.stdout


_MEASURE = """
<script>addEventListener('load', () => {
  const out = [];
  for (const frame of document.querySelectorAll('iframe')) {
    const page = frame.contentDocument, width = frame.clientWidth;
    const wide = [];
    for (const one of page.querySelectorAll('main *')) {
      if (one.closest('.scroll') && !one.matches('.scroll')) continue;
      const box = one.getBoundingClientRect();
      if (!one.closest('svg') && box.right > width + 1) wide.push(one.tagName);
    }
    const shown = [...page.querySelectorAll('svg')].filter(one => one.clientWidth > 0);
    const sizes = shown.flatMap(one => [...one.querySelectorAll('text')].map(
      text => parseFloat(text.getAttribute('font-size')) * one.clientWidth
              / one.viewBox.baseVal.width));
    out.push({name: frame.title, scroll: page.documentElement.scrollWidth, width, wide,
      svgs: shown.length, smallest: sizes.length ? Math.min(...sizes) : 99,
      cut: shown.flatMap(one => [...one.querySelectorAll('text')].filter(text => {
        const box = text.getBBox();
        return box.x < -2 || box.x + box.width > one.viewBox.baseVal.width + 2;
      }).map(text => text.textContent))});
  }
  document.body.textContent = JSON.stringify(out);
});</script>"""


def test_it_fits_a_phone_and_a_desk(pages, tmp_path):
    # Whatever is folded is opened too; a page in srcdoc can be measured from outside.
    frames = [
        f'<iframe title="{kind}" style="width:{width}px;height:900px;border:0" '
        f'srcdoc="{html.escape(pages[kind].replace("<details>", "<details open>"))}"></iframe>'
        for kind in KINDS
        for width in (360, 1200)
    ]
    harness = tmp_path / "harness.html"
    harness.write_text(
        "<!doctype html><meta charset=utf-8>" + _MEASURE + "".join(frames), encoding="utf-8"
    )
    dom = chromium("--dump-dom", harness.as_uri())
    told = json.loads(html.unescape(re.search(r"\[\{.*\}\]", dom, re.DOTALL).group()))
    assert len(told) == 2 * len(KINDS)
    for found in told:
        assert found["scroll"] <= found["width"], found
        assert not found["wide"], found
        assert not found["cut"], found
        assert found["smallest"] >= 9, found
        # One of each pair of drawings is shown.
        assert found["svgs"] == pages[found["name"]].count("<svg") / 2, found


def test_it_is_drawn(pages, tmp_path):
    page = tmp_path / "page.html"
    page.write_text(pages["usual"], encoding="utf-8")
    picture = tmp_path / "page.png"
    chromium("--window-size=1200,1600", f"--screenshot={picture}", page.as_uri())
    pixels = np.asarray(Image.open(picture).convert("RGB")).reshape(-1, 3)
    for name, colour in FILLS.items():
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        assert (np.abs(pixels - np.array(rgb)).max(axis=1) < 6).sum() > 200, name


def test_it_prints(pages, tmp_path):
    for kind, most in (("usual", 8), ("P-17", 8)):
        page, paper = tmp_path / "page.html", tmp_path / "page.pdf"
        page.write_text(pages[kind], encoding="utf-8")
        chromium(f"--print-to-pdf={paper}", page.as_uri())
        count = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
        assert 2 <= count <= most


def test_a_sum_of_shares_is_the_whole(pages):
    rows = re.findall(
        r"<tr><th scope=\"row\">(positive|neutral|negative|not sure|no face)</th>"
        r"<td>([\d.]+)\u00a0%</td>",
        pages["usual"],
    )
    shares = {name: float(value) for name, value in rows[:5]}
    assert math.isclose(sum(shares.values()), 100, abs_tol=0.3)
    # 40 of 180 s, twice.
    assert shares["positive"] == 22.2

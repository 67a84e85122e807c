# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The review page in a real browser: keys, pictures, what is shown and what is stored."""

import contextlib
import itertools

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")
pytest.importorskip("flask")
pytest.importorskip("waitress")

from chrome import Browser
from reviewing import make_video, served

from emotion_perception.sessions.ratings import ratings_path, read_ratings
from emotion_perception.sessions.table import read_session

PLAN = [(2, "neutral"), (2, "positive"), (2, "neutral"), (2, "negative"), (1, "neutral")]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    pytest.importorskip("av")
    return make_video(tmp_path_factory.mktemp("video") / "v.mp4", 225)


@pytest.fixture(scope="module")
def browser():
    with Browser(width=360, height=740) as browser:
        yield browser


@pytest.fixture(autouse=True)
def no_complaints(browser):
    browser.log("browser")
    browser.requests()
    yield
    assert browser.log("browser") == []


def stored(table):
    return list(read_ratings(ratings_path(table, "R1")).values())


@contextlib.contextmanager
def opened(browser, table, what="events", **options):
    """Serve a review until the page is left."""
    with served(table, what, **options) as server:
        begin(browser, server, "Event" if what == "events" else "Frame")
        yield server
        browser.open("about:blank")


def begin(browser, server, title):
    browser.open(server.url)
    browser.wait(lambda: browser.text("#title").startswith(title))


def shown(browser, selector):
    return browser.run(
        f"const e = document.querySelector({selector!r}); return !!e && e.checkVisibility()"
    )


def test_events_by_keyboard(make_session, video, browser):
    table = make_session(PLAN)
    with opened(browser, table, recording=video) as server:
        assert browser.run("return location.href") == f"http://127.0.0.1:{server.port}/"
        assert browser.run("return document.cookie") == ""
        assert browser.text("#answers") == "The model said positive"
        assert browser.text("#count") == "0 of 2 answered"
        browser.wait(lambda: shown(browser, "#face img"))
        assert shown(browser, "#line path")
        first = browser.text("#title")

        browser.press("w")
        browser.wait(lambda: browser.text("#before").startswith("Wrong. What was it"))
        assert [(one.verdict, one.label) for one in stored(table)] == [("wrong", "")]
        browser.press("e")
        browser.wait(lambda: browser.text("#answers") == "The model said negative")
        assert [(one.verdict, one.label) for one in stored(table)] == [("wrong", "neutral")]

        browser.press("b")
        browser.wait(lambda: browser.text("#title") == first)
        assert browser.text("#before") == "Your answer: neutral (model wrong)"
        pressed = 'return document.querySelector("[aria-pressed=true]").innerText'
        assert "wrong" in browser.run(pressed)
        browser.press("r")
        browser.wait(lambda: browser.text("#answers") == "The model said negative")
        browser.press("N")  # caps lock is no obstacle
        browser.wait(lambda: shown(browser, "#end"))
        assert browser.text("#endtitle") == "All answered. Thank you!"
        assert browser.text("#count") == "2 of 2 answered"
        addresses = browser.requests()
        assert len(addresses) > 20
        assert all(one.startswith(f"http://127.0.0.1:{server.port}/") for one in addresses)
    assert [(one.verdict, one.label) for one in stored(table)] == [
        ("right", "positive"), ("right", "negative"),
    ]  # fmt: skip
    assert all(0 <= one.seconds < 60 for one in stored(table))


def test_the_pictures_move_and_play_again(make_session, video, browser):
    table = make_session(PLAN)
    with opened(browser, table, recording=video):

        def clock():
            return browser.text("#clock")

        browser.wait(lambda: clock().startswith("the frame at 0:01"))
        start = clock()
        browser.wait(lambda: clock() > start)
        browser.wait(lambda: clock() > "the frame at 0:04")
        assert browser.run('return document.querySelector("#frame img").naturalWidth') == 640
        browser.press(" ")
        browser.wait(lambda: clock() < "the frame at 0:03")


def test_blind(make_session, video, browser):
    table = make_session(PLAN)
    with opened(browser, table, blind=True, recording=video):
        page = "return document.documentElement.innerText"
        assert "The model said" not in browser.run(page)
        assert not shown(browser, '[data-key="r"]')
        assert not shown(browser, "#line")
        for key in "rwm":
            browser.press(key)  # does nothing
        assert browser.text("#count") == "0 of 2 answered"
        browser.press("n")
        browser.wait(lambda: browser.text("#count") == "1 of 2 answered")
        browser.press("b")
        browser.wait(lambda: browser.text("#before") == "Your answer: negative")
        assert "The model said" not in browser.run(page)
        browser.press("m")
        browser.wait(lambda: browser.text("#answers") == "The model said positive")
        browser.wait(lambda: browser.text("#before") == "Your answer: negative (model wrong)")
        assert [(one.blind, one.seen) for one in stored(table)] == [(True, True)]


def test_skipping_and_cannot_tell_by_buttons(make_session, browser):
    table = make_session(PLAN)
    with opened(browser, table):
        assert shown(browser, ".note")
        assert not shown(browser, "#pictures")
        first = browser.text("#title")
        click = "document.querySelector('[data-key={}]').click()"
        browser.run(click.format("s"))
        browser.wait(lambda: browser.text("#title") != first)
        browser.run(click.format("u"))
        browser.wait(lambda: browser.text("#endtitle") == "1 skipped")
        browser.press("s")
        browser.wait(lambda: shown(browser, "#item"))
        browser.wait(lambda: browser.text("#title") == first)
        browser.press("?")
        assert shown(browser, "#help")
        browser.press("?")
        assert not shown(browser, "#help")
    assert [(one.verdict, one.label) for one in stored(table)] == [("unsure", "")]


def test_tab_and_space_press_a_button(make_session, browser):
    table = make_session(PLAN)
    with opened(browser, table):
        for _ in range(20):
            browser.press("\ue004")  # tab
            if browser.run('return document.activeElement.dataset.key === "p"'):
                break
        browser.press(" ")
        browser.wait(lambda: browser.text("#count") == "1 of 2 answered")
    assert [(one.verdict, one.label) for one in stored(table)] == [("right", "positive")]


def test_frames_and_two_models(make_session, video, browser):
    table = make_session(PLAN, models=("base", "other"))
    with opened(browser, table, "frames", recording=video):
        assert "Model base said" in browser.text("#answers")
        assert "Model other said" in browser.text("#answers")
        titles = set()
        for key in itertools.islice(itertools.cycle("nep"), 5):
            titles.add(browser.text("#title"))
            before = browser.text("#count")
            browser.press(key)
            browser.wait(lambda before=before: browser.text("#count") != before)
            browser.wait(lambda titles=titles: browser.text("#title") not in titles)
        browser.wait(lambda: shown(browser, "#frame img"))
    ratings = stored(table)
    assert [one.label for one in ratings] == ["negative", "neutral", "positive", "negative",
                                              "neutral"]  # fmt: skip
    rows = read_session(table).rows.set_index("frame")
    for one in ratings:
        assert one.time_s == pytest.approx(rows.time[one.frame], abs=1e-6)


def test_names_that_look_like_code_are_shown_as_they_are(make_session, browser):
    bad = "<img src=x onerror=\"document.title='hacked'\"><b>F</b>"
    table = make_session(PLAN, face_id=bad, participant=bad, session=bad, recording=bad)
    with opened(browser, table):
        assert bad in browser.text("#title")
        assert browser.text("h1") == bad
        assert browser.run("return document.title") == "Review: " + bad
        assert browser.run('return document.querySelectorAll("img, b").length') == 0


def test_it_fits_a_phone_and_can_be_read(make_session, video, browser):
    with opened(browser, make_session(PLAN), recording=video):
        browser.wait(lambda: shown(browser, "#face img"))
        assert browser.run("return document.documentElement.scrollWidth") <= 360
        contrast = """
          const light = (text) => {
            const [r, g, b] = text.match(/[0-9.]+/g).map(Number)
              .map((v) => v / 255).map((v) => v <= .04 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
            return .2126 * r + .7152 * g + .0722 * b;
          };
          const back = (e) => {
            for (; e; e = e.parentElement) {
              const colour = getComputedStyle(e).backgroundColor;
              if (colour !== "rgba(0, 0, 0, 0)") return light(colour);
            }
            return 1;
          };
          return [...document.querySelectorAll("h1, h2, p, button:enabled, figcaption, span, th")]
            .filter((e) => e.checkVisibility() && e.innerText).map((e) => {
              const [a, b] = [light(getComputedStyle(e).color), back(e)].sort((x, y) => y - x);
              return [(a + .05) / (b + .05), e.innerText];
            });"""
        found = browser.run(contrast)
        assert len(found) > 12
        assert min(found)[0] >= 4.5, min(found)
        assert browser.run("return document.querySelector('[data-key=p]').offsetHeight") >= 40


def test_when_the_program_has_ended_the_page_says_so(make_session, browser):
    with served(make_session(PLAN)) as server:
        begin(browser, server, "Event")
    browser.press("p")
    browser.wait(lambda: shown(browser, "#problem"))
    assert browser.text("#problem").startswith("No reply: has emotion-perception review ended?")
    assert browser.text("#count") == "0 of 2 answered"
    assert "ERR_CONNECTION_REFUSED" in browser.log("browser")[0]["message"]

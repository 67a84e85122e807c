# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The server of the review page, by real HTTP: who gets in, what is shown, what is stored."""

import io
import itertools
import json
import re
import resource
import socket
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")
pytest.importorskip("flask")
pytest.importorskip("waitress")

from reviewing import SIZE, Client, grey_of, make_video, served

from emotion_perception.image.source import SourceError
from emotion_perception.sessions.ratings import ratings_path, read_ratings
from emotion_perception.sessions.review import ReviewOptions
from emotion_perception.sessions.review_script import SCRIPT
from emotion_perception.sessions.review_style import STYLE
from emotion_perception.sessions.table import SessionError

PLAN = [(2, "neutral"), (2, "positive"), (2, "neutral"), (2, "negative")]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    pytest.importorskip("av")
    return make_video(tmp_path_factory.mktemp("video") / "a video.mp4", 200)


@pytest.fixture
def site(make_session):
    with served(make_session(PLAN)) as server:
        yield server


def stored(table, rater="R1"):
    return list(read_ratings(ratings_path(table, rater)).values())


# ---- who gets in


def test_only_this_machine_can_connect(site):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{43}", site.url)
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    for address in others - {"127.0.0.1", "::1"}:
        with pytest.raises(OSError, match=r"refused|reach|support"):
            socket.create_connection((address, site.port), timeout=2)


@pytest.mark.parametrize(
    "path", ["/", "/review.js", "/review.css", "/state", "/item/0", "/clip/0", "/x", "/?token=x",
             "/picture/0/0/face", "/?token=", "/state?token={token}", "/favicon.ico"],
)  # fmt: skip
def test_without_the_cookie_nothing_is_told(site, path):
    stranger = Client(site, enter=False)
    path = path.format(token=urlsplit(site.url).query.split("=")[1])
    for cookie in ("", f"review-{site.port}=x", f"review-{site.port}=", "other=ä"):
        status, headers, body = stranger.get(path, Cookie=cookie)
        assert status == 403
        assert body.startswith(b"Open the address")
        assert "Set-Cookie" not in headers
    assert stranger.ask("POST", "/answer", b"{}")[0] == 403


def test_the_address_opens_once_and_the_cookie_is_kept_from_scripts(site):
    client = Client(site)
    status, headers, _ = client.get("/")
    assert status == 200
    assert "Set-Cookie" not in headers
    query = "/?" + urlsplit(site.url).query
    assert client.get(query)[0] == 200  # the same browser may
    assert client.get(query, Cookie=None)[0] == 403
    with socket.create_connection(("127.0.0.1", site.port)):
        pass
    assert urlsplit(site.url).query.split("=")[1] not in client.cookie


def test_the_cookie(site):
    _, headers, _ = Client(site, enter=False).get("/?" + urlsplit(site.url).query)
    assert re.fullmatch(
        rf"review-{site.port}=[\w-]{{43}}; HttpOnly; Path=/; SameSite=Strict", headers["Set-Cookie"]
    )


@pytest.mark.parametrize("host", ["example.org", "127.0.0.1", "127.0.0.1:1", "localhost", "[::1]"])
def test_a_foreign_name_for_this_machine_is_refused(site, host):
    client = Client(site)
    assert client.get("/state", Host=host)[0] == 403
    assert client.get("/state", Host=f"evil.org:{site.port}")[0] == 403
    assert client.get("/state", Host=f"localhost:{site.port}")[0] == 200


def test_other_pages_cannot_answer(site):
    client = Client(site)
    told = {"index": 0, "answer": "right", "seconds": 1}
    for headers in (
        {"X_Review_Secret": None}, {"X_Review_Secret": "x"}, {"Cookie": None},
        {"Origin": "http://evil.org"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"},
    ):  # fmt: skip
        assert client.post("/answer", told, **headers)[0] == 403
    assert client.json("/state")["answered"] == [False, False]
    assert client.post("/answer", told, Origin=client.base)[0] == 200
    assert client.json("/state")["answered"] == [True, False]


def test_each_reply_is_sealed(site):
    client = Client(site)
    for path in ("/", "/state", "/item/0", "/nothing", "/review.js"):
        _, headers, _ = client.get(path)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none';")
        assert set(re.findall(r"-src ([^;]*)", policy)) == {"'none'", "'self'"}
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
    status, headers, _ = Client(site, enter=False).get("/")
    assert status == 403
    assert headers["Content-Security-Policy"] == policy


def test_nothing_on_the_page_comes_from_elsewhere(site):
    page = Client(site).page
    for text in (page, SCRIPT, STYLE):
        addresses = re.findall(r"(?:https?:)?//[\w.]+[^\s\"'<]*", text)
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}  # a name, not an address
        assert "url(" not in text.replace("picture(", "")
        assert "import(" not in text
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["review.css", "review.js"]
    assert "innerHTML" not in SCRIPT
    assert not re.search(r"<script>|<style| on\w+=| style=", page)


# ---- what can be asked


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/static/../x", "/%2e%2e/%2e%2e/etc/passwd", "/item/../state/..", "//x",
     "/item/-1", "/item/2", "/item/x", "/item/99999999999999999999", "/picture/0/0/../../state",
     "/picture/0/0/other", "/clip/0", "/review.py", "/item/0/", "/answer%00"],
)  # fmt: skip
def test_there_is_nothing_else(site, path):
    status, _, body = Client(site).get(path)
    assert status in (400, 404, 405)
    assert b"root:" not in body
    assert len(body) < 200


def test_wrong_methods(site):
    client = Client(site)
    for path in ("/answer", "/reveal"):
        for method in ("GET", "PUT", "DELETE", "OPTIONS"):
            assert client.ask(method, path)[0] == 405
    for path in ("/", "/state", "/item/0"):
        for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
            assert client.ask(method, path, b"{}")[0] == 405
        assert client.ask("POST", path, b"{}", X_Review_Secret=None)[0] == 403


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"[]", b"{}", b'{"index": 0}', b'{"index": "0", "answer": "right", "seconds": 1}',
     b'{"index": true, "answer": "right", "seconds": 1}',
     b'{"index": 0, "answer": "great", "seconds": 1}', b'{"index": 0, "answer": 1, "seconds": 1}',
     b'{"index": 0, "answer": "right", "seconds": NaN}',
     b'{"index": 0, "answer": "right", "seconds": 1, "more": 1}', b"\xff\xfe", b"[" * 4000,
     b'{"index": 0, "answer": "right", "seconds": "1"}'],
)  # fmt: skip
def test_bad_answers_are_refused(site, body):
    client = Client(site)
    status, headers, text = client.ask("POST", "/answer", body)
    assert status == 400
    assert headers["Content-Type"].startswith("text/plain")
    assert len(text.splitlines()) == 1
    assert client.json("/state")["answered"] == [False, False]


def test_an_answer_about_nothing(site):
    assert Client(site).answer(7, "right") == (404, "no item 7\n")


def test_too_much_at_once(site):
    client = Client(site)
    assert client.ask("POST", "/answer", b" " * 5000)[0] == 413
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as raw:
        raw.sendall(
            b"POST /answer HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert b"413" in raw.recv(1000).split(b"\r\n")[0]
    assert client.json("/state")["answered"] == [False, False]


# ---- what is shown and stored


def test_answers_are_stored(make_session):
    table = make_session(PLAN)
    with served(table) as server:
        client = Client(server)
        assert client.answer(0, "right", 2.34)[0] == 200
        assert client.answer(1, "wrong")[1]["rating"] == {"label": "", "verdict": "wrong"}
        assert client.answer(1, "neutral", -5)[1]["rating"] == {
            "label": "neutral", "verdict": "wrong",
        }  # fmt: skip
        assert len(stored(table)) == 2  # while it runs
    first, second = stored(table)
    assert (first.verdict, first.label, first.model_answer) == ("right", "positive", "positive")
    assert (second.verdict, second.label, second.model_answer) == ("wrong", "neutral", "negative")
    assert (first.seconds, second.seconds) == (2.34, 0)
    assert (first.blind, first.seen, first.face_id) == (False, True, "f1")
    assert len(ratings_path(table, "R1").read_text().splitlines()) == 4
    with served(table) as server:  # goes on where it ended
        client = Client(server)
        assert client.json("/state")["answered"] == [True, True]
        assert client.answer(0, "unsure")[1]["rating"]["verdict"] == "unsure"
    assert [one.verdict for one in stored(table)] == ["unsure", "wrong"]


def test_what_another_model_said_is_asked_anew(make_session):
    """The table was judged again: the old answers are about other verdicts, and are kept."""
    table = make_session(PLAN, models=("old",))
    with served(table) as server:
        assert Client(server).answer(0, "right")[0] == 200
    make_session(PLAN, models=("new",))
    with served(table) as server:
        client = Client(server)
        assert client.json("/state")["answered"] == [False, False]
        assert client.json("/item/0")["rating"] is None
        assert client.answer(0, "wrong")[0] == 200
        assert client.json("/state")["answered"] == [True, False]
    (rating,) = stored(table)
    assert (rating.model_id, rating.verdict) == ("new-1.0+00000000", "wrong")
    assert len(ratings_path(table, "R1").read_text().splitlines()) == 3


def test_blind_until_answered(make_session, video):
    table = make_session(PLAN)
    with served(table, blind=True, recording=video) as server:
        client = Client(server)
        item = client.json("/item/0")
        assert item["said"] is item["line"] is item["rating"] is None
        told = json.dumps([client.json("/state"), item, client.json("/clip/0")]) + client.page
        assert "0.8" not in told
        for answer in ("right", "wrong"):
            assert client.answer(0, answer)[0] == 400
        assert client.post("/reveal", {"index": 0})[0] == 400
        after = client.answer(0, "negative")[1]
        assert after["said"] is None  # still: the next correction is blind too
        assert after["rating"] == {"label": "negative", "verdict": None}
        assert client.answer(0, "neutral")[0] == 200
        assert stored(table)[0].blind
        shown = client.post("/reveal", {"index": 0})[1]
        assert shown["said"][0]["answer"] == "positive"
        assert shown["rating"] == {"label": "neutral", "verdict": "wrong"}
        assert (stored(table)[0].blind, stored(table)[0].seen) == (True, True)
    with served(table, blind=True, recording=video) as server:
        client = Client(server)  # that it was shown is known after a restart
        assert client.json("/item/0")["said"] is not None
        client.answer(0, "right")
        assert not stored(table)[0].blind
        assert client.json("/item/1")["said"] is None


def test_blind_without_pictures_is_refused():
    with pytest.raises(SessionError, match="--blind: needs --recording"):
        ReviewOptions(rater="R1", what="events", blind=True, pictures=False)


def test_the_line_has_gaps_where_nothing_was_judged(make_session):
    plan = [(1, "positive"), (2, "nobody"), (2, "dark"), (3, "positive")]
    with served(make_session(plan), "frames") as server:
        client = Client(server)
        line = client.json("/item/0")["line"]
    times = [time for time, _ in line]
    assert times == sorted(times)
    assert len(line) <= 200
    assert all(-1 <= value <= 1 for _, value in line if value is not None)
    assert not [time for time in times if 1 < time < 2.9]


def image_of(body):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).astype(int)


def test_pictures_are_those_of_the_item(make_session, video):
    with served(make_session(PLAN), recording=video) as server:
        client = Client(server)
        item, clip = client.json("/item/1"), client.json("/clip/1")
        times = clip["times"]
        assert clip["why"] == ""
        assert abs(times[0] - (item["onset"] - 1)) < 0.1
        assert abs(times[-1] - 7.96) < 0.1  # the end of the recording
        assert all(0.07 < b - a < 0.13 for a, b in itertools.pairwise(times))
        for number in (0, len(times) // 2, len(times) - 1):
            status, headers, body = client.get(f"/picture/1/{number}/frame")
            assert (status, headers["Content-Type"]) == (200, "image/jpeg")
            picture = image_of(body)
            assert picture.shape == (SIZE[1], SIZE[0], 3)
            assert abs(picture[20:60, 20:60].mean() - grey_of(round(25 * times[number]))) < 4
            red = picture[20:60, 500:600].mean(axis=(0, 1))
            assert red[0] > 150
            assert red[2] < 60  # BGR was not taken for RGB
            face = image_of(client.get(f"/picture/1/{number}/face")[2])
            assert max(face.shape) == 320
        assert client.get(f"/picture/1/{len(times)}/face")[0] == 404


def test_the_picture_of_a_frame_is_that_frame_and_has_a_box(make_session, video):
    with served(make_session(PLAN), "frames", recording=video) as server:
        client = Client(server)
        for index in range(4):
            item, clip = client.json(f"/item/{index}"), client.json(f"/clip/{index}")
            assert clip["times"] == pytest.approx([item["time"]])
            picture = image_of(client.get(f"/picture/{index}/0/frame")[2])
            grey = grey_of(item["frame"])
            assert abs(picture[20:60, 20:60].mean() - grey) < 4
            edge = picture[200:250, 215:285].mean(axis=2)  # the left side of the box
            assert edge.max() > max(220, grey + 8)


def test_a_recording_of_other_size_or_kind_is_refused(make_session, video, tmp_path):
    other = make_session(PLAN, name="other", width=320, height=240)
    with (
        pytest.raises(SessionError, match=r"640x480 pixels, but .* 320x240 pixels \(other\.mp4\)"),
        served(other, recording=video),
    ):
        pass
    broken = tmp_path / "broken.mp4"
    for content in (b"", b"some text", video.read_bytes()[:3000]):
        broken.write_bytes(content)
        with (
            pytest.raises(SourceError, match=r"broken\.mp4"),
            served(make_session(PLAN), recording=broken),
        ):
            pass


def test_what_cannot_be_read_is_told(make_session, video):
    with served(make_session([(8, "neutral"), (4, "positive")]), recording=video) as server:
        client = Client(server)
        assert client.json("/clip/0")["times"][0] < 8
        assert client.json("/item/0")["onset"] > 7.9
    with served(make_session([(12, "neutral"), (4, "positive")]), recording=video) as server:
        clip = Client(server).json("/clip/0")
        assert clip["times"] == []
        assert "cannot be read" in clip["why"]


def test_hostile_names_are_escaped(make_session):
    bad = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}'
    table = make_session(PLAN, face_id=bad, participant=bad, session=bad, recording=bad)
    with served(table) as server:
        client = Client(server)
        assert "<script>alert" not in client.page
        assert "<img" not in client.page
        assert "&lt;script&gt;" in client.page
        assert "{{7*7}}" in client.page
        _, headers, body = client.get("/item/0")
        assert headers["Content-Type"] == "application/json"
        assert json.loads(body)["face_id"] == bad
        assert client.answer(0, "right")[0] == 200
    assert stored(table)[0].face_id == bad


def test_a_session_without_anything_to_review(make_session):
    with served(make_session([(1, "nobody")])) as server:
        client = Client(server)
        assert client.json("/state")["answered"] == []
        assert client.get("/item/0")[0] == 404
        assert client.answer(0, "right")[0] == 404


def test_when_the_answer_cannot_be_stored_it_is_told(make_session):
    table = make_session(PLAN)
    with served(table) as server:
        client = Client(server)
        client.answer(0, "right")
        size = ratings_path(table, "R1").stat().st_size
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, before[1]))  # a full disk
        try:
            status, text = client.answer(1, "right")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert status == 503
        assert text.startswith("NOT stored: ")
        assert client.json("/state")["answered"] == [True, False]
        assert client.answer(1, "right")[0] == 200
    assert len(stored(table)) == 2

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A review that is served for real, a video to show, and a client without a browser."""

import contextlib
import json
import threading
import urllib.error
import urllib.request

import numpy as np

from emotion_perception.sessions.ratings import RatingFile, ratings_path
from emotion_perception.sessions.review import Review, ReviewOptions
from emotion_perception.sessions.review_items import event_items, frame_items
from emotion_perception.sessions.review_pictures import Pictures
from emotion_perception.sessions.review_server import ReviewServer
from emotion_perception.sessions.table import read_session

SIZE = (640, 480)


def grey_of(frame):
    """Return the grey level by which a frame of `make_video` is known."""
    return 20 + 7 * (frame % 30)


def make_video(path, frames, rate=25):
    """Write a video whose frames are grey on the left, red on the right."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        for number in range(frames):
            image = np.full((SIZE[1], SIZE[0], 3), grey_of(number), np.uint8)
            image[:, 400:] = 0, 0, 200  # BGR
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode(None))
    return path


@contextlib.contextmanager
def served(table, what="events", *, recording=None, rater="R1", blind=False, person="partner"):
    """Serve a review and give its server."""
    session = read_session(table)
    items = (event_items if what == "events" else frame_items)(session, person)
    options = ReviewOptions(rater=rater, what=what, blind=blind, pictures=recording is not None)
    pictures = None if recording is None else Pictures(recording, session)
    with RatingFile(ratings_path(table, rater)) as file:
        server = ReviewServer(Review(session, items, options, file), pictures)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.close()
            thread.join(20)
            assert not thread.is_alive()


class Client:
    """Asks a server as a browser would."""

    def __init__(self, server, enter=True):
        self.base = server.url.split("/?")[0]
        self.cookie = self.secret = ""
        if enter:
            status, headers, body = self.get("/?" + server.url.split("?")[1])
            assert status == 200
            self.page = body.decode()
            self.cookie = headers["Set-Cookie"].split(";")[0]
            self.secret = self.page.split('name="secret" content="')[1].split('"')[0]

    def ask(self, method, path, body=None, **headers):
        """Return status, headers and body; a header of None is left out."""
        sent = {"Cookie": self.cookie, "X-Review-Secret": self.secret,
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()}}  # fmt: skip
        request = urllib.request.Request(
            self.base + path, body, {k: v for k, v in sent.items() if v}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def json(self, path):
        status, _, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    def post(self, path, told, **headers):
        status, _, body = self.ask("POST", path, json.dumps(told).encode(), **headers)
        return status, json.loads(body) if status == 200 else body.decode()

    def answer(self, index, answer, seconds=1.0):
        return self.post("/answer", {"index": index, "answer": answer, "seconds": seconds})

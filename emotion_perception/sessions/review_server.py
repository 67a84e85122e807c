# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The server of the review page: this machine only, this rater only, nothing from elsewhere.

Faces of patients are on the page, so it is kept from everybody else on this machine and from every
other page in the browser: it listens on 127.0.0.1 alone; the token in the printed address opens it
once (whoever reads that address in the list of processes comes too late) and gives the browser a
cookie that each request needs; Host must be that address (a foreign name that is pointed at it is
refused); and what changes something needs the cookie's secret once more in a header, which no other
page can send.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from collections.abc import Callable
from typing import Any, Final

from flask import Flask, Response, abort, g, jsonify, request
from waitress.server import create_server
from werkzeug.exceptions import HTTPException

from emotion_perception.sessions.review import Review
from emotion_perception.sessions.review_page import page_of
from emotion_perception.sessions.review_pictures import Clip, Pictures
from emotion_perception.sessions.review_script import SCRIPT
from emotion_perception.sessions.review_style import STYLE

ADDRESS: Final = "127.0.0.1"
SECRET_HEADER: Final = "X-Review-Secret"

_MAX_BODY: Final = 4096  # bytes; an answer has about 60
_POLICY: Final = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'",
        "media-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
        "frame-ancestors 'none'",
    )
)  # fmt: skip
_CLOSED: Final = (
    "Open the address that emotion-perception review printed. One browser can open it, once; for"
    " another one end the program with Ctrl-C and start it again."
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class ReviewServer:
    """Serves the page of one review.

    Args:
        review: what is reviewed.
        pictures: of its recording; None if there is none.
        port: to listen on; 0 takes a free one.

    Attributes:
        url: of the page, with the token; one browser can open it.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, review: Review, pictures: Pictures | None, port: int = 0) -> None:
        door = _Door()
        app = Flask(__name__, static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY
        try:
            self._server = create_server(
                app, host=ADDRESS, port=port, threads=8, ident=None,
                max_request_body_size=_MAX_BODY, max_request_header_size=16 * 1024,
            )  # fmt: skip
        except OSError as error:
            raise OSError(f"port {port}: {error.strerror}; --port 0 takes a free one") from None
        self.port = int(self._server.effective_port)
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a browser asks for many
        _guard(app, door, self.port)
        _routes(app, review, pictures, door.secret)
        self.url = f"http://{ADDRESS}:{self.port}/?token={door.token}"

    def run(self) -> None:
        """Serve until Ctrl-C, or until `close` is called from another thread."""
        self._server.run()
        self._server.task_dispatcher.shutdown()

    def close(self) -> None:
        """Stop serving."""
        # By the thread that serves: it may be waiting for what would be closed.
        with contextlib.suppress(OSError):  # another pull was faster, and it has stopped already
            self._server.trigger.pull_trigger(self._stop)

    def _stop(self) -> None:
        self._server.close()
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()


class _Door:
    """Lets one browser in.

    Attributes:
        token: in the address; opens once.
        secret: what that browser has from then on.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.secret = secrets.token_urlsafe(32)
        self._open = True
        self._lock = threading.Lock()

    def enters(self, token: str | None) -> bool:
        """Whether this is the token, for the first time."""
        with self._lock:
            good = self._open and _same(token, self.token)
            self._open = self._open and not good
            return good

    def knows(self, secret: str | None) -> bool:
        """Whether this is the secret."""
        return _same(secret, self.secret)


def _same(given: str | None, expected: str) -> bool:
    return secrets.compare_digest((given or "").encode("utf-8", "replace"), expected.encode())


def _guard(app: Flask, door: _Door, port: int) -> None:
    """Let nobody in but this rater's page; see the module's description."""
    hosts = {f"{name}:{port}" for name in (ADDRESS, "localhost")}
    cookie = f"review-{port}"  # browsers send cookies of one port to all of them

    def check() -> None:
        if request.headers.get("Host") not in hosts:
            abort(403, "This page is on 127.0.0.1 only.")
        known = door.knows(request.cookies.get(cookie))
        g.entered = False
        if not known and request.path == "/" and request.method == "GET":
            g.entered = known = door.enters(request.args.get("token"))
        if not known:
            abort(403, _CLOSED)
        origin = request.headers.get("Origin")
        if origin is not None and origin not in {f"http://{host}" for host in hosts}:
            abort(403, "Another page may not use this one.")
        if request.method not in ("GET", "HEAD") and not door.knows(
            request.headers.get(SECRET_HEADER)
        ):
            abort(403, "The secret is missing.")
        if (request.content_length or 0) > _MAX_BODY:
            abort(413, "That is more than an answer.")

    def seal(response: Response) -> Response:
        response.headers.update(_HEADERS)
        if g.get("entered"):
            response.set_cookie(cookie, door.secret, httponly=True, samesite="Strict")
        return response

    def tell(error: HTTPException) -> tuple[str, int, dict[str, str]]:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        return f"{error.description or error.name}\n", error.code or 500, headers

    app.before_request(check)
    app.after_request(seal)
    app.register_error_handler(HTTPException, tell)


def _routes(app: Flask, review: Review, pictures: Pictures | None, secret: str) -> None:
    def text(body: str, kind: str) -> Callable[[], Response]:
        return lambda: Response(body, content_type=f"text/{kind}; charset=utf-8")

    def item(index: int) -> Response:
        return _found(lambda: review.item(index))

    def clip_of(index: int) -> Clip:
        if pictures is None or not 0 <= index < len(review.items):
            abort(404, "No pictures.")
        return pictures.clip(review.items[index])

    def clip(index: int) -> Response:
        found = clip_of(index)
        return jsonify({"times": found.times, "why": found.why})

    def picture(index: int, number: int, which: str) -> Response:
        found = clip_of(index)
        images = found.frames if which == "frame" else found.faces
        if not 0 <= number < len(images):
            abort(404, "No such picture.")
        return Response(images[number], content_type="image/jpeg")

    def answer() -> Response:
        body = _body({"index": int, "answer": str, "seconds": (int, float)})
        return _found(lambda: review.answer(body["index"], body["answer"], float(body["seconds"])))

    def reveal() -> Response:
        body = _body({"index": int})
        return _found(lambda: review.reveal(body["index"]))

    rules: tuple[tuple[str, Callable[..., Any], str], ...] = (
        ("/", lambda: page_of(review.state(), secret), "GET"),
        ("/review.js", text(SCRIPT, "javascript"), "GET"),
        ("/review.css", text(STYLE, "css"), "GET"),
        ("/favicon.ico", lambda: ("", 204), "GET"),
        ("/state", lambda: jsonify(review.state()), "GET"),
        ("/item/<int:index>", item, "GET"),
        ("/clip/<int:index>", clip, "GET"),
        ("/picture/<int:index>/<int:number>/<any(frame, face):which>", picture, "GET"),
        ("/answer", answer, "POST"),
        ("/reveal", reveal, "POST"),
    )
    for rule, view, method in rules:
        app.add_url_rule(rule, rule, view, methods=[method], provide_automatic_options=False)


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object that was sent, with these fields of these types and no others."""
    try:
        body = request.get_json(silent=True)
    except RecursionError:  # thousands of brackets
        body = None
    if isinstance(body, dict) and set(body) == set(fields):
        values = [(body[name], kind) for name, kind in fields.items()]
        if all(isinstance(v, kind) and not isinstance(v, bool) for v, kind in values):
            return body
    abort(400, f"Expected JSON with {', '.join(fields)}.")


def _found(get: Callable[[], dict[str, Any]]) -> Response:
    try:
        return jsonify(get())
    except IndexError as error:
        abort(404, str(error))
    except ValueError as error:
        abort(400, str(error))
    except OSError as error:
        abort(503, f"NOT stored: {error}")

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The review page: plain HTML in which every name is escaped; the script fills it."""

from __future__ import annotations

from typing import Any

from flask import render_template_string

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="secret" content="{{ secret }}">
<title>Review: {{ session }}</title>
<link rel="stylesheet" href="review.css">
<script src="review.js" defer></script>
</head>
<body>
<header>
<h1>{{ session }}</h1>
<p>{% if participant %}Person {{ participant }} · {% endif %}Rater {{ rater }} ·
{{ "blind" if blind else "with the model's answers" }}</p>
<div class="progress"><progress id="bar" max="{{ total }}" value="0"
aria-label="answered"></progress><span id="count"></span></div>
</header>
<main>
<p id="problem" role="alert" hidden></p>
<section id="item" aria-live="polite">
<h2 id="title"></h2>
<div id="answers"></div>
<div id="pictures" {% if not pictures %}hidden{% endif %}>
<figure id="face"><div class="shown"></div><figcaption>the face</figcaption></figure>
<figure id="frame"><div class="shown"></div><figcaption id="clock">the frame</figcaption></figure>
</div>
{% if not pictures %}<p class="note">Numbers only: start with --recording VIDEO to see
pictures.</p>{% endif %}
<div id="details">
<div id="said"></div>
<figure id="line" hidden><div></div><figcaption>Valence over time: up is positive, down is negative.
The grey part is what is reviewed.</figcaption></figure>
</div>
</section>
<section id="end" hidden><h2 id="endtitle"></h2><p id="endtext"></p></section>
<div id="keys" role="group" aria-label="answers">
<p id="before" role="status"></p>
<div class="row judge">
<button data-key="r" class="right"><kbd>r</kbd> right</button>
<button data-key="w" class="wrong"><kbd>w</kbd> wrong</button>
</div>
<div class="row classes">
<button data-key="n" class="negative"><kbd>n</kbd> negative</button>
<button data-key="e" class="neutral"><kbd>e</kbd> neutral</button>
<button data-key="p" class="positive"><kbd>p</kbd> positive</button>
</div>
<div class="row">
<button data-key="u"><kbd>u</kbd> can't tell</button>
<button data-key="s"><kbd>s</kbd> skip</button>
<button data-key="b"><kbd>b</kbd> back</button>
</div>
<div class="row">
<button data-key=" " id="again"><kbd>space</kbd> play again</button>
<button data-key="m" id="show"><kbd>m</kbd> the model's answer</button>
<button data-key="?" aria-expanded="false" aria-controls="help"><kbd>?</kbd> help</button>
</div>
</div>
<section id="help" hidden>
<h2>Help</h2>
<dl>
<dt><kbd>r</kbd> right, <kbd>w</kbd> wrong</dt><dd>about the model's answer. After wrong, say what
it was, if you can. Not while the answer is hidden.</dd>
<dt><kbd>n</kbd> <kbd>e</kbd> <kbd>p</kbd></dt><dd>negative, neutral, positive: what you see.
</dd>
<dt><kbd>u</kbd></dt><dd>you can't tell.</dd>
<dt><kbd>s</kbd></dt><dd>skip; it comes again at the end.</dd>
<dt><kbd>b</kbd></dt><dd>back to the one before. A new answer replaces the old one.</dd>
<dt><kbd>space</kbd></dt><dd>play again.</dd>
<dt><kbd>m</kbd></dt><dd>show what the model said, once you have answered. An answer given after
that no longer counts as blind.</dd>
<dt><kbd>?</kbd></dt><dd>this help, on and off.</dd>
</dl>
<p>Each answer is stored at once; close the page whenever you like. The pictures come from this
computer and go nowhere else.</p>
</section>
<noscript><p>This page needs JavaScript.</p></noscript>
</main>
</body>
</html>
"""


def page_of(state: dict[str, Any], secret: str) -> str:
    """Return the page.

    Args:
        state: as `Review.state` gives it.
        secret: which the script sends with each answer.
    """
    return render_template_string(
        _PAGE, secret=secret, total=len(state["answered"]),
        **{name: _text(state[name]) for name in ("session", "participant", "rater")},
        blind=state["blind"], pictures=state["pictures"],
    )  # fmt: skip


def _text(value: str) -> str:
    # A file name may hold bytes that are no text.
    return value.encode("utf-8", "replace").decode("utf-8")

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Draw docs/images/architecture.svg: how a frame travels, and how a model comes to its patient.

python scripts/draw_architecture.py [FILE]
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

FILE = Path(__file__).parents[1] / "docs" / "images" / "architecture.svg"
WIDTH, HEIGHT = 880, 1010

# (fill, border) of what runs in the executor's thread, in the worker's, in the network's helpers;
# of files; of commands; of what is outside.
LOOKS = {
    "executor": ("#dbeafe", "#2563eb"),
    "worker": ("#dcfce7", "#15803d"),
    "file": ("#fef3c7", "#b45309"),
    "command": ("#f3e8ff", "#7e22ce"),
    "outside": ("#f1f5f9", "#475569"),
}

# name: (x, y, width, height, look, title, what it does; folder or file)
BOXES = {
    "camera": (30, 60, 180, 62, "outside", "camera driver", "image_raw, or several"),
    "newest": (
        30,
        166,
        180,
        78,
        "executor",
        "newest frame only",
        "an older one is dropped|and counted; nodes/camera",
    ),
    "decode": (300, 60, 240, 50, "worker", "decode", "any encoding to BGR; image/"),
    "faces": (300, 134, 240, 66, "worker", "find and follow faces", "MTCNN; ids, quality|faces/"),
    "crop": (300, 224, 240, 50, "worker", "align", "48 x 48 grey; image/preprocess"),
    "network": (
        300,
        298,
        240,
        66,
        "worker",
        "valence network",
        "one batch of all faces;|calibrated; valence/",
    ),
    "smooth": (
        300,
        388,
        240,
        66,
        "worker",
        "smooth and decide",
        "by time, with unknown;|partner; reaction/",
    ),
    "messages": (
        630,
        388,
        220,
        66,
        "worker",
        "messages",
        "user_reaction, ~/faces,|~/debug_image if wanted",
    ),
    "observe": (
        630,
        284,
        220,
        66,
        "executor",
        "ObserveReaction",
        "after an action against before|reaction/observation",
    ),
    "diagnostics": (
        30,
        288,
        180,
        66,
        "executor",
        "watchdog, diagnostics",
        "NOT_LOOKED when late;|a new worker; nodes/judge",
    ),
    "load": (
        30,
        388,
        180,
        66,
        "executor",
        "LoadPatientModel",
        "another thread reads and|checks; swapped as a whole",
    ),
    "behaviour": (
        630,
        166,
        220,
        78,
        "outside",
        "the robot's behaviour",
        "asks how an action was|received, and acts",
    ),
    "weights": (30, 580, 180, 66, "file", "models/", "shipped networks, cards,|hashes"),
    "patients": (
        30,
        800,
        180,
        82,
        "file",
        "patients' models",
        "versions, read only;|current.json says which|is in use",
    ),
    "recording": (630, 540, 220, 50, "file", "recordings", "videos, ROS 2 bags, images"),
    "predict": (
        630,
        626,
        220,
        66,
        "command",
        "predict",
        "the same pipeline, without|ROS; resumes after a kill",
    ),
    "table": (630, 728, 220, 50, "file", "NAME.parquet", "a row for each face and frame"),
    "look": (
        630,
        814,
        220,
        66,
        "command",
        "events, report, playback",
        "intervals and verdicts; pages|for clinicians; films",
    ),
    "review": (630, 916, 220, 50, "command", "review", "a person corrects the answers"),
    "capture": (
        300,
        916,
        240,
        50,
        "command",
        "consent, capture",
        "labelled face crops, private folder",
    ),
    "finetune": (
        300,
        808,
        240,
        66,
        "command",
        "finetune",
        "held out by recording;|base images replayed",
    ),
    "promote": (
        300,
        700,
        240,
        66,
        "command",
        "models promote",
        "refused unless better on what|it has not seen",
    ),
    "train": (
        300,
        580,
        240,
        66,
        "command",
        "train, evaluate, calibrate",
        "public sets of faces to|base weights and figures",
    ),
}

# Points of arrows; a word beside the first bend or the middle.
ARROWS = (
    ((120, 122), (120, 166)),
    ((210, 205), (255, 205), (255, 85), (300, 85)),
    ((420, 110), (420, 134)),
    ((420, 200), (420, 224)),
    ((420, 274), (420, 298)),
    ((420, 364), (420, 388)),
    ((540, 421), (630, 421)),
    ((740, 388), (740, 350)),
    ((720, 284), (720, 244)),
    ((760, 244), (760, 284)),
    ((850, 421), (868, 421), (868, 205), (850, 205)),
    ((210, 421), (255, 421), (255, 331), (300, 331)),
    ((120, 580), (120, 454)),
    ((300, 613), (210, 613)),
    ((740, 590), (740, 626)),
    ((740, 692), (740, 728)),
    ((740, 778), (740, 814)),
    ((740, 880), (740, 916)),
    ((630, 941), (540, 941)),
    ((420, 916), (420, 874)),
    ((420, 808), (420, 766)),
    ((300, 733), (255, 733), (255, 841), (210, 841)),
    ((60, 800), (60, 670), (16, 670), (16, 421), (30, 421)),
)

FRAMES = (
    (10, 14, 860, 462, 16, "On the robot: the node reaction_node"),
    (10, 496, 860, 500, 130, "Offline: the command emotion-perception, no ROS needed"),
)
LEGEND = (
    ("executor", "executor's thread"), ("worker", "worker thread and its helpers"),
    ("file", "files"), ("command", "commands"), ("outside", "not of this package"),
)  # fmt: skip


def _text(
    x: float, y: float, words: str, size: int, weight: str = "400", end: str = "middle"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{end}">{escape(words)}</text>'
    )


def draw() -> str:
    """Return the drawing as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT + 34}" '
        f'font-family="Helvetica, Arial, sans-serif" fill="#0f172a">',
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M0 0 10 5 0 10z" fill="#334155"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT + 34}" fill="#ffffff"/>',
    ]
    for x, y, width, height, left, title in FRAMES:
        parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="#fbfdff" '
            'stroke="#cbd5e1"/>'
        )
        parts.append(_text(x + left, y + 28, title, 17, "700", "start"))
    for points in ARROWS:
        path = "M" + " L".join(f"{x} {y}" for x, y in points)
        parts.append(
            f'<path d="{path}" fill="none" stroke="#334155" stroke-width="1.6" '
            'marker-end="url(#tip)"/>'
        )
    for x, y, width, height, look, title, what in BOXES.values():
        fill, border = LOOKS[look]
        parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="7" fill="{fill}" '
            f'stroke="{border}" stroke-width="1.4"/>'
        )
        lines = what.split("|")
        top = y + height / 2 - 8 * len(lines) + 5
        parts.append(_text(x + width / 2, top, title, 15, "700"))
        for number, line in enumerate(lines, 1):
            parts.append(_text(x + width / 2, top + 16 * number + 1, line, 13))
    x = 14
    for look, words in LEGEND:
        fill, border = LOOKS[look]
        parts.append(
            f'<rect x="{x}" y="{HEIGHT + 6}" width="16" height="16" rx="3" fill="{fill}" '
            f'stroke="{border}"/>'
        )
        parts.append(_text(x + 23, HEIGHT + 19, words, 13, end="start"))
        x += 50 + 7 * len(words)
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    file.write_text(draw())

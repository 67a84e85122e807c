# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

from dataclasses import replace

import numpy as np
import pytest

from emotion_perception.drawing import COLOURS, draw_reactions
from emotion_perception.faces.face import Face
from emotion_perception.reaction.reaction import FaceReaction, Reaction, decide


def reaction(box, probabilities=(0.1, 0.1, 0.8), threshold=0.5):
    p = np.array(probabilities, np.float32)
    verdict, reason = decide(p, threshold)
    face = Face(np.array(box, np.float32), 0.9, np.zeros((5, 2), np.float32))
    return FaceReaction(
        face=face, probabilities=p, reaction=verdict, reason=reason, stamp=0.0, is_partner=True
    )


@pytest.mark.parametrize(
    ("probabilities", "threshold", "verdict"),
    [
        ((0.8, 0.1, 0.1), 0.5, Reaction.NEGATIVE),
        ((0.1, 0.8, 0.1), 0.5, Reaction.NEUTRAL),
        ((0.1, 0.1, 0.8), 0.5, Reaction.POSITIVE),
        ((0.4, 0.3, 0.3), 0.5, Reaction.UNKNOWN),
    ],
)
def test_box_has_the_colour_of_the_verdict(probabilities, threshold, verdict):
    frame = np.zeros((480, 640, 3), np.uint8)
    drawn = draw_reactions(frame, [reaction((200, 150, 300, 270), probabilities, threshold)])
    assert tuple(drawn[210, 200]) == COLOURS[verdict]
    assert (frame == 0).all()


def test_the_partner_is_marked():
    frame = np.zeros((480, 640, 3), np.uint8)
    partner = replace(reaction((200, 150, 300, 270)), face_id="f1")
    drawn = [draw_reactions(frame, [replace(partner, is_partner=is_it)]) for is_it in (True, False)]
    # A thicker box, and a longer label that says so.
    inside, label = (slice(200, 220), slice(198, 204)), (slice(130, 150), slice(200, 640))
    for part in (inside, label):
        lit = [int((image[part] != 0).any(axis=2).sum()) for image in drawn]
        assert lit[0] > lit[1] > 0


@pytest.mark.parametrize(
    "box",
    [
        (-50, -50, 20, 20),  # cut off at a corner
        (600, 460, 700, 560),
        (-1e6, -1e6, 1e6, 1e6),  # larger than any frame
        (10, 10, 10, 10),  # empty
    ],
)
@pytest.mark.parametrize("size", [(480, 640), (24, 32), (1080, 1920)])
def test_any_box_in_any_frame(box, size):
    frame = np.full((*size, 3), 99, np.uint8)
    drawn = draw_reactions(frame, [reaction(box)], "12 ms")
    assert drawn.shape == frame.shape
    assert drawn.dtype == np.uint8

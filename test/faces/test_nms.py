# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_perception.faces import nms as module
from emotion_perception.faces.nms import nms, nms_min


@st.composite
def candidates(draw, whole):
    """Boxes and scores; few different values, so that ties and exact thresholds occur."""
    count = draw(st.integers(0, 60))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    corner = generator.uniform(-20, 60, (count, 2))
    side = generator.uniform(0, 50, (count, 2))
    boxes = np.concatenate([corner, corner + side], axis=1).astype(np.float32)
    scores = generator.random(count, np.float32)
    if whole:
        boxes, scores = np.round(boxes / 10) * 10, np.round(scores, 1)
    return boxes.astype(np.float32), scores.astype(np.float32)


@pytest.mark.parametrize("block", [3, 192])
@given(
    sample=st.booleans().flatmap(lambda whole: candidates(whole)),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1 / 3, 1.0]),
)
@settings(max_examples=300, deadline=None)
def test_equals_torchvision(block, sample, threshold):
    torch = pytest.importorskip("torch")
    ops = pytest.importorskip("torchvision.ops")
    boxes, scores = sample
    expected = ops.nms(torch.from_numpy(boxes), torch.from_numpy(scores), threshold).numpy()
    usual, module._BLOCK = module._BLOCK, block
    try:
        np.testing.assert_array_equal(nms(boxes, scores, threshold), expected)
    finally:
        module._BLOCK = usual


@given(
    sample=st.booleans().flatmap(lambda whole: candidates(whole)),
    threshold=st.sampled_from([0.3, 0.5, 0.7]),
)
@settings(max_examples=200, deadline=None)
def test_min_equals_facenet(sample, threshold):
    detect_face = pytest.importorskip("facenet_pytorch.models.utils.detect_face")
    boxes, scores = sample
    expected = detect_face.nms_numpy(boxes, scores, threshold, "Min") if len(boxes) else np.empty(0)
    np.testing.assert_array_equal(nms_min(boxes, scores, threshold), expected)


# Four boxes; the shares of the overlap are those with the first one.
BOXES = np.array(
    [
        [0, 0, 10, 10],
        [0, 0, 10, 20],  # half of the union, all of the smaller one
        [5, 0, 15, 10],  # a third of the union, half of the smaller one
        [20, 20, 30, 30],  # apart
    ],
    np.float32,
)
SCORES = np.array([0.9, 0.8, 0.7, 0.6], np.float32)


@pytest.mark.parametrize(
    ("threshold", "kept"),
    [
        (0.6, [0, 1, 2, 3]),
        (0.5, [0, 1, 2, 3]),  # exactly the threshold stays
        (0.49, [0, 2, 3]),
        (0.3, [0, 3]),
    ],
)
def test_iou(threshold, kept):
    assert nms(BOXES, SCORES, threshold).tolist() == kept


@pytest.mark.parametrize(("threshold", "kept"), [(0.99, [0, 2, 3]), (0.5, [0, 3])])
def test_share_of_the_smaller(threshold, kept):
    assert nms_min(BOXES, SCORES, threshold).tolist() == kept


def test_a_suppressed_box_suppresses_nothing():
    # The second box falls to the first, so the third, which only the second covers, stays.
    boxes = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)
    assert nms(boxes, SCORES[:3], 0.4).tolist() == [0, 2]


def test_no_boxes():
    boxes, scores = np.empty((0, 4), np.float32), np.empty(0, np.float32)
    assert nms(boxes, scores, 0.5).size == 0
    assert nms_min(boxes, scores, 0.5).size == 0

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""This package's pipeline as a worker."""

import argparse
import itertools

import cv2
from protocol import Stages, private_output, serve

from emotion_perception import pipeline as pipelines
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.valence.model import ValenceModel

RATE_HZ = 30.0
"""The frames are taken for those of a film, as a camera sends them: faces are followed."""


def main() -> None:
    """Judge frames until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--min-face-size", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    answers = private_output()
    cv2.setNumThreads(chosen.threads)
    stages = Stages()
    # With the wait for a helper; what helpers do meanwhile takes no frame's time.
    stages.watch(pipelines, "find_many", "detection")
    stages.watch(FacePreprocessing, "align", "crop")
    stages.watch(ValenceModel, "judge", "network")
    pipeline = ReactionPipeline(
        threads=chosen.threads, min_face_size=chosen.min_face_size, device=chosen.device
    )
    pipeline.warm_up()
    numbers = itertools.count()
    serve(
        chosen.frames,
        lambda frame: [
            reaction.reaction.name.lower()
            for reaction in pipeline.run(frame, next(numbers) / RATE_HZ)
        ],
        stages,
        ["numpy", "onnxruntime", "opencv-python-headless"],
        answers,
    )


if __name__ == "__main__":
    main()

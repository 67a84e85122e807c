# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""OpenCV's Haar cascade or MTCNN, and the network of fer, as fer calls them, as a worker."""

import argparse

import cv2
import numpy as np
from protocol import Stages, private_output, serve


def main() -> None:
    """Judge frames until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--min-face-size", type=int, required=True, help="of the Haar cascade")
    parser.add_argument("--device", choices=["cpu"], default="cpu", help="it takes no other one")
    parser.add_argument("--detector", choices=["haar", "mtcnn"], default="haar")
    chosen = parser.parse_args()
    answers = private_output()
    cv2.setNumThreads(chosen.threads)
    packages = ["numpy", "opencv-python-headless", "tensorflow-cpu", "fer"]
    if chosen.detector == "mtcnn":
        # Before TensorFlow, which fer imports first: torch crashes behind it.
        import torch
        import torchvision  # noqa: F401

        torch.set_num_threads(chosen.threads)
        packages += ["torch", "facenet-pytorch"]
    from fer.fer import FER

    fer = FER(mtcnn=chosen.detector == "mtcnn", min_face_size=chosen.min_face_size)
    stages = Stages()

    def judge(frame_bgr: np.ndarray) -> list[str]:
        # The two halves of `detect_emotions(frame)`.
        with stages.time("detection"):
            boxes = fer.find_faces(frame_bgr)
        with stages.time("crop and network"):
            found = fer.detect_emotions(frame_bgr, boxes)
        found.sort(key=lambda face: -face["box"][2] * face["box"][3])
        return [max(face["emotions"], key=face["emotions"].get) for face in found]

    serve(chosen.frames, judge, stages, packages, answers)


if __name__ == "__main__":
    main()

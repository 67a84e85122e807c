"""OpenCV's Haar cascade and the network of fer, as fer calls them, as a worker."""

import argparse

import cv2
import numpy as np
from protocol import Stages, private_output, serve


def main() -> None:
    """Judge frames until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--min-face-size", type=int, required=True)
    chosen = parser.parse_args()
    answers = private_output()
    cv2.setNumThreads(chosen.threads)
    from fer.fer import FER

    fer = FER(mtcnn=False, min_face_size=chosen.min_face_size)
    stages = Stages()

    def judge(frame_bgr: np.ndarray) -> list[str]:
        # The two halves of `detect_emotions(frame)`.
        with stages.time("detection"):
            boxes = fer.find_faces(frame_bgr)
        with stages.time("crop and network"):
            found = fer.detect_emotions(frame_bgr, boxes)
        found.sort(key=lambda face: -face["box"][2] * face["box"][3])
        return [max(face["emotions"], key=face["emotions"].get) for face in found]

    packages = ["numpy", "opencv-python-headless", "tensorflow-cpu", "fer"]
    serve(chosen.frames, judge, stages, packages, answers)


if __name__ == "__main__":
    main()

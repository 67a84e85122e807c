"""facenet-pytorch's MTCNN and the network of facial-emotion-recognition as a worker.

The package's own call, `recognise_emotion`, also draws on the frame and keeps what training would
need of the network. Only its detector and its network are called here, without either, and a box
that leaves the frame is clipped, where it would fail.
"""

import argparse
import functools

import cv2
import numpy as np
import torch
from protocol import Stages, private_output, serve


def main() -> None:
    """Judge frames until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--min-face-size", type=int, required=True)
    chosen = parser.parse_args()
    answers = private_output()
    torch.set_num_threads(chosen.threads)
    cv2.setNumThreads(chosen.threads)
    # Its weights were saved on a GPU, and it says nowhere that they are for this one.
    torch.load = functools.partial(torch.load, map_location="cpu")
    from facenet_pytorch import MTCNN
    from facial_emotion_recognition import EmotionRecognition

    recognition = EmotionRecognition(device="cpu")
    detector = MTCNN(keep_all=True, min_face_size=chosen.min_face_size, device="cpu")
    stages = Stages()

    @torch.inference_mode()
    def judge(frame_bgr: np.ndarray) -> list[str]:
        with stages.time("detection"):
            boxes, _ = detector.detect(np.ascontiguousarray(frame_bgr[..., ::-1]))
        if boxes is None:
            return []
        with stages.time("crop and network"):
            grey = cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY)
            said = []
            for x1, y1, x2, y2 in np.round(boxes.astype(float)).astype(int):
                said.append(recognition._predict(grey[max(y1, 0) : y2, max(x1, 0) : x2]))
        return said

    packages = ["numpy", "torch", "opencv-python-headless", "facenet-pytorch"]
    serve(chosen.frames, judge, stages, [*packages, "facial-emotion-recognition"], answers)


if __name__ == "__main__":
    main()

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""facenet-pytorch's MTCNN and a network on torch as a worker.

The network is that of facial-emotion-recognition, or an EfficientNet-B0 on 224x224 pixels.

The call of facial-emotion-recognition, `recognise_emotion`, also draws on the frame and keeps what
training would need of the network. Only its detector and its network are called here, without
either, and a box that leaves the frame is clipped, where it would fail.

The EfficientNet-B0 is as large as HSEmotion's and is fed as that one is, but its weights are
random: only its time counts, so it says nothing but that there is a face.
"""

import argparse
import functools
from collections.abc import Callable

import cv2
import numpy as np
import torch
from protocol import Stages, private_output, serve

Judge = Callable[[np.ndarray], str]
"""Says what a face shows: uint8 BGR (H, W, 3)."""


def facial_emotion_recognition(device: str) -> Judge:
    """Return the package's network, which looks at grey faces."""
    # Its weights were saved on a GPU, and it says nowhere that they are for this one.
    torch.load = functools.partial(torch.load, map_location=device)
    from facial_emotion_recognition import EmotionRecognition

    recognition = EmotionRecognition(device="gpu" if device.startswith("cuda") else "cpu")
    return lambda face_bgr: recognition._predict(cv2.cvtColor(face_bgr, cv2.COLOR_BGR2GRAY))


def efficientnet_b0(device: str) -> Judge:
    """Return an EfficientNet-B0 with eight outputs and random weights."""
    from torchvision.models import efficientnet_b0 as make

    network = make(weights=None, num_classes=8).eval().to(device)
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    deviation = np.array([0.229, 0.224, 0.225], np.float32)

    def judge(face_bgr: np.ndarray) -> str:
        rgb = cv2.resize(face_bgr, (224, 224))[..., ::-1].astype(np.float32) / 255
        planes = ((rgb - mean) / deviation).transpose(2, 0, 1)[None]
        network(torch.from_numpy(np.ascontiguousarray(planes)).to(device)).cpu()
        return "a face"

    return judge


NETWORKS: dict[str, tuple[Callable[[str], Judge], tuple[str, ...]]] = {
    "facial-emotion-recognition": (facial_emotion_recognition, ("facial-emotion-recognition",)),
    "efficientnet_b0": (efficientnet_b0, ("torchvision",)),
}
"""What makes each network, and the packages that it needs."""


def main() -> None:
    """Judge frames until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--min-face-size", type=int, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--network", choices=NETWORKS, default="facial-emotion-recognition")
    chosen = parser.parse_args()
    answers = private_output()
    torch.set_num_threads(chosen.threads)
    cv2.setNumThreads(chosen.threads)
    from facenet_pytorch import MTCNN

    make, needed = NETWORKS[chosen.network]
    look = make(chosen.device)
    detector = MTCNN(keep_all=True, min_face_size=chosen.min_face_size, device=chosen.device)
    stages = Stages()

    @torch.inference_mode()
    def judge(frame_bgr: np.ndarray) -> list[str]:
        with stages.time("detection"):
            boxes, _ = detector.detect(np.ascontiguousarray(frame_bgr[..., ::-1]))
        if boxes is None:
            return []
        with stages.time("crop and network"):
            said = []
            for x1, y1, x2, y2 in np.round(boxes.astype(float)).astype(int):
                said.append(look(frame_bgr[max(y1, 0) : y2, max(x1, 0) : x2]))
        return said

    packages = ["numpy", "torch", "opencv-python-headless", "facenet-pytorch"]
    serve(chosen.frames, judge, stages, [*packages, *needed], answers)


if __name__ == "__main__":
    main()

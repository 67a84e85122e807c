# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""fer's own analysis of a video, frame by frame, as its README calls it.

Neither pictures nor an annotated video are written, and no window is opened: that is not what is
compared.
"""

import argparse
import json

import cv2


def main() -> None:
    """Analyse one recording; prints one line of JSON when it is done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("recording")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--detector", choices=["haar", "mtcnn"], default="haar")
    chosen = parser.parse_args()
    cv2.setNumThreads(chosen.threads)
    # It asks for a key after each frame, which an OpenCV without windows can't answer.
    cv2.waitKey = lambda _delay: -1
    cv2.destroyAllWindows = lambda: None
    if chosen.detector == "mtcnn":
        # Before TensorFlow, which fer imports first: torch crashes behind it.
        import torch
        import torchvision  # noqa: F401

        torch.set_num_threads(chosen.threads)
    from fer.classes import Video
    from fer.fer import FER

    video = Video(chosen.recording)
    found = video.analyze(
        FER(mtcnn=chosen.detector == "mtcnn"), save_frames=False, save_video=False,
        annotate_frames=False, zip_images=False,
    )  # fmt: skip
    print(json.dumps({"frames": video.frameCount, "frames_with_faces": len(found)}))


if __name__ == "__main__":
    main()

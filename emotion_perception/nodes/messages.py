# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Filling this package's messages."""

from __future__ import annotations

import array
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from emotion_perception.msg import FaceReaction as FaceReactionMessage
from emotion_perception.msg import FaceReactionArray, UserReaction
from emotion_perception.reaction.reaction import FaceReaction


def region_of_interest(box: NDArray[np.float32], width: int, height: int) -> RegionOfInterest:
    """Return the part of a box (x1, y1, x2, y2) that lies inside the image, in whole pixels."""
    x1, x2 = (int(v) for v in np.clip(np.round(box[[0, 2]]), 0, width))
    y1, y2 = (int(v) for v in np.clip(np.round(box[[1, 3]]), 0, height))
    return RegionOfInterest(
        x_offset=x1, y_offset=y1, width=x2 - x1, height=y2 - y1, do_rectify=False
    )


def user_reaction(
    header: Header,
    reactions: Sequence[FaceReaction],
    size: tuple[int, int],
    model_id: str,
    patient_id: str,
    latency: float,
) -> UserReaction:
    """Say how the partner reacts, or that nobody is there.

    Args:
        header: of the image.
        reactions: of every face in it.
        size: width and height of the image.
        model_id: weights in use.
        patient_id: whose model it is.
        latency: seconds since the image's stamp.
    """
    message = UserReaction(
        header=header,
        reaction=UserReaction.UNKNOWN,
        reason=UserReaction.REASON_NO_FACE,
        model_id=model_id,
        patient_id=patient_id,
        latency=latency,
    )
    for reaction in reactions:
        if reaction.is_partner:
            _fill(message, reaction, size)
    return message


def not_looked(header: Header, model_id: str, patient_id: str) -> UserReaction:
    """Say that nothing is known: there was no frame, or nobody looked at it."""
    return UserReaction(
        header=header,
        reaction=UserReaction.UNKNOWN,
        reason=UserReaction.REASON_NOT_LOOKED,
        model_id=model_id,
        patient_id=patient_id,
    )


def reaction_of(
    told: UserReaction, reactions: Sequence[FaceReaction], size: tuple[int, int], face_id: str
) -> UserReaction:
    """Return what would be said of a face, if it were the partner's, or that nobody is there.

    Args:
        told: what was said of the partner of this frame.
        reactions: of every face of the frame.
        size: width and height of the image.
        face_id: whose message is wanted.
    """
    message = UserReaction(
        header=told.header,
        reaction=UserReaction.UNKNOWN,
        reason=UserReaction.REASON_NO_FACE,
        model_id=told.model_id,
        patient_id=told.patient_id,
        latency=told.latency,
    )
    for reaction in reactions:
        if face_id and reaction.face_id == face_id:
            _fill(message, reaction, size)
    return message


def face_reactions(
    header: Header, reactions: Sequence[FaceReaction], size: tuple[int, int], model_id: str
) -> FaceReactionArray:
    """Describe every face of an image."""
    faces = []
    for reaction in reactions:
        message = FaceReactionMessage(
            is_partner=reaction.is_partner,
            detection_score=reaction.face.score,
            landmarks=reaction.face.landmarks.astype(np.float32).ravel(),
        )
        _fill(message, reaction, size)
        faces.append(message)
    return FaceReactionArray(header=header, faces=faces, model_id=model_id)


def bgr_image(header: Header, frame: NDArray[np.uint8]) -> Image:
    """Wrap a uint8 BGR frame (H, W, 3)."""
    height, width = frame.shape[:2]
    message = Image(
        header=header, height=height, width=width, encoding="bgr8", is_bigendian=0, step=width * 3
    )
    # An array('B') is taken over as it is; bytes or a list would be checked one by one.
    pixels = array.array("B")
    pixels.frombytes(np.ascontiguousarray(frame).data)
    message.data = pixels
    return message


def jpeg_image(header: Header, frame: NDArray[np.uint8], quality: int = 85) -> CompressedImage:
    """Compress a uint8 BGR frame (H, W, 3) as JPEG."""
    data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    pixels = array.array("B")
    pixels.frombytes(np.ascontiguousarray(data).data)
    return CompressedImage(header=header, format="bgr8; jpeg compressed bgr8", data=pixels)


def _fill(
    message: UserReaction | FaceReactionMessage, reaction: FaceReaction, size: tuple[int, int]
) -> None:
    message.reaction = int(reaction.reaction)
    message.reason = int(reaction.reason)
    negative, neutral, positive = (float(p) for p in reaction.probabilities)
    message.p_negative, message.p_neutral, message.p_positive = negative, neutral, positive
    message.confidence = reaction.confidence
    message.valence = reaction.valence
    message.face_id = reaction.face_id
    message.roi = region_of_interest(reaction.face.box, *size)

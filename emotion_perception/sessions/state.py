# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a pipeline knows of a film, as JSON: to go on exactly where it stopped.

Only the classes listed here are read back, and only their data: a file of somebody else can put
wrong numbers in, but runs nothing.
"""

from __future__ import annotations

import base64
import itertools
from collections import deque
from typing import Any, Final

import numpy as np

from emotion_perception.faces.face import Face
from emotion_perception.faces.following import FaceFollower, FollowingOptions, _Missing
from emotion_perception.faces.quality import QualityLimits
from emotion_perception.faces.stillness import Stillness, StillnessOptions
from emotion_perception.faces.tracking import FaceTracker, Track, TrackingOptions
from emotion_perception.limited_files import BriefError
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.reaction.partner import PartnerChooser, PartnerOptions
from emotion_perception.reaction.reaction import Reaction
from emotion_perception.reaction.scene import Scene, SceneOptions, _Person
from emotion_perception.reaction.smoothing import ReactionFilter, SmoothingOptions
from emotion_perception.team import Pending

_CLASSES: Final = {
    cls.__name__: cls
    for cls in (
        Face, FaceFollower, FaceTracker, FollowingOptions, PartnerChooser, PartnerOptions,
        QualityLimits, ReactionFilter, Scene, SceneOptions, SmoothingOptions, Stillness,
        StillnessOptions, Track, TrackingOptions, _Missing, _Person,
    )
}  # fmt: skip

_OUTSIDE: Final = {"FaceFollower": ("_helpers", "_detector")}
"""Attributes that belong to whoever goes on."""


class StateError(BriefError):
    """A state that is damaged or of another version."""


def freeze(pipeline: ReactionPipeline, camera: str = "") -> Any:
    """Return what the pipeline knows of a camera's film; None before its first frame."""
    scene = pipeline._scenes.get(camera)
    return None if scene is None else pack(scene)


def thaw(pipeline: ReactionPipeline, state: Any, camera: str = "") -> None:
    """Let a pipeline of the same options go on with a film.

    Raises:
        StateError: if the state is no such thing.
    """
    if state is None:
        return
    scene = unpack(state)
    if not isinstance(scene, Scene):
        raise StateError(f"expected the state of a Scene, got {type(scene).__name__}")
    fresh = Scene(pipeline._options, pipeline._numbers, None)
    for made, told in ((fresh, scene), (fresh.follower, vars(scene).get("follower")),
                       (fresh._tracker, vars(scene).get("_tracker"))):  # fmt: skip
        if type(told) is not type(made) or not _names(made) <= _names(told) | _left_out(made):
            raise StateError(f"the {type(made).__name__} of another version")
    if set(vars(fresh)) != set(vars(scene)):
        raise StateError("the state of another version")
    follower = scene.follower
    follower._helpers, follower._detector = pipeline._helpers, pipeline.detector
    pipeline._numbers = scene._tracker._numbers
    pipeline._scenes[camera] = scene


def _names(value: Any) -> set[str]:
    return set(vars(value))


def _left_out(value: Any) -> set[str]:
    return set(_OUTSIDE.get(type(value).__name__, ()))


def pack(value: Any) -> Any:
    """Turn a value into what JSON can hold, exactly.

    Raises:
        TypeError: for a class that is not listed.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        content = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        return {"array": content, "dtype": array.dtype.str, "shape": list(array.shape)}
    if isinstance(value, Reaction):
        return {"reaction": int(value)}
    if isinstance(value, (list, tuple, deque)):
        kind = type(value).__name__
        return {"in": kind, "items": [pack(item) for item in value]}
    if isinstance(value, dict):
        return {"keys": [pack(key) for key in value], "items": [pack(v) for v in value.values()]}
    if isinstance(value, itertools.count):
        return {"count": value.__reduce__()[1][0]}
    if isinstance(value, Pending):
        return {"pending": pack(value.result())}
    name = type(value).__name__
    if _CLASSES.get(name) is not type(value):
        raise TypeError(f"no state of a {type(value)}")
    left_out = _OUTSIDE.get(name, ())
    return {
        "is": name,
        "has": {key: pack(item) for key, item in vars(value).items() if key not in left_out},
    }


def unpack(told: Any) -> Any:
    """Make the value of which `pack` told.

    Raises:
        StateError: if it is no such thing.
    """
    if not isinstance(told, dict):
        return told
    try:
        return _unpack(told)
    except StateError:
        raise
    except (
        KeyError, TypeError, ValueError, AttributeError, SyntaxError, OverflowError,
    ) as error:  # fmt: skip
        # SyntaxError: of NumPy, for a dtype such as "i,,,"
        raise StateError(f"damaged or of another version ({error})") from None
    except RecursionError:
        raise StateError("damaged: its parts lie too deep in each other") from None


def _unpack(told: dict[str, Any]) -> Any:
    if "array" in told:
        content = np.frombuffer(base64.b64decode(told["array"]), np.dtype(told["dtype"]))
        return content.reshape(told["shape"]).copy()
    if "reaction" in told:
        return Reaction(told["reaction"])
    if "in" in told:
        items = [unpack(item) for item in told["items"]]
        return {"list": list, "tuple": tuple, "deque": deque}[told["in"]](items)
    if "keys" in told:
        keys = [unpack(key) for key in told["keys"]]
        return dict(zip(keys, (unpack(item) for item in told["items"]), strict=True))
    if "count" in told:
        return itertools.count(told["count"])
    if "pending" in told:
        found = unpack(told["pending"])
        return Pending(lambda: found, None)
    made = object.__new__(_CLASSES[told["is"]])
    vars(made).update({key: unpack(item) for key, item in told["has"].items()})
    return made

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Whether a face is a picture: one on a poster or a photograph never changes.

People blink, talk and turn their heads: within half a minute the aligned face looks different. The
aligned crop moves with the head, so that a camera that drives past a poster does not make it alive.
A film on a screen does change and is not told apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE: Final = 12
_EVERY_S: Final = 0.1  # a blink takes 0.1 to 0.4 s


@dataclass(frozen=True, kw_only=True)
class StillnessOptions:
    """When a face counts as a picture.

    Attributes:
        after: seconds without a change.
        least_change: mean difference of the crop's grey levels that is a change, in their standard
            deviations. The same photograph found again differs by 0.15, at most 0.25; a calm
            person by more than 0.3 within seconds.
    """

    after: float = 30.0
    least_change: float = 0.22


@dataclass(eq=False)
class Stillness:
    """What one track has shown so far."""

    options: StillnessOptions = field(default_factory=StillnessOptions)
    _reference: NDArray[np.float32] | None = None
    _since: float = math.nan
    _stamp: float = -math.inf

    def update(self, crop: NDArray[np.uint8], stamp: float) -> bool:
        """Take one frame.

        Args:
            crop: uint8 grey aligned crop (S, S).
            stamp: time of the frame, seconds.

        Returns:
            Whether the face seems to be a picture.
        """
        if self._reference is None or stamp - self._stamp >= _EVERY_S:
            self._stamp = stamp
            small = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
            seen = small.astype(np.float32)
            # Lamps and shutters change the whole, not the relation of its parts.
            seen = (seen - seen.mean()) / max(float(seen.std()), 4.0)
            if self._reference is None or self._changed(seen - self._reference):
                self._reference, self._since = seen, stamp
        return stamp - self._since > self.options.after

    def _changed(self, difference: NDArray[np.float32]) -> bool:
        # Not at the border, where the background is.
        return float(np.abs(difference[1:-1, 1:-1]).mean()) > self.options.least_change

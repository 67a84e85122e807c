# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Whether a patient's model may replace the base: only if it is better, and forgets little.

The decision is made from answers to images that the model had not seen. They are stored with the
model (numbers only, no images), so that whoever promotes it decides again instead of trusting a
figure.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.model_files import ModelError
from emotion_perception.limited_arrays import read_arrays
from emotion_perception.training.faces import FaceSet, natural_key
from emotion_perception.training.intervals import (
    DRAWS,
    bootstrap,
    confusion_columns,
    macro_recall_of,
    paired_difference,
    recording_names,
)
from emotion_perception.valence.checkpoint import Checkpoint
from emotion_perception.valence.labels import CLASSES

HELD_OUT_FILE: Final = "held_out.npz"
_MOST_BYTES: Final = 256 << 20

BLOCK: Final = 8
"""Neighbouring frames that are drawn together where there are too few recordings to draw."""

MIN_CLUSTERS: Final = 5
"""Fewer recordings or blocks than this say nothing of chance."""

MAX_FORGETTING: Final = 1.5
"""Percentage points of accuracy on base data that a patient's model may lose."""

CERTAINTY: Final = 0.95
"""Share of the resamplings in which a model must be better than the base."""


@dataclass(frozen=True, eq=False, kw_only=True)
class HeldOut:
    """Answers of base and patient's model to images that the latter had not seen.

    Attributes:
        labels: int64 (N,), the right class of each image of the patient.
        recordings: str (N,), what each was recorded in; empty where unknown.
        persons: str (N,), who it shows; empty where unknown.
        clusters: int64 (N,), images that are near-copies of each other and are drawn together.
        folds: int64 (N,), the fold that each was held out in.
        base: float32 (N, 3), logits of the base.
        tuned: float32 (N, 3), logits of the model fine-tuned without that fold.
        other_labels: int64 (M,), the right class of images that stand for everybody else.
        other_base: float32 (M, 3), logits of the base for them.
        other_tuned: float32 (M, 3), logits of the final model for them.
    """

    labels: NDArray[np.int64]
    recordings: NDArray[np.str_]
    persons: NDArray[np.str_]
    clusters: NDArray[np.int64]
    folds: NDArray[np.int64]
    base: NDArray[np.float32]
    tuned: NDArray[np.float32]
    other_labels: NDArray[np.int64]
    other_base: NDArray[np.float32]
    other_tuned: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, like in (
            ("recordings", "labels"), ("persons", "labels"), ("clusters", "labels"),
            ("folds", "labels"), ("base", "labels"), ("tuned", "labels"),
            ("other_base", "other_labels"), ("other_tuned", "other_labels"),
        ):  # fmt: skip
            if len(getattr(self, name)) != len(getattr(self, like)):
                raise ModelError(f"{name}: expected as many entries as {like}")
        for name in ("base", "tuned", "other_base", "other_tuned"):
            logits = getattr(self, name)
            if logits.shape[1:] != (len(CLASSES),) or not np.isfinite(logits).all():
                raise ModelError(f"{name}: expected finite logits (N, {len(CLASSES)})")
        for name in ("labels", "other_labels"):
            values = getattr(self, name)
            if len(values) and not (values.min() >= 0 and values.max() < len(CLASSES)):
                raise ModelError(f"{name}: expected classes 0 to {len(CLASSES) - 1}")

    def save(self, path: Path) -> None:
        """Write everything to an ``.npz`` file."""
        np.savez_compressed(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> HeldOut:
        """Read what save wrote.

        Raises:
            ModelError: if the file is missing, damaged or of another kind.
        """
        try:
            stored = read_arrays(path, most=_MOST_BYTES)
            return cls(**{f.name: stored[f.name] for f in fields(cls)})
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{path}: no usable held-out answers ({error})") from error


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Whether a model may be promoted, and why.

    Attributes:
        allowed: whether it may.
        reasons: in plain words: what is wrong, or what speaks for it.
        figures: what the reasons rest on.
    """

    allowed: bool
    reasons: tuple[str, ...]
    figures: dict[str, Any]

    def to_card(self) -> dict[str, Any]:
        """Return plain values for a card."""
        return {"allowed": self.allowed, "reasons": list(self.reasons), **self.figures}


def decide(held_out: HeldOut, max_forgetting: float = MAX_FORGETTING, seed: int = 0) -> Decision:
    """Compare a patient's model with the base.

    It must have the higher mean recall of the classes in 95 % of the resamplings of whole
    recordings or blocks of frames (single frames are near-copies of each other), must not be worse
    on any one recording beyond its interval, and must lose less accuracy on base data than the
    bound.

    Args:
        held_out: the answers.
        max_forgetting: bound in percentage points.
        seed: of the resampling.
    """
    against = [
        *_against_few(held_out),
        *_against_forgetting(held_out, max_forgetting),
    ]
    figures: dict[str, Any] = {
        "max_forgetting_points": max_forgetting,
        "base_images": len(held_out.other_labels),
    }
    if len(held_out.other_labels):
        figures["forgetting_points"] = round(forgetting(held_out), 3)
    if not len(held_out.labels):
        return Decision(allowed=False, reasons=tuple(against), figures=figures)
    gain, share = _gain(held_out, seed)
    base, tuned = (_macro_recall(held_out.labels, p) for p in (held_out.base, held_out.tuned))
    difference = paired_difference(
        held_out.base, held_out.tuned, held_out.labels, clusters=held_out.clusters, seed=seed
    )
    figures |= {
        "images": len(held_out.labels),
        "clusters": len(np.unique(held_out.clusters)),
        "macro_recall_base": round(base, 4),
        "macro_recall": round(tuned, 4),
        "gain_points": round(100 * gain, 2),
        "gain_interval_points": [
            round(100 * end, 2) for end in difference.macro_recall_interval
        ],
        "accuracy_gain_points": round(100 * difference.accuracy, 2),
        "better_in_share_of_draws": round(share, 4),
        "draws": DRAWS,
    }  # fmt: skip
    compared = (
        f"on the patient's held-out images the mean recall of the classes is {100 * tuned:.1f} %, "
        f"that of the base {100 * base:.1f} %"
    )
    chance = (
        f"better in {100 * share:.0f} % of {DRAWS} resamplings of {figures['clusters']} recordings "
        f"or blocks of frames"
    )
    if gain <= 0:
        against.insert(0, f"it does not beat the base: {compared}")
    elif share < CERTAINTY:
        against.insert(
            0, f"its gain may be chance: {compared}, {chance}; {100 * CERTAINTY:.0f} % are wanted"
        )
    against += _against_recordings(held_out, seed)
    if against:
        return Decision(allowed=False, reasons=tuple(against), figures=figures)
    kept = f"{forgetting(held_out):.1f} points of accuracy are forgotten on base data"
    return Decision(allowed=True, reasons=(f"{compared}, {chance}", kept), figures=figures)


def decide_again(checkpoint: Checkpoint) -> Decision:
    """Decide from the answers stored with a version, by the bound stated when it was made.

    Raises:
        ModelError: if they are missing, were exchanged, or contradict the card.
    """
    where = checkpoint.directory
    if HELD_OUT_FILE not in checkpoint.files:
        raise ModelError(
            f"{where}: no held-out answers belong to this model, so nothing shows that it is better"
        )
    told = checkpoint.figures.get("promotion")
    bound = told.get("max_forgetting_points") if isinstance(told, dict) else None
    if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not 0 <= bound <= 100:
        raise ModelError(
            f"{where}: the card states no bound figures.promotion.max_forgetting_points"
        )
    decision = decide(HeldOut.load(where / HELD_OUT_FILE), float(bound))
    if told != decision.to_card():
        raise ModelError(
            f"{where}: figures.promotion of the card does not follow from {HELD_OUT_FILE}; the "
            f"card was changed, or this software decides otherwise now: fine-tune again"
        )
    return decision


def forgetting(held_out: HeldOut) -> float:
    """Return the accuracy lost on base data, percentage points; negative if some was won."""
    labels = held_out.other_labels
    before = (held_out.other_base.argmax(axis=1) == labels).mean()
    after = (held_out.other_tuned.argmax(axis=1) == labels).mean()
    return float(100 * (before - after))


def clusters_of_frames(faces: FaceSet) -> NDArray[np.int64]:
    """Say which images are near-copies: those of a recording, or blocks of its neighbouring frames.

    Recordings as a whole where there are at least twice MIN_CLUSTERS of them. Otherwise each is
    parted into blocks of BLOCK frames in the order of the file names; an image of no recording
    stands alone.

    Returns:
        int64 (N,).
    """
    names = recording_names(faces)
    known, recording = np.unique(names, return_inverse=True)
    whole = len(known) - ("" in known.tolist()) >= 2 * MIN_CLUSTERS
    order = sorted(range(len(faces)), key=lambda index: natural_key(str(faces.files[index])))
    seen: dict[int, int] = {}
    keys = np.empty((len(faces), 2), np.int64)
    for index in order:
        place = seen[recording[index]] = seen.get(recording[index], -1) + 1
        if not names[index]:
            keys[index] = recording[index], place
        else:
            keys[index] = recording[index], 0 if whole else place // BLOCK
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _against_few(held_out: HeldOut) -> list[str]:
    against = []
    missing = [name for index, name in enumerate(CLASSES) if not (held_out.labels == index).any()]
    if missing:
        against.append(f"no held-out image of the class {' or '.join(missing)} tells how it does")
    clusters = len(np.unique(held_out.clusters))
    if clusters < MIN_CLUSTERS:
        against.append(
            f"{clusters} held-out recordings or blocks of {BLOCK} frames are too few to tell a "
            f"gain from chance; at least {MIN_CLUSTERS} are needed"
        )
    return against


def _against_forgetting(held_out: HeldOut, bound: float) -> list[str]:
    if not len(held_out.other_labels):
        return ["no base data were given, so nobody knows what it forgot (--base-data)"]
    lost = forgetting(held_out)
    if lost < bound:
        return []
    return [f"it forgets too much: {lost:.1f} points of accuracy on base data, allowed {bound:g}"]


def _against_recordings(held_out: HeldOut, seed: int) -> list[str]:
    against = []
    for name in np.unique(held_out.recordings[held_out.recordings != ""]).tolist():
        here = held_out.recordings == name
        if len(np.unique(held_out.clusters[here])) < MIN_CLUSTERS:
            continue
        found = paired_difference(
            held_out.base[here], held_out.tuned[here], held_out.labels[here],
            clusters=held_out.clusters[here], seed=seed,
        )  # fmt: skip
        if found.macro_recall_interval[1] < 0:
            against.append(
                f"it is worse on the recording {name}: {100 * found.macro_recall:.1f} points of "
                f"mean recall"
            )
    return against


def _gain(held_out: HeldOut, seed: int) -> tuple[float, float]:
    """Return the gain in macro recall, and the share of draws in which there is one."""
    columns = np.hstack(
        [confusion_columns(held_out.labels, p.argmax(axis=1))
         for p in (held_out.base, held_out.tuned)]
    )  # fmt: skip
    cells = len(CLASSES) ** 2

    def gain(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return macro_recall_of(sums[:, cells:]) - macro_recall_of(sums[:, :cells])

    drawn = bootstrap(columns, {"gain": gain}, clusters=held_out.clusters, seed=seed)["gain"]
    drawn = np.round(drawn[np.isfinite(drawn)], 12)
    share = float((drawn > 0).mean() + (drawn == 0).mean() / 2) if len(drawn) else 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        point = float(gain(columns.sum(axis=0, keepdims=True))[0])
    return point, share


def _macro_recall(labels: NDArray[np.int64], logits: NDArray[np.float32]) -> float:
    columns = confusion_columns(labels, logits.argmax(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(macro_recall_of(columns.sum(axis=0, keepdims=True))[0])

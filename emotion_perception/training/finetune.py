# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From base weights to a patient's model, with figures on what it had not seen.

Every fold is fine-tuned and scored on its held-out part; the model that is kept learns from all
images. Where the folds are, how far the model may go from the base, its temperature and its
threshold are chosen on held-out images, and so is whether it may be promoted.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

import emotion_perception
from emotion_perception.training.adapt import (
    Adaptation,
    Faces,
    adapt,
    adapt_to_look,
    mixed,
    predict,
)
from emotion_perception.training.export import export_checkpoint
from emotion_perception.training.faces import DataError, FaceSet, concatenate
from emotion_perception.training.intervals import paired_difference
from emotion_perception.training.look import PatientLook
from emotion_perception.training.mixing import MIXES, best_mix, cross_fitted
from emotion_perception.training.patients import (
    DiskFullError,
    check_pseudonym,
    is_disk_full,
    make_private,
    patient_folder,
)
from emotion_perception.training.promotion import (
    HELD_OUT_FILE,
    MAX_FORGETTING,
    Decision,
    HeldOut,
    clusters_of_frames,
    decide,
)
from emotion_perception.training.registry import private_folder, publish
from emotion_perception.training.rounds import (
    Round,
    checked_rounds,
    make_rounds,
    require_images,
    union,
)
from emotion_perception.valence.backends import load_network
from emotion_perception.valence.calibration import calibrate
from emotion_perception.valence.checkpoint import Checkpoint
from emotion_perception.valence.labels import CLASSES

logger = logging.getLogger(__name__)

FOLDS_FILE: Final = "folds.csv"
PERSONS_FILE: Final = "persons.csv"

_LOOK_IMAGES: Final = 300
"""Base images that the patient's are compared with."""


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions:
    """Settings of a fine-tuning.

    Attributes:
        adaptation: how each network learns.
        folds: rounds of cross-validation.
        max_forgetting: percentage points of accuracy on base data that may be lost.
        seed: of everything random.
        results_per_person: write a table of the persons too.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show a bar.
    """

    adaptation: Adaptation = field(default_factory=Adaptation)
    folds: int = 3
    max_forgetting: float = MAX_FORGETTING
    seed: int = 0
    results_per_person: bool = False
    device: str = "auto"
    progress: bool = False

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ValueError(f"folds: expected at least 2, got {self.folds}")
        if not 0 <= self.max_forgetting <= 100:
            raise ValueError(
                f"max_forgetting: expected 0 to 100 percentage points, got {self.max_forgetting}"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class FineTuned:
    """A new version of a patient's model.

    Attributes:
        directory: the version's folder.
        version: its number.
        decision: whether it may be promoted, and why.
        mix: share of the fine-tuned weights in it.
        folds: figures of each fold.
        persons: figures of each person; empty unless asked for.
    """

    directory: Path
    version: str
    decision: Decision
    mix: float
    folds: list[dict[str, Any]]
    persons: list[dict[str, Any]]


def finetune(
    base: Checkpoint, patient: str, faces: FaceSet | Sequence[Round], replay: FaceSet | None,
    root: Path, options: FineTuneOptions | None = None, *, base_test: FaceSet | None = None,
    resume: bool = False,
) -> FineTuned:  # fmt: skip
    """Fine-tune a base model to a patient and store the result as the patient's next version.

    Nothing is promoted here. A run that is killed leaves what it finished in a hidden folder
    beside the versions; with ``resume`` the same run goes on from there, to the same figures.

    Args:
        base: weights to start with.
        patient: pseudonym.
        faces: the patient's images, framed as the base wants them; or the rounds of a
            cross-validation that was laid out by hand.
        replay: base images to learn from besides; None to do without.
        root: of the registry.
        options: settings.
        base_test: base images that the base was not trained on, to measure what is forgotten;
            None: unknown, and the model cannot be promoted.
        resume: go on with a run of the same data and settings.

    Raises:
        DataError: if the images do not suffice, or there is nothing to resume.
        ModelError: if the base is of another architecture or damaged.
        DiskFullError: no space is left; no half-written version stays.
    """
    options = options or FineTuneOptions()
    check_pseudonym(patient)
    network = load_network(base.weights_file, base)
    rounds = make_rounds(faces, options.folds, options.seed) if isinstance(faces, FaceSet) else (
        checked_rounds(faces)
    )  # fmt: skip
    everything = faces.labelled() if isinstance(faces, FaceSet) else union(rounds)
    _check_images(everything, base)
    if replay is None and options.adaptation.base_percentage:
        logger.warning("no base data: the model learns from the patient's images alone")
    folder = private_folder(root, patient)
    key = _fingerprint(base, rounds, replay, options)
    state = folder / f".unfinished-{key}"
    if resume and not state.is_dir():
        raise DataError(f"{folder}: no unfinished run of these data and settings to resume")
    if not resume:
        shutil.rmtree(state, ignore_errors=True)
    make_private(state)
    runs = _Runs(network, base, None if replay is None else _replay(replay, base), options, state)
    try:
        result = _finetune(runs, patient, rounds, everything, base_test, root)
    except (OSError, SafetensorError, RuntimeError) as error:
        if _is_full(error):
            shutil.rmtree(state, ignore_errors=True)
            raise DiskFullError(f"{folder}: the disk is full; no version was written") from error
        raise
    except (KeyboardInterrupt, SystemExit):  # the latter is what Lightning makes of Ctrl-C
        logger.warning("interrupted; the same command with --resume goes on")
        raise
    shutil.rmtree(state, ignore_errors=True)
    return result


class _Runs:
    """The networks of one fine-tuning: trained, or found finished in the state of a killed run."""

    def __init__(
        self, network: nn.Module, base: Checkpoint, replay: Faces | None, options: FineTuneOptions,
        state: Path,
    ) -> None:  # fmt: skip
        self.network, self.base, self.replay = network, base, replay
        self.options, self.state = options, state
        self.min_std = base.preprocessing.min_std
        self.start: nn.Module = network
        self.look: PatientLook | None = None

    def learn_look(self, everything: FaceSet) -> None:
        """Start from a network that knows the patient's camera, if base images are there.

        The look is that of all images, the held out ones too, but of no label.
        """
        adaptation = self.options.adaptation
        if self.replay is None or not adaptation.base_percentage * adaptation.look_percentage:
            return
        own = _tensors(everything)[0]
        some = np.random.default_rng(self.options.seed).permutation(len(self.replay[0]))
        self.look = PatientLook(own, self.replay[0][some[:_LOOK_IMAGES]], self.min_std)
        if not adaptation.look_images:
            return
        look, replay = self.look, self.replay
        self.start = self._kept(
            "look",
            lambda: adapt_to_look(
                self.network, look, replay, adaptation, min_std=self.min_std,
                seed=self.options.seed, device=self.options.device, progress=self.options.progress,
            ),
        )  # fmt: skip

    def tuned(self, index: int, name: str, faces: FaceSet) -> nn.Module:
        """Return the network fine-tuned on these faces; each has a seed of its own."""
        logger.info("%s: %d images", name, len(faces))
        return self._kept(
            str(index),
            lambda: adapt(
                self.start, _tensors(faces), self.replay, self.options.adaptation,
                min_std=self.min_std, seed=self.options.seed + 1000 * index, look=self.look,
                device=self.options.device, progress=self.options.progress,
            ),
        )  # fmt: skip

    def _kept(self, name: str, make: Callable[[], nn.Module]) -> nn.Module:
        """Return a network that a killed run finished, or make and keep it."""
        path = self.state / f"{name}.safetensors"
        if path.is_file():
            logger.info("finished before")
            return load_network(path, self.base)
        network = make()
        beside = path.with_suffix(".part")
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, beside)
        beside.replace(path)
        return network

    def logits(self, network: nn.Module, faces: FaceSet) -> NDArray[np.float32]:
        """Return logits float32 (N, 3)."""
        found: NDArray[np.float32] = predict(network, _tensors(faces)[0], self.min_std).numpy()
        return found

    def mixed(self, tuned: nn.Module) -> list[nn.Module]:
        """Return the networks between base and tuned, in the order of MIXES."""
        return [mixed(self.network, tuned, share) for share in MIXES]


def _finetune(
    runs: _Runs, patient: str, rounds: Sequence[Round], everything: FaceSet,
    base_test: FaceSet | None, root: Path,
) -> FineTuned:  # fmt: skip
    options, base = runs.options, runs.base
    held_out = concatenate([part.test for part in rounds])
    folds = np.repeat(np.arange(len(rounds)), [len(part.test) for part in rounds])
    runs.learn_look(everything)
    answers = []
    for index, part in enumerate(rounds):
        tuned = runs.tuned(index + 1, part.name, part.train)
        answers.append(np.stack([runs.logits(net, part.test) for net in runs.mixed(tuned)]))
    every = np.concatenate(answers, axis=1)
    final = runs.mixed(runs.tuned(0, "all images", everything))
    choosing, judging = _halves(base_test)
    allowed = _allowed(runs, final, choosing)
    mix = best_mix(every[: allowed + 1], held_out.labels)
    network = final[mix]
    logger.info("share of the fine-tuned weights: %.2f", MIXES[mix])
    answered = HeldOut(
        labels=held_out.labels,
        recordings=held_out.recordings,
        persons=held_out.persons,
        clusters=clusters_of_frames(held_out),
        folds=folds,
        base=runs.logits(runs.network, held_out),
        tuned=cross_fitted(every[: allowed + 1], held_out.labels, folds),
        other_labels=np.empty(0, np.int64) if judging is None else judging.labels,
        other_base=_or_none(runs, runs.network, judging),
        other_tuned=_or_none(runs, network, judging),
    )
    decision = decide(answered, options.max_forgetting)
    calibration = calibrate(
        answered.tuned, answered.labels, clusters=answered.clusters,
        prior_temperature=base.temperature, seed=options.seed,
    )  # fmt: skip
    tables = {FOLDS_FILE: _table(answered, answered.folds, [part.name for part in rounds], "fold")}
    if options.results_per_person:
        names, number = np.unique(answered.persons, return_inverse=True)
        tables[PERSONS_FILE] = _table(answered, number, names.tolist(), "person")
    card = {
        "name": f"valence-{patient}",
        "version": "0000",
        "licence": "private: made from images of a patient",
        **calibration.to_card(),
        "training": {
            "patient": patient,
            "base_model": base.model_id,
            "images": everything.counts(),
            "recordings": sorted(set(everything.recordings.tolist()) - {""}),
            "base_images": 0 if runs.replay is None else len(runs.replay[0]),
            "mix": MIXES[mix],
            "options": asdict(options.adaptation) | {"folds": options.folds, "seed": options.seed},
            "software": {
                "emotion_perception": emotion_perception.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        },
        "figures": {"promotion": decision.to_card(), "folds": tables[FOLDS_FILE]},
    }
    directory = _store(runs, patient, network, card, answered, tables, root)
    return FineTuned(
        directory=directory, version=directory.name, decision=decision, mix=MIXES[mix],
        folds=tables[FOLDS_FILE], persons=tables.get(PERSONS_FILE, []),
    )  # fmt: skip


def _store(
    runs: _Runs, patient: str, network: nn.Module, card: dict[str, Any], answered: HeldOut,
    tables: dict[str, list[dict[str, Any]]], root: Path,
) -> Path:  # fmt: skip
    """Build the version beside its place, then move it there."""
    staging = Path(tempfile.mkdtemp(prefix=".new-", dir=patient_folder(root, patient)))
    try:
        made = staging / "version"
        export_checkpoint(network, made, runs.base.preprocessing, card)
        answered.save(made / HELD_OUT_FILE)
        for name, rows in tables.items():
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            (made / name).write_text(text.getvalue(), encoding="utf-8")
        return publish(root, patient, made)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _allowed(runs: _Runs, final: Sequence[nn.Module], faces: FaceSet | None) -> int:
    """Return the index of the largest mix that forgets less than two thirds of the bound."""
    if faces is None:
        return len(final) - 1
    base = (runs.logits(runs.network, faces).argmax(axis=1) == faces.labels).mean()
    for index in reversed(range(1, len(final))):
        now = (runs.logits(final[index], faces).argmax(axis=1) == faces.labels).mean()
        if 100 * (base - now) < runs.options.max_forgetting * 2 / 3:
            return index
    return 0


def _table(
    answered: HeldOut, number: NDArray[np.int64], names: Sequence[str], what: str
) -> list[dict[str, Any]]:
    """Return the figures of base and tuned model for each fold or person."""
    rows = []
    for index, name in enumerate(names):
        here = number == index
        labels = answered.labels[here]
        found = paired_difference(
            answered.base[here], answered.tuned[here], labels, clusters=answered.clusters[here]
        )
        right = (answered.base[here].argmax(axis=1) == labels).mean()
        low, high = found.accuracy_interval
        rows.append(
            {
                what: name,
                "images": len(labels),
                "base_accuracy": round(float(right), 4),
                "accuracy": round(float(right) + found.accuracy, 4),
                "accuracy_gain": round(found.accuracy, 4),
                "gain_low": round(low, 4),
                "gain_high": round(high, 4),
                "macro_recall_gain": round(found.macro_recall, 4),
            }
        )
    return rows


def _halves(faces: FaceSet | None) -> tuple[FaceSet | None, FaceSet | None]:
    """Part base images into those that choose and those that judge."""
    labelled = None if faces is None else faces.labelled()
    if labelled is None or len(labelled) < 2:
        return None, None
    at = np.arange(len(labelled))
    return labelled.subset(at[::2]), labelled.subset(at[1::2])


def _or_none(runs: _Runs, network: nn.Module, faces: FaceSet | None) -> NDArray[np.float32]:
    if faces is None:
        return np.empty((0, len(CLASSES)), np.float32)
    return runs.logits(network, faces)


def _check_images(faces: FaceSet, base: Checkpoint) -> None:
    require_images(faces)
    size = base.preprocessing.size
    if faces.images.shape[1:] != (size, size):
        raise DataError(
            f"images: expected crops of {size}x{size} as {base.model_id} wants them, got "
            f"{faces.images.shape[1:]}"
        )


def _tensors(faces: FaceSet) -> Faces:
    return torch.from_numpy(faces.images)[:, None], torch.from_numpy(faces.soft_targets)


def _replay(faces: FaceSet, base: Checkpoint) -> Faces:
    """Return the base images of which most votes name a valence."""
    usable = faces.subset(
        (faces.weight >= 0.5 * faces.weight.max(initial=0)) & faces.valence.any(1)
    )
    if not len(usable):
        raise DataError("base data: no image with a valence")
    size = base.preprocessing.size
    if usable.images.shape[1:] != (size, size):
        raise DataError(
            f"base data: expected crops of {size}x{size}, got {usable.images.shape[1:]}"
        )
    return _tensors(usable)


def _fingerprint(
    base: Checkpoint, rounds: Sequence[Round], replay: FaceSet | None, options: FineTuneOptions
) -> str:
    """Return what tells one run from another: weights, images, labels and settings."""
    digest = hashlib.sha256(json.dumps([base.files, asdict(options.adaptation), options.seed],
                                       sort_keys=True).encode())  # fmt: skip
    sets = [part for item in rounds for part in (item.train, item.test)]
    for faces in [*sets, *([replay] if replay is not None else [])]:
        digest.update(faces.images.tobytes())
        digest.update(faces.valence.tobytes())
    return digest.hexdigest()[:16]


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return is_disk_full(error)
    # safetensors and torch tell the system's error in words only.
    codes = ("os error 28", "os error 27", "os error 122", os.strerror(28), os.strerror(27))
    return any(code in str(error) for code in codes)

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Whose model judges: loading, checking and exchanging it while the node runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from emotion_perception.faces.enrolment import ENROLMENT_FILE, load_enrolment, read_key
from emotion_perception.faces.identity import FaceIdentity
from emotion_perception.faces.model_files import ModelError
from emotion_perception.models import find_model
from emotion_perception.pipeline import BASE_MODEL, ReactionPipeline
from emotion_perception.reaction.scene import Enrolled
from emotion_perception.training.faces import DataError
from emotion_perception.training.promotion import decide_again
from emotion_perception.training.registry import (
    load_version,
    patients,
    patients_root,
    read_current,
)
from emotion_perception.valence.model import Model, key_of

_KEPT: Final = 3  # models that stay loaded, so that changing back costs nothing


@dataclass(frozen=True)
class Serving:
    """Who is served, and by which model; never changed, only exchanged as a whole.

    Attributes:
        patient_id: pseudonym, empty for nobody in particular.
        model: what judges.
        version: of the patient's model; empty for the base.
        enrolled: how the patient is recognised, where that is asked for.
    """

    patient_id: str
    model: Model
    version: str = ""
    enrolled: Enrolled | None = None


class ModelLoader:
    """Loads models beside the running node, one after another.

    Args:
        pipeline: whose device and threads they are loaded for.
        base: folder of the base model; None for the shipped one.
        root: of the patients' models; None for the usual place.
        key_file: of the enrolments' key; None recognises nobody.
        must_recognise: tells whether a patient who cannot be recognised is refused.
    """

    def __init__(
        self, pipeline: ReactionPipeline, base: Path | None, root: Path | None,
        key_file: Path | None = None, must_recognise: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        self._pipeline = pipeline
        self._base = base
        self._root = patients_root(root)
        self._key_file = key_file
        self._must_recognise = must_recognise
        self._identity: FaceIdentity | None = None
        self._loading = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model loader")
        # By configuring, thereafter by that thread alone.
        self._loaded = OrderedDict({pipeline.model.key: pipeline.model})

    def known(self, patient_id: str) -> bool:
        """Whether a patient has a folder among the models; quick."""
        return patient_id in patients(self._root)

    def load(self, patient_id: str, version: str = "", *, lenient: bool = False) -> Serving:
        """Load a patient's model and try it.

        Args:
            patient_id: pseudonym; empty for the base model.
            version: of the patient's models; empty for the promoted one, and where none is
                promoted the base.
            lenient: whether somebody unknown may be served, by the base model.

        Raises:
            ModelError: if the model is missing, damaged, another patient's, or worse than the
                base; the message says what to do.
        """
        serving = self._load(patient_id, version, lenient)
        return replace(serving, enrolled=self._enrolled(patient_id))

    def _load(self, patient_id: str, version: str, lenient: bool) -> Serving:
        if not patient_id:
            if version:
                raise ModelError(f"version {version!r} of whom? patient_id is empty")
            return self._by_base("")
        if not self.known(patient_id):
            if lenient:
                return self._by_base(patient_id)
            # Not who they are: whoever asks may know this one only.
            count = len(patients(self._root))
            raise ModelError(
                f"unknown patient {patient_id!r}: {self._root} has models of {count} others"
            )
        try:
            version = version or read_current(self._root, patient_id).version or ""
            if not version:
                return self._by_base(patient_id)
            checkpoint = load_version(self._root, patient_id, version)
            known = self._loaded.get(key_of(checkpoint))
            if known is not None:  # the same files were found good before
                return Serving(patient_id, known, version)
            decision = decide_again(checkpoint)
        except DataError as error:
            raise ModelError(str(error)) from error
        if not decision.allowed:
            raise ModelError(
                f"{patient_id} {version} is not better than the base: {'; '.join(decision.reasons)}"
            )
        return Serving(patient_id, self._ready(checkpoint.directory), version)

    def load_beside(
        self, patient_id: str, version: str, done: Callable[[Serving | ModelError], None],
        lenient: bool = False,
    ) -> None:  # fmt: skip
        """Load in another thread; ``done`` is called with what came of it, whatever happens."""

        def work() -> None:
            found: Serving | ModelError
            self._loading = True
            try:
                found = self.load(patient_id, version, lenient=lenient)
            except ModelError as error:
                found = error
            except Exception as error:  # whatever it is, the old model stays in use
                found = ModelError(f"{patient_id}: {type(error).__name__}: {error}")
            self._loading = False
            done(found)

        def cancelled(job: Future[None]) -> None:
            if job.cancelled():
                done(ModelError("the node was cleaned up"))

        try:
            self._thread.submit(work).add_done_callback(cancelled)
        except RuntimeError:  # closed already
            done(ModelError("the node was cleaned up"))

    @property
    def busy(self) -> bool:
        """Whether something is being loaded."""
        return self._loading

    def close(self) -> None:
        """End the thread when it has loaded what it loads; what waits is not loaded any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _by_base(self, patient_id: str) -> Serving:
        return Serving(patient_id, self._ready(self._base or find_model(BASE_MODEL)))

    def _enrolled(self, patient_id: str) -> Enrolled | None:
        """Return how to recognise a patient; None where nobody asked for it."""
        path = self._root / patient_id / ENROLMENT_FILE
        if patient_id and self._key_file is not None and path.is_file():
            if self._identity is None:
                self._identity = FaceIdentity()
            identity = self._identity
            enrolment = load_enrolment(
                path, read_key(self._key_file), patient=patient_id, model_id=identity.model_id
            )
            return Enrolled(
                recognise=lambda crop: enrolment.likeness(identity.embed([crop])[0]),
                threshold=enrolment.threshold,
            )
        if self._must_recognise():
            missing = (
                "patient_id is empty" if not patient_id
                else "enrolment_key_file is empty" if self._key_file is None
                else f"there is no {path}; emotion-perception enrol {patient_id} makes it"
            )  # fmt: skip
            raise ModelError(f"the partner is to be the enrolled patient, but {missing}")
        return None

    def _ready(self, folder: Path) -> Model:
        """Return a model that has judged once; the files are verified every time."""
        model = self._pipeline.load(folder, self._loaded)
        if model.key not in self._loaded:
            model.warm_up()
            if not np.isfinite(model.judge([model.blank])).all():
                raise ModelError(f"{folder}: its answers are not numbers")
        self._loaded[model.key] = model
        self._loaded.move_to_end(model.key)
        while len(self._loaded) > _KEPT:
            self._loaded.popitem(last=False)
        return model

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("lightning")

from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.training.augment import Augmentation
from emotion_perception.training.evaluate import evaluate_judged, judge
from emotion_perception.training.fer import load_fer
from emotion_perception.training.module import ValenceModule
from emotion_perception.training.train import TrainingOptions, train

# Thirty drawn faces teach nothing if the mouth, which alone tells the class, is hidden in some.
GENTLE = Augmentation(
    roll=5, strong_roll_share=0, zoom=0.05, shift=0.02, dark=0, low_resolution=0, blur=0,
    partial_blur=0, occlusion=0, cover=0, jpeg=0,
)  # fmt: skip
OPTIONS = TrainingOptions(
    augmentation=GENTLE,
    epochs=40, batch_size=10, lr=0.05, ema_decay=0.5,
    patience=40, emotion_weight=0.1, precision="32-true",
    arguments={"widths": (8, 16, 16), "depths": (1, 1), "dropout": 0.0},
)  # fmt: skip


def evaluated(model, fer_dir):
    labelled = load_fer(fer_dir, "test").labelled()
    return evaluate_judged(judge(ReactionPipeline(model), labelled), labelled)


def test_training_learns_and_writes_a_checkpoint(fer_dir, tmp_path):
    output = tmp_path / "model"
    train([f"fer-plus:{fer_dir}"], tmp_path / "runs", output, "9.9.9", OPTIONS)
    result = evaluated(output, fer_dir)
    assert result.images == 15
    assert result.accuracy > 0.8  # drawn smiles are easy; chance is a third
    card = json.loads((output / "card.json").read_text())
    assert card["version"] == "9.9.9"
    assert card["training"]["options"]["epochs"] == 40
    assert (tmp_path / "runs" / "metrics.csv").is_file()


def test_interrupted_run_ends_in_the_same_weights(fer_dir, tmp_path, monkeypatch, caplog):
    from safetensors.numpy import load_file

    data = [f"fer-plus:{fer_dir}"]
    options = replace(OPTIONS, epochs=4, mixup=0.2, augmentation=Augmentation(dark=0.5, blur=0.5))
    train(data, tmp_path / "whole", tmp_path / "unbroken", "1", options)
    step = ValenceModule.training_step

    def interrupted(self, batch, index):
        if self.current_epoch == 2 and index == 1:
            raise KeyboardInterrupt  # as Ctrl-C does
        return step(self, batch, index)

    monkeypatch.setattr(ValenceModule, "training_step", interrupted)
    with pytest.raises(SystemExit):
        train(data, tmp_path / "runs", tmp_path / "model", "1", options)
    assert not (tmp_path / "model").exists()
    last = tmp_path / "runs" / "last.ckpt"
    assert str(last) in caplog.text
    monkeypatch.undo()
    train(data, tmp_path / "runs", tmp_path / "model", "1", options, resume=last)
    whole, broken = (load_file(tmp_path / n / "model.safetensors") for n in ("unbroken", "model"))
    for name, values in whole.items():
        np.testing.assert_array_equal(values, broken[name], err_msg=name)
    assert (tmp_path / "model" / "card.json").read_text() == (
        tmp_path / "unbroken" / "card.json"
    ).read_text()


def test_interrupted_in_the_first_epoch_says_that_nothing_was_saved(
    fer_dir, tmp_path, monkeypatch, caplog
):
    def interrupted(self, batch, index):
        raise KeyboardInterrupt

    monkeypatch.setattr(ValenceModule, "training_step", interrupted)
    with pytest.raises(SystemExit):
        train([f"fer-plus:{fer_dir}"], tmp_path / "r", tmp_path / "m", "1", OPTIONS)
    assert "nothing was saved" in caplog.text


def test_existing_output_is_refused_before_training(fer_dir, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError, match="choose another"):
        train([f"fer-plus:{fer_dir}"], tmp_path / "runs", tmp_path / "there", "1", OPTIONS)
    assert not (tmp_path / "runs").exists()


def test_second_head_stays_out_of_the_checkpoint(fer_dir, tmp_path):
    from safetensors.numpy import load_file

    train([f"fer-plus:{fer_dir}"], tmp_path / "r", tmp_path / "m", "1", replace(OPTIONS, epochs=1))
    names = load_file(tmp_path / "m" / "model.safetensors")
    assert not any("emotions" in name for name in names)
    assert all(np.isfinite(value).all() for value in names.values())


def test_a_teacher_is_asked_once_and_shapes_the_targets(fer_dir, tmp_path, caplog):
    from emotion_perception.training.module import FaceDataset
    from emotion_perception.training.train import teach
    from emotion_perception.valence.checkpoint import load_checkpoint

    data = [f"fer-plus:{fer_dir}"]
    train(data, tmp_path / "r1", tmp_path / "teacher", "1", replace(OPTIONS, epochs=1))
    teacher = [tmp_path / "teacher"]
    options = replace(OPTIONS, epochs=1, mixup=0.2)
    train(data, tmp_path / "r2", tmp_path / "m", "1", options, teachers=teacher)
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    known = load_checkpoint(tmp_path / "teacher")
    assert card["training"]["teachers"] == [known.model_id]

    faces = load_fer(fer_dir, "train")
    with caplog.at_level("INFO"):
        answer = teach([known], faces, tmp_path / "r2" / "teacher.npz")
    assert "asking" not in caplog.text  # the run has left its answers there
    pipeline = ReactionPipeline(tmp_path / "teacher")
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in faces.images]
    expected = (pipeline.classify(list(faces.images)) + pipeline.classify(mirrored)) / 2
    np.testing.assert_allclose(answer, expected, atol=1e-5)
    dataset = FaceDataset(faces, options.preprocessing, answer, 0.25)
    mixed = 0.75 * faces.weight[:, None] * faces.soft_targets + 0.25 * answer
    total = 0.75 * faces.weight + 0.25
    np.testing.assert_allclose(dataset.valence, mixed / total[:, None], atol=1e-5)
    np.testing.assert_allclose(dataset.weight, total, atol=1e-6)

    other = faces.subset([0, 1])
    assert len(teach([known], other, tmp_path / "r2" / "teacher.npz")) == 2  # not the stored ones


def test_sources_without_validation_are_refused(tmp_path):
    from emotion_perception.training.faces import DataError

    for name in ("negative", "neutral", "positive"):
        (tmp_path / "data" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="validation"):
        train([f"folders:{tmp_path / 'data'}"], tmp_path / "r", tmp_path / "m", "1", OPTIONS)


def test_state_of_another_architecture_is_refused(fer_dir, tmp_path):
    from emotion_perception.training.faces import DataError

    data = [f"fer-plus:{fer_dir}"]
    train(data, tmp_path / "r", tmp_path / "m", "1", replace(OPTIONS, epochs=1))
    wider = replace(OPTIONS, epochs=1, arguments={"widths": (8, 16, 24), "depths": (1, 1)})
    with pytest.raises(DataError, match=r"last\.ckpt: the state of another architecture"):
        train(data, tmp_path / "r2", tmp_path / "m2", "1", wider,
              start_from=tmp_path / "r" / "last.ckpt")  # fmt: skip
    assert not (tmp_path / "m2").exists()


def test_a_wider_network_can_be_gone_on_from(fer_dir, tmp_path):
    data = [f"fer-plus:{fer_dir}"]
    train(data, tmp_path / "r", tmp_path / "m", "1", replace(OPTIONS, epochs=30))
    slim = {"widths": (8, 16, 12), "depths": (1, 1), "dropout": 0.0}
    train(data, tmp_path / "r2", tmp_path / "m2", "1",
          replace(OPTIONS, epochs=20, arguments=slim), start_from=tmp_path / "r" / "last.ckpt",
    )  # fmt: skip
    card = json.loads((tmp_path / "m2" / "card.json").read_text())
    assert card["architecture"]["arguments"]["widths"] == [8, 16, 12]
    result = evaluated(tmp_path / "m2", fer_dir)
    assert result.accuracy > 0.8


def test_the_last_epochs_are_mild_and_without_mixup(fer_dir, tmp_path, monkeypatch):
    from emotion_perception.training import module
    from emotion_perception.training.augment import PRESETS

    seen, mixed = [], []
    bend, mix = Augmentation.__call__, module._mix

    def recorded(self, images):
        seen.append(self)
        return bend(self, images)

    def counted(*arguments):
        mixed.append(len(seen))
        return mix(*arguments)

    monkeypatch.setattr(Augmentation, "__call__", recorded)
    monkeypatch.setattr(module, "_mix", counted)
    options = replace(OPTIONS, epochs=4, batch_size=30, settle=0.5, mixup=0.2)
    train([f"fer-plus:{fer_dir}"], tmp_path / "r", tmp_path / "m", "1", options)
    assert seen == [GENTLE] * 2 + [PRESETS["mild"]] * 2  # one batch an epoch
    assert mixed == [1, 2]

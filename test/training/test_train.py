import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("lightning")

from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.training.evaluate import evaluate_faces
from emotion_perception.training.fer import load_fer
from emotion_perception.training.module import ValenceModule
from emotion_perception.training.train import TrainingOptions, train

OPTIONS = TrainingOptions(
    epochs=40, batch_size=10, lr=0.05, ema_decay=0.5,
    patience=40, emotion_weight=0.1, precision="32-true",
    arguments={"widths": (8, 16, 16), "depths": (1, 1), "dropout": 0.0},
)  # fmt: skip


def test_training_learns_and_writes_a_checkpoint(fer_dir, tmp_path):
    output = tmp_path / "model"
    train([f"fer-plus:{fer_dir}"], tmp_path / "runs", output, "9.9.9", OPTIONS)
    pipeline = ReactionPipeline(output)
    result = evaluate_faces(pipeline, load_fer(fer_dir, "test"))
    assert result.images == 15
    assert result.accuracy > 0.8  # drawn smiles are easy; chance is a third
    card = json.loads((output / "card.json").read_text())
    assert card["version"] == "9.9.9"
    assert card["training"]["options"]["epochs"] == 40
    assert (tmp_path / "runs" / "metrics.csv").is_file()


def test_interrupted_run_can_be_resumed(fer_dir, tmp_path, monkeypatch):
    options = replace(OPTIONS, epochs=3)
    step = ValenceModule.training_step

    def interrupted(self, batch, index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt  # as Ctrl-C does
        return step(self, batch, index)

    monkeypatch.setattr(ValenceModule, "training_step", interrupted)
    with pytest.raises(SystemExit):
        train([f"fer-plus:{fer_dir}"], tmp_path / "runs", tmp_path / "model", "1", options)
    assert not (tmp_path / "model").exists()
    monkeypatch.undo()
    last = tmp_path / "runs" / "last.ckpt"
    train([f"fer-plus:{fer_dir}"], tmp_path / "runs", tmp_path / "model", "1", options, resume=last)
    assert (tmp_path / "model" / "card.json").is_file()


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

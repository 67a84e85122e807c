# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The calibrate and evaluate commands, on the shipped network and drawn faces."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from emotion_perception.cli import app
from emotion_perception.faces.model_files import ModelError
from emotion_perception.models import find_model
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.training.evaluate import classify
from emotion_perception.training.fer import load_fer
from emotion_perception.training.recalibrate import calibrate_on, logits_of, recalibrate
from emotion_perception.valence.calibration import softmax
from emotion_perception.valence.checkpoint import load_checkpoint


@pytest.fixture
def model(tmp_path):
    """A model of our own: the shipped one's files in another folder."""
    return shutil.copytree(find_model("valence-base"), tmp_path / "model", symlinks=False)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def card(directory):
    return json.loads((directory / "card.json").read_text(encoding="utf-8"))


def test_logits_are_those_of_the_node(fer_dir):
    faces = load_fer(fer_dir, "test")
    pipeline = ReactionPipeline()
    p = softmax(logits_of(pipeline.checkpoint, list(faces.images)), pipeline.checkpoint.temperature)
    np.testing.assert_allclose(p, classify(pipeline, faces), atol=1e-6)


def test_calibrate_changes_temperature_and_threshold_and_nothing_else(fer_dir, model):
    before = card(model)
    done = run("calibrate", "--model", model, "--data", fer_dir, "--target-accuracy", "0.4")
    assert done.exit_code == 0, done.output
    after = card(model)
    assert after["temperature"] != before["temperature"]
    assert after["confidence_threshold"] != before["confidence_threshold"]
    assert after["calibration"]["target_accuracy"] == 0.4
    assert after["calibration"]["images"] == 15
    assert after["calibration"]["data"] == "fer-plus, validation"
    assert after["figures"] == {}  # they were measured with the old calibration
    for name in ("name", "version", "files", "architecture", "preprocessing", "training"):
        assert after[name] == before[name]
    pipeline = ReactionPipeline(model)
    assert pipeline.confidence_threshold == after["confidence_threshold"]


def test_shipped_model_is_not_changed_but_can_be_copied(fer_dir, tmp_path):
    shipped = find_model("valence-base")
    before = (shipped / "card.json").read_bytes()
    done = run("calibrate", "--model", shipped, "--data", fer_dir)
    assert done.exit_code != 0
    assert "is shipped" in str(done.exception)
    copy = tmp_path / "copy"
    done = run("calibrate", "--model", shipped, "--data", fer_dir, "--output", copy)
    assert done.exit_code == 0, done.output
    assert (shipped / "card.json").read_bytes() == before
    assert load_checkpoint(copy).version.endswith("-recalibrated")
    done = run("calibrate", "--model", shipped, "--data", fer_dir, "--output", copy)
    assert isinstance(done.exception, FileExistsError)


def test_version_of_a_patient_is_not_changed(fer_dir, model):
    fields = card(model)
    fields["training"]["patient"] = "P-1"
    (model / "card.json").write_text(json.dumps(fields))
    checkpoint = load_checkpoint(model)
    found = calibrate_on(
        checkpoint, load_fer(fer_dir, "validation"), target_accuracy=0.9, coverage_floor=0.5
    )
    with pytest.raises(ModelError, match="never changes"):
        recalibrate(checkpoint, found, data="x")
    assert card(model) == fields


def test_target_out_of_reach_is_said(fer_dir, model):
    done = run("calibrate", "--model", model, "--data", fer_dir, "--coverage-floor", "1")
    assert done.exit_code == 0
    assert "no threshold reaches 94 %" in done.output
    assert card(model)["calibration"]["reached"] is False
    done = run("calibrate", "--model", model, "--data", fer_dir, "--target-accuracy", "94")
    assert "target_accuracy: expected more than 0 and at most 1, got 94" in str(done.exception)


def test_evaluate_prints_what_it_records_and_writes(fer_dir, model, tmp_path):
    output = tmp_path / "figures.json"
    done = run("evaluate", "--model", model, "--data", fer_dir, "--record", "--output", output)
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert shown == json.loads(output.read_text())
    assert (shown["split"], shown["images"]) == ("test", 15)
    recorded = card(model)["figures"]["fer_plus_test"]
    assert recorded == {k: v for k, v in shown.items() if k not in ("data", "split")}


def test_evaluate_reports_and_compares_two_calibrations(fer_dir, model, tmp_path):
    run("calibrate", "--model", model, "--data", fer_dir, "--target-accuracy", "0.4")
    report = tmp_path / "report"
    done = run(
        "evaluate", "--model", find_model("valence-base"), "--model", model, "--data", fer_dir,
        "--split", "validation", "--report", report, "--with-images",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.stdout)["models"]
    assert second["compared_with_first"]["accuracy"] == 0  # a temperature changes no answer
    assert first["accuracy"] == second["accuracy"]
    assert first["threshold"] != second["threshold"]
    assert {"index.html", "summary.csv", "comparison.csv", "figures"} <= {
        path.name for path in report.iterdir()
    }
    again = run("evaluate", "--data", fer_dir, "--report", report)
    assert isinstance(again.exception, FileExistsError)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--with-images"], "--report"),
        (["--split", "all", "--report", "{tmp}/r", "--log", "{tmp}/no.csv"], "cannot read"),
        (["--output", "{tmp}/no/figures.json"], "no: no such folder"),
        (["--split", "holiday"], "has no split 'holiday'"),
        (["--model", "{tmp}/nothing"], "card"),
    ],
)
def test_evaluate_names_what_is_wrong(fer_dir, tmp_path, options, words):
    filled = [option.format(tmp=tmp_path) for option in options]
    done = run("evaluate", "--data", fer_dir, *filled)
    assert words in str(done.exception)
    assert not (tmp_path / "r").exists()

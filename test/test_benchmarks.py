"""The benchmark runs and writes what its report reads; nothing here is timed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).absolute().parents[1]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("benchmarks/ belongs to a checkout", allow_module_level=True)
pytest.importorskip("matplotlib", reason="the demo clip's portraits are in it")


def bench(*arguments):
    """Run a module of the benchmark as `make bench` does: the checkout comes last on the path."""
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd="/",
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def result_file(tmp_path_factory):
    output = tmp_path_factory.mktemp("bench") / "new folder" / "result.json"
    bench("benchmarks.run", "--quick", "--only", "pipeline", "network", "--output", str(output))
    return output


@pytest.fixture(scope="module")
def result(result_file):
    return json.loads(result_file.read_text())


def test_says_what_was_measured_on_what(result):
    assert result["quick"]
    assert result["command"] == 'make bench ARGS="--only pipeline network --quick"'
    assert result["model_id"].startswith("valence-base-")
    assert set(result["source"]) == {"commit", "changed", "date"}
    machine = result["machine"]
    assert 1 <= machine["cores_used"] <= 2
    assert machine["processor"]
    assert 0 <= machine["share_of_others"] <= 1
    assert machine["python"]
    assert {"numpy", "onnxruntime"} <= set(result["versions"])
    assert (result["clip"]["width"], result["clip"]["height"]) == (640, 480)


def test_pipeline_with_two_threads_and_with_one(result):
    assert [entry["threads"] for entry in result["pipeline"]] == [2, 1]
    for entry in result["pipeline"]:
        assert "error" not in entry
        ms = entry["ms"]
        assert ms["count"] == len(entry["samples_ms"]) == result["clip"]["frames"]
        assert 0 < ms["min"] <= ms["median"] <= ms["p99"] <= ms["max"]
        assert entry["frames_per_s"] == pytest.approx(1e3 / ms["mean"], rel=0.01)
        assert set(entry["stages_ms"]) == {"detection", "crop", "network", "rest"}
        means = [stage["mean"] for stage in entry["stages_ms"].values()]
        assert sum(means) == pytest.approx(ms["mean"], rel=0.01)
        assert entry["rss_mb"] > 0
        assert entry["faces_per_frame"] == {"1": result["clip"]["frames"]}
        assert sum(entry["says_of_main_face"].values()) == result["clip"]["frames"]
    ratio = result["pipeline"][1]["times_as_long"]
    assert ratio["least_block"] <= ratio["median"] * 1.01


def test_valence_network_for_one_crop_and_for_sixteen(result):
    runs = result["network"]["runs"]
    cases = {(run["threads"], run["crops"], run["spins"]) for run in runs}
    assert cases == {(t, c, s) for t in (1, 2) for c in (1, 16) for s in (False, True)}
    for run in runs:
        assert run["ms"]["count"] > 0
        assert run["ms_per_crop"] == pytest.approx(run["ms"]["median"] / run["crops"], abs=1e-3)


def test_targets_are_held_against_the_figures(result):
    targets = {target["what"]: target for target in result["targets"]}
    speed = targets["pipeline, frames/s"]
    assert speed["measured"] == result["pipeline"][0]["frames_per_s"]
    assert speed["met"] == (speed["measured"] >= 60)
    assert "valence network, one crop, as the node runs it, ms" in targets
    assert "valence network, one crop, ONNX Runtime's own settings, ms" in targets


def test_report_goes_between_the_markers(result_file, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n")
    for _ in range(2):  # again over its own output
        bench("benchmarks.report", str(result_file), str(page))
    text = page.read_text()
    assert text.startswith("before\n<!-- figures -->\n")
    assert text.endswith("<!-- /figures -->\nafter\n")
    assert "old" not in text
    assert text.count("### Frame to reaction") == 1
    assert "the figures mean nothing" in text


def test_tracking_of_the_reactions_benchmark(tmp_path):
    output = tmp_path / "result.json"
    bench("benchmarks.reactions", "--only", "tracking", "--count", "4", "--output", str(output))
    kept = json.loads(output.read_text())["tracking"]
    assert len(kept) == 16
    assert all(0 <= share <= 1 for share in kept.values())
    assert kept["crossing, 30 Hz, places and looks"] == 1


def test_answers_of_the_node_are_timed_while_it_works(tmp_path):
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    pytest.importorskip("emotion_perception.srv", reason="the package is not built")
    output = tmp_path / "result.json"
    bench("benchmarks.control", "--asks", "3", "--swaps", "6", "--output", str(output))
    result = json.loads(output.read_text())
    assert result["ms"]["get_parameters"]["count"] == 3
    assert result["ms"]["load"]["count"] == 6
    assert result["messages_that_name_another_model"] == 0

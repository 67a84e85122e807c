# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

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


def bench(*arguments, **variables):
    """Run a module of the benchmark as `make bench` does: the checkout comes last on the path."""
    return _python(["-m", *arguments], "", variables)


def bench_code(code, told=""):
    """Run code beside the benchmark; ``told`` is its standard input."""
    return _python(["-c", code], told, {})


def _python(arguments, told, variables):
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(ROOT)])
    done = subprocess.run(
        [sys.executable, *arguments], cwd="/", input=told,
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def result_file(tmp_path_factory):
    output = tmp_path_factory.mktemp("bench") / "new folder" / "result.json"
    parts = ["pipeline", "scaling", "limits", "network", "sessions"]
    bench("benchmarks.run", "--quick", "--only", *parts, "--output", str(output))
    return output


@pytest.fixture(scope="module")
def result(result_file):
    return json.loads(result_file.read_text())


def test_says_what_was_measured_on_what(result):
    assert result["quick"]
    parts = "pipeline scaling limits network sessions"
    assert result["command"] == f'make bench ARGS="--only {parts} --quick"'
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
        assert entry["start_s"] > 0
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
    mean = targets["a frame of a film, mean ms"]
    assert mean["measured"] == result["pipeline"][0]["ms"]["mean"]
    assert mean["met"] == (mean["measured"] <= 2.5)
    assert "a frame of a film, p99 ms" in targets
    assert "search of a whole 640x480 frame, mean ms" in targets


def _measured(**changes):
    """Return made-up results in which every target is just met."""
    ours = {"ms": {"mean": 2.5, "p99": 12.0}, "peer": False}
    slower = {"ms": {"mean": 9.0}, "peer": False, "times_as_long": {"mean": 3.6}}
    peers = [
        {"ms": {"mean": 25.0}, "peer": True, "times_as_long": {"mean": 10.0}},
        {"error": "it has no wheel", "peer": True},
    ]
    faces = [{"faces": n, "ms": {"mean": ms}} for n, ms in ((1, 2.0), (10, 6.0))]
    size = {"width": 640, "height": 480, "ms": {}, "search_ms": {"mean": 8.0}}
    recordings = [
        {
            "recordings": 1,
            "times_real_time": {"median": 15.0},
            "peak_mb": {"max": 1},
            "peer": False,
        },
        {"recordings": 4, "times_as_fast": {"median": 1.7}, "peak_mb": {"max": 500}, "peer": False},
        {"recordings": 1, "times_real_time": {"median": 1}, "peak_mb": {"max": 900}, "peer": True},
        {"recordings": 4, "error": "it was killed", "peer": False},
    ]
    node = {
        "latency_ms": {"median": 8.0, "p99": 25.0}, "processor_share": {"median": 0.2},
        "rss_mb": {"median": 250.0}, "start_s": {"median": 1.5},
    }  # fmt: skip
    return {
        "device": "cpu", "pipeline": [ours, slower, *peers],
        "scaling": {"faces": faces, "sizes": [size]},
        "node": {"node": node, "echo": {"latency_ms": {"median": 3.0, "p99": 10.0}}},
        "sessions": {"contenders": recordings}, **changes,
    }  # fmt: skip


def test_all_targets_are_met_at_their_limits():
    found = json.loads(
        bench_code("import json, sys; from benchmarks.run import targets; "
                   "print(json.dumps(targets(json.load(sys.stdin))))", json.dumps(_measured()))
    )  # fmt: skip
    assert len(found) == 13
    assert all(target["met"] for target in found), found


@pytest.mark.parametrize("result", [
    pytest.param({}, id="nothing measured"),
    pytest.param({"node": {"error": "rclpy is not installed"}}, id="no ROS"),
    pytest.param({"scaling": {"error": "no CUDA device"}}, id="no GPU"),
    pytest.param({"pipeline": [{"error": "no CUDA device", "peer": False}]}, id="no pipeline"),
    pytest.param({"sessions": {"contenders": [{"error": "killed", "peer": False}]}}, id="no table"),
    pytest.param({"sessions": {"error": "PyAV is not installed"}}, id="no PyAV"),
])  # fmt: skip
def test_targets_of_what_was_not_measured_are_left_out(result):
    code = (
        "import json, sys; from benchmarks.run import targets; print(targets(json.load(sys.stdin)))"
    )
    assert bench_code(code, json.dumps({"device": "cpu", **result})).strip() == "[]"


def test_curves_find_as_many_faces_as_there_are(result):
    curves = result["scaling"]
    assert [entry["faces"] for entry in curves["faces"]] == [1, 2]
    assert [entry["width"] for entry in curves["sizes"]] == [320, 640]
    assert [entry["cameras"] for entry in curves["cameras"]] == [1, 2]
    for entry in [*curves["faces"], *curves["sizes"], *curves["cameras"]]:
        assert "error" not in entry
        assert entry["share_with_all_faces"] == 1
        frames = curves["frames_per_film"]
        assert entry["frames_by_faces"] == {str(entry["faces"]): frames * entry["cameras"]}
        assert entry["ms"]["count"] == len(entry["samples_ms"]) == frames - 1
        assert entry["first_ms"]["count"] == 1
        assert entry["search_ms"]["count"] > 0
        assert 0 < entry["ms"]["min"] <= entry["ms"]["p99"]
        assert entry["rss_mb"] > 0


def test_recordings_are_judged_whole_in_processes_of_their_own(result):
    pytest.importorskip("av", reason="videos are written and read with it")
    pytest.importorskip("pyarrow", reason="tables are written with it")
    sessions = result["sessions"]
    assert (sessions["width"], sessions["height"], sessions["rate_hz"]) == (640, 480, 30)
    assert sessions["megabits_per_s"] > 0.1
    one, in_turn, at_once = sessions["contenders"]
    kinds = [(e["threads"], e["jobs"], e["recordings"]) for e in (one, in_turn, at_once)]
    assert kinds == [(2, 1, 1), (1, 1, 4), (1, 2, 4)]
    for entry in (one, in_turn, at_once):
        assert "error" not in entry
        assert entry["frames"] == entry["recordings"] * round(30 * sessions["seconds"])
        assert entry["frames_with_faces"] == entry["frames"]
        assert entry["seconds"] == pytest.approx(entry["recordings"] * sessions["seconds"])
        assert entry["whole_s"]["count"] == len(entry["samples_ms"]) == 1
        assert 0 < entry["judging_s"]["median"] <= entry["whole_s"]["median"]
        times = entry["seconds"] / entry["judging_s"]["median"]
        assert entry["times_real_time"]["median"] == pytest.approx(times, rel=0.01)
        assert entry["peak_mb"]["max"] > 50
    assert at_once["times_as_fast"]["median"] == pytest.approx(
        in_turn["samples_ms"][0] / at_once["samples_ms"][0], rel=0.02
    )


def test_a_recording_is_real_video_of_any_length(tmp_path):
    av = pytest.importorskip("av", reason="recordings are written with it")
    bench_code(
        "import sys, numpy as np; from pathlib import Path\n"
        "from benchmarks.session_films import encode, repeat\n"
        "folder = Path(sys.stdin.read())\n"
        "frames = np.zeros((5, 49, 65, 3), np.uint8)\n"
        "frames += np.arange(0, 250, 50, np.uint8)[:, None, None, None]\n"
        "repeat(encode(folder / 'short.mp4', frames), folder / 'long.mp4', 0.7)", str(tmp_path),
    )  # fmt: skip
    with av.open(str(tmp_path / "long.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 30)
        frames = list(container.decode(stream))
    assert [round(30 * frame.time) for frame in frames] == list(range(24))  # 3 times 8 frames
    assert (frames[0].width, frames[0].height) == (64, 48)
    light = [frame.to_ndarray(format="gray").mean() / 50 for frame in frames]
    assert light == pytest.approx(3 * [0, 1, 2, 3, 4, 3, 2, 1], abs=0.2)


def test_cost_of_a_command_counts_the_processes_that_it_starts(tmp_path):
    child = "held = bytearray(b'x') * 100_000_000; import time; time.sleep(0.4)"
    code = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('told')"
    )
    found = bench_code(
        "import os, sys; from pathlib import Path\n"
        "from benchmarks.children import ChildError\n"
        "from benchmarks.processes import run\n"
        "cost = run([sys.executable, '-c', sys.stdin.read()], os.environ, Path('/'), 60)\n"
        "print(cost.told.strip(), cost.wall_s > 0.4, cost.peak_mb > 100)\n"
        "failing = ('raise OSError(\"no room\")', 60), ('import time; time.sleep(60)', 1)\n"
        "for code, limit in failing:\n"
        "    try: run([sys.executable, '-c', code], os.environ, Path('/'), limit)\n"
        "    except ChildError as error: print(error)\n", code,
    ).splitlines()  # fmt: skip
    assert found[0] == "told True True"
    assert "no room" in found[1]
    assert "not done within 1 s" in found[2]


def test_a_long_recording_goes_on_after_a_kill(tmp_path):
    pytest.importorskip("av", reason="videos are written and read with it")
    pytest.importorskip("pyarrow", reason="tables are written with it")
    output = tmp_path / "result.json"
    bench("benchmarks.long_session", "--hours", "0.0125", "--output", str(output))
    result = json.loads(output.read_text())
    assert result["frames"] >= 0.0125 * 3600 * 30
    assert result["same_bytes"]
    assert result["killed"]["parts_before"] >= 1
    assert 0 < result["killed"]["next_part_after_s"] <= result["killed"]["rest_s"]
    for run in ("undisturbed", "killed"):
        memory = result[run]["memory"]
        assert memory["peak_mb"] >= max(memory["readings_mb"]) > 50


def test_ten_faces_are_found_in_a_crowd(tmp_path):
    film = tmp_path / "crowd.npy"
    found = bench_code(
        "import sys, numpy as np; from pathlib import Path\n"
        "from benchmarks.films import write_crowd\n"
        "from emotion_perception.pipeline import ReactionPipeline\n"
        "film = Path(sys.stdin.read()); write_crowd(film, 10, count=3)\n"
        "pipeline = ReactionPipeline()\n"
        "print([len(pipeline.run(f, i / 30)) for i, f in enumerate(np.load(film))])", str(film),
    )  # fmt: skip
    assert found.strip() == "[10, 10, 10]"


def test_work_is_counted_from_the_graphs(result):
    limits = result["limits"]
    assert limits["frame_bytes"] == 640 * 480 * 3
    film, first = ({row["network"]: row for row in limits[name]["networks"]}
                   for name in ("film", "first"))  # fmt: skip
    # R-Net by hand: three convolutions, each with its PReLU as two of 1x1 a channel, three dense.
    convolutions = 28 * 22**2 * 27 + 48 * 9**2 * 28 * 9 + 64 * 3**2 * 48 * 4
    prelus = 2 * (28 * 22**2 + 48 * 9**2 + 64 * 3**2)
    assert first["R-Net"]["macs_per_input"] >= convolutions + 576 * 128 + 128 * 5
    assert first["R-Net"]["macs_per_input"] <= convolutions + 2 * prelus + 576 * 128 + 128 * 15
    assert film["valence network"]["inputs_per_frame"] == 1  # one face in each frame
    assert film["O-Net"]["inputs_per_frame"] >= 1
    assert film["P-Net"]["macs_per_frame"] < first["P-Net"]["macs_per_frame"] / 3
    for name in ("film", "first"):
        rows = limits[name]["networks"]
        assert limits[name]["macs_per_frame"] == sum(row["macs_per_frame"] for row in rows)
        assert limits[name]["least_ms"] > 0


def test_without_a_gpu_it_says_so_and_does_not_fail(tmp_path):
    output, page = tmp_path / "result.json", tmp_path / "page.md"
    parts = ("pipeline", "scaling", "network", "sessions")
    out = bench("benchmarks.run", "--quick", "--device", "cuda", "--only", *parts,
                "--output", str(output), CUDA_VISIBLE_DEVICES="")  # fmt: skip
    result = json.loads(output.read_text())
    assert "no CUDA device" in out
    assert result["command"].endswith('--device cuda --quick"')
    assert "no CUDA device" in result["scaling"]["error"]
    assert "no CUDA device" in result["network"]["error"]
    assert "no CUDA device" in result["sessions"]["error"]
    assert all("no CUDA device" in entry["error"] for entry in result["pipeline"])
    page.write_text("<!-- figures -->\n<!-- /figures -->\n")
    bench("benchmarks.report", str(output), str(page))
    assert page.read_text().count("not measured: no CUDA device") >= 5
    assert not (tmp_path / "images").exists()


def test_peers_are_installed_and_run(tmp_path):
    """All of them where they are installed already: that takes a network and minutes."""
    missing = bench_code(
        "from benchmarks.peers import *\n"
        "for p in (FACENET, EFFICIENTNET, FER, FER_MTCNN):\n"
        "    (ENVIRONMENTS / p.name / 'installed.txt').exists() or print(p.name)"
    )
    if missing:
        pytest.skip(f"not installed by `make bench`: {missing.split()}")
    output = tmp_path / "result.json"
    parts = ("pipeline", "peers", "sessions")
    bench("benchmarks.run", "--quick", "--only", *parts, "--output", str(output))
    result = json.loads(output.read_text())
    videos = [entry for entry in result["sessions"]["contenders"] if entry["peer"]]
    assert len(videos) == 2
    for entry in videos:
        assert "error" not in entry, entry
        assert entry["frames_with_faces"] >= 0.9 * entry["frames"]
        assert "median" in entry["times_as_long"]
    entries = result["pipeline"]
    names = {entry["name"] for entry in entries if entry["peer"]}
    assert len(names) == 4
    for entry in entries:
        assert "error" not in entry, entry
        assert entry["faces_per_frame"]["1"] >= 10


def test_report_goes_between_the_markers(result_file, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n")
    for _ in range(2):  # again over its own output
        bench("benchmarks.report", str(result_file), str(page))
    text = page.read_text()
    assert text.startswith("before\n<!-- figures -->\n")
    assert text.endswith("<!-- /figures -->\nafter\n")
    assert "old" not in text
    for title in ("Frame to reaction", "Faces, pixels, cameras", "Work, counted", "Limits"):
        assert text.count(f"### {title}\n") == 1
    assert text.count("### Recordings of 640x480 at 30 Hz, H.264 of ") == 1
    assert "(images/performance.png)" in text
    assert (tmp_path / "images" / "performance.png").read_bytes().startswith(b"\x89PNG")
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


def test_transports_are_told_apart(tmp_path):
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    pytest.importorskip("emotion_perception.srv", reason="the package is not built")
    pytest.importorskip("matplotlib", reason="its photographs are the faces")
    output = tmp_path / "result.json"
    chosen = ["LOCALHOST", "shared memory with room"]
    only = [word for name in chosen for word in ("--only", name)]
    bench("benchmarks.transports", "--images", "120", *only, "--output", str(output))
    result = json.loads(output.read_text())
    assert list(result["contenders"]) == chosen
    for found in result["contenders"].values():
        assert len(found["parts"]) == 10
        assert sum(part["answered"] for part in found["parts"]) > 1


def test_the_node_killed_and_started_again(tmp_path):
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    pytest.importorskip("emotion_perception.srv", reason="the package is not built")
    pytest.importorskip("matplotlib", reason="its photographs are the faces")
    output = tmp_path / "result.json"
    only = "the default with room"
    bench("benchmarks.respawn", "--kills", "1", "--only", only, "--output", str(output))
    (found,) = json.loads(output.read_text())["contenders"].values()
    assert found["count"] == len(found["seconds"]) == 1
    assert found["seconds"][0] > 0.2  # it is started no sooner

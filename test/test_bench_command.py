# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception bench` hands its options to the benchmark of a checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).absolute().parents[1]


def _bench(*options, cwd):
    """Run the command as it is installed: the checkout is not on the path before the package."""
    code = "import sys; from emotion_perception.cli import main; sys.exit(main())"
    script = f"import sys; sys.path[:1] = []; {code}"
    return subprocess.run(
        [sys.executable, "-c", script, "bench", *map(str, options)], cwd=cwd,
        env={**os.environ, "PYTHONPATH": _path()}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


def _path():
    import emotion_perception

    package = str(Path(emotion_perception.__file__).parents[1])
    return os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])


def test_elsewhere_it_says_where_to_run_it(tmp_path):
    done = _bench("--quick", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: benchmarks/ is part of the source checkout")
    assert "make bench" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_reach_the_benchmark(tmp_path):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "run.py").write_text(
        "import json\ndef main(arguments):\n    print(json.dumps(arguments))\n    return 3\n"
    )
    done = _bench("--only", "pipeline", "--only", "node", "--clip", "a b.mp4", "--device", "cuda",
                  "--quick", "--output", "out.json", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert json.loads(done.stdout) == [
        "--device", "cuda", "--only", "pipeline", "node", "--clip", "a b.mp4",
        "--output", "out.json", "--quick",
    ]  # fmt: skip


@pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="benchmarks/ is in a checkout")
def test_measures_in_a_checkout(tmp_path):
    pytest.importorskip("matplotlib", reason="the demo clip's portraits are in it")
    output = tmp_path / "result.json"
    done = _bench("--quick", "--only", "pipeline", "--output", output, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "### Frame to reaction" in done.stdout
    result = json.loads(output.read_text())
    assert result["command"] == 'make bench ARGS="--only pipeline --quick"'
    assert "error" not in result["pipeline"][0]

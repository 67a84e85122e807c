# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from batch_work import work
from typer.testing import CliRunner

from emotion_perception.cli import app
from emotion_perception.sessions.batch import BatchError, Result, run_all


def folders(tmp_path, *names):
    made = []
    for name in names:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        made.append((name, str(folder)))
    return made


@pytest.fixture
def importable(monkeypatch):
    """Let other processes import the work."""
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))


@pytest.fixture(scope="module")
def cluster():
    """Start Ray on this machine once for all, which takes ten seconds."""
    ray = pytest.importorskip("ray", reason="pip install '.[ray]'")
    here = str(Path(__file__).parent)
    path = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": path}},
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture(params=[{"jobs": 1}, {"jobs": 3}, {"ray": "local"}], ids=str)
def way(request, importable):
    if "ray" in request.param:
        request.getfixturevalue("cluster")
    return request.param


def test_a_task_that_fails_stops_no_other(tmp_path, way):
    bad, once, bug = folders(tmp_path, "bad", "once", "bug")
    told, done = [], []
    results = run_all(
        work, [1, bad, 2, once, bug, 3], retries=1, **way,
        tell=lambda *what: told.append(what), done=lambda number, result: done.append(number),
    )  # fmt: skip
    assert results == [
        Result(2, "", 1), Result(None, "bad: went wrong", 2), Result(4, "", 1),
        Result("at last", "", 2), Result(None, "division by zero", 2), Result(6, "", 1),
    ]  # fmt: skip
    assert sorted(done) == list(range(6))
    if "ray" not in way:
        assert {(at, of) for _, at, of in told} == {(1, 10.0), (2, 10.0), (3, 10.0)}


@pytest.mark.parametrize("way", [{"jobs": 2}, {"ray": "local"}], ids=str)
def test_a_process_that_dies_takes_none_with_it(tmp_path, importable, way, request):
    if "ray" in way:
        request.getfixturevalue("cluster")
    dies, once = folders(tmp_path, "dies", "dies once")
    results = run_all(work, [dies, 1, once, 2, 3], retries=1, **way)
    assert [result.answer for result in results] == [None, 2, "lived", 4, 6]
    assert results[0].error.startswith("its process died")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_ends_the_workers(tmp_path, importable, how):
    """In a process of its own, as a user's."""
    tasks = folders(tmp_path, "sleeps")
    script = tmp_path / "script.py"
    script.write_text(
        "from batch_work import work\nfrom emotion_perception.sessions.batch import run_all\n"
        f"if __name__ == '__main__':\n    run_all(work, {tasks * 2!r}, jobs=2)\n"
    )
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 30
    pids = []
    while not (pids and all(pids)) and time.monotonic() < end:
        time.sleep(0.05)
        pids = [file.read_text() for file in Path(tasks[0][1]).iterdir()]
    process.send_signal(how)
    assert process.wait(15) != 0
    end = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, pids))


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", r"--ray 127\.0\.0\.1:1: no such cluster \(Connection refused\)"),
        ("somewhere", "--ray: expected HOST:PORT, auto or local, got somewhere"),
        ("host:99999", "--ray: expected HOST:PORT, auto or local, got host:99999"),
    ],
)
def test_no_such_cluster(address, message):
    pytest.importorskip("ray", reason="pip install '.[ray]'")
    with pytest.raises(BatchError, match=message):
        run_all(work, [1], ray=address)


@pytest.mark.parametrize("wrong", [{"jobs": 0}, {"retries": -1}])
def test_wrong_numbers(wrong):
    with pytest.raises(ValueError, match="expected jobs of at least 1"):
        run_all(work, [1], **wrong)


@pytest.mark.parametrize("way", [["--jobs", "2"], ["--ray", "local"]], ids=" ".join)
def test_events_and_pages_of_many_tables(make_session, tmp_path, way, request):
    pytest.importorskip("flask", reason="pip install '.[sessions]'")
    if "--ray" in way:
        request.getfixturevalue("cluster")
    plan = [(4, "neutral"), (4, "positive"), (2, "nobody")]
    tables = [make_session(plan, f"day-{n}", participant="P-1") for n in range(9)]
    (tmp_path / "broken.parquet").write_bytes(b"no")
    for words in (["events"], ["report"], ["report", "--per-patient"]):
        done = CliRunner().invoke(
            app, [*words, *map(str, tables), str(tmp_path / "broken.parquet"), *way]
        )
        assert done.exit_code == 1
        assert "broken.parquet: not a readable Parquet file" in done.output
        assert not isinstance(done.exception, (ValueError, OSError))
    assert len(list(tmp_path.glob("day-*.events.csv"))) == 9
    assert len(list(tmp_path.glob("day-*.report.html"))) == 9
    assert (tmp_path / "P-1.report.html").exists()

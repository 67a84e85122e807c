# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Real recordings through the real pipeline."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="pip install '.[sessions]'")
pytest.importorskip("pyarrow", reason="pip install '.[sessions]'")
pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).parent))

from films import portraits, write_film
from typer.testing import CliRunner

import emotion_perception.sessions.predict as predict_module
from emotion_perception.cli import app
from emotion_perception.image.source import SourceError
from emotion_perception.models import find_model
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.sessions.predict import About, PredictOptions, make_pipeline, predict
from emotion_perception.sessions.sheet import collect
from emotion_perception.sessions.table import SessionError, read_info, read_session
from emotion_perception.valence.labels import CLASSES

OPTIONS = PredictOptions(device="cpu", threads=1)


@pytest.fixture(scope="module")
def images():
    return portraits(60)


@pytest.fixture(scope="module")
def film(tmp_path_factory, images):
    return write_film(tmp_path_factory.mktemp("films") / "Frau Möller - 1.mp4", images)


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(OPTIONS)


@pytest.fixture
def parts(monkeypatch):
    """Write a part every 16 frames, so that short films have several."""
    monkeypatch.setattr(predict_module, "PART_FRAMES", 16)


def judged(film, tmp_path, pipeline, **options):
    table = tmp_path / "x.parquet"
    info = predict(film, table, PredictOptions(device="cpu", threads=1, **options),
                   pipeline=None if options else pipeline)  # fmt: skip
    session = read_session(table, landmarks=True)
    assert session.info == info
    return session


def test_the_table_is_what_the_pipeline_says(film, tmp_path, pipeline, parts):
    session = judged(film, tmp_path, pipeline)
    whole = ReactionPipeline(threads=1)
    from emotion_perception.sessions.recording import open_recording

    rows = iter(session.rows.itertuples())
    for frame in open_recording(film):
        for reaction in whole.run(frame.image, frame.time) or [None]:
            row = next(rows)
            assert (row.frame, row.time) == (frame.index, frame.time)
            if reaction is None:
                assert (row.face_id, row.reaction, row.reason) == ("", "unknown", "no_face")
                continue
            assert row.face_id == reaction.face_id
            assert row.reaction == reaction.reaction.name.lower()
            assert row.reason == reaction.reason.name.lower()
            assert row.is_partner == reaction.is_partner
            np.testing.assert_allclose([row.x1, row.y1, row.x2, row.y2], reaction.face.box)
            np.testing.assert_allclose(row.landmarks, reaction.face.landmarks.ravel())
            assert row.light == pytest.approx(reaction.quality.light)
            if reaction.frame_probabilities is not None:
                told = [getattr(row, f"frame_p_{name}") for name in CLASSES]
                np.testing.assert_allclose(told, reaction.frame_probabilities, atol=1e-5)
    assert next(rows, None) is None
    info = session.info
    assert (info.recording, info.session) == (film.name, film.stem)
    assert (info.width, info.height, info.frames, info.every) == (640, 480, 60, 1)
    assert info.rate == pytest.approx(5.0, rel=0.02)
    assert info.models[0].name == "valence-base"
    assert info.unreadable == ()


def test_the_partner_smiles_first_and_another_person_comes(film, tmp_path, pipeline):
    rows = judged(film, tmp_path, pipeline).rows
    people = rows[rows.is_partner].groupby("face_id").reaction.agg(lambda r: r.mode()[0])
    assert len(people) == 2
    assert people.iloc[0] == "positive"
    assert people.iloc[1] != "positive"


def test_uneven_times_are_kept(tmp_path, images, pipeline):
    times = np.cumsum([0.0, *np.random.default_rng(0).choice([0.02, 0.1, 0.4], 19)])
    film = write_film(tmp_path / "x.mp4", images[:20], times)
    rows = judged(film, tmp_path, pipeline).rows
    np.testing.assert_allclose(rows.time, times, atol=1e-4)


def test_stopped_at_random_it_goes_on_to_the_same_bytes(film, tmp_path, images, pipeline, parts):
    expected = tmp_path / "whole.parquet"
    about = About(session="s")
    predict(film, expected, OPTIONS, about, pipeline=pipeline)
    rng = random.Random(0)
    for tries in range(4):
        table = tmp_path / f"{tries}" / "whole.parquet"
        stops = 0
        while not table.exists():
            left = rng.randint(1, 6)

            def stop(frames, expected, seconds):
                nonlocal left
                left -= 1
                if left <= 0:
                    raise KeyboardInterrupt  # between two batches, as Ctrl-C and kill may come

            try:
                predict(film, table, OPTIONS, about, progress=stop, pipeline=make_pipeline(OPTIONS))
            except KeyboardInterrupt:
                stops += 1
            if stops > 3:
                predict(film, table, OPTIONS, about, pipeline=pipeline)
        assert stops
        assert table.read_bytes() == expected.read_bytes()
        assert [p.name for p in table.parent.iterdir()] == [table.name]


def test_killed_at_random_it_goes_on_to_the_same_bytes(film, tmp_path, pipeline):
    """In a process of its own, which gets SIGKILL at any time."""
    script = tmp_path / "judge.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nimport emotion_perception.sessions.predict as p\n"
        "p.PART_FRAMES = 16\n"
        "p.predict(Path(sys.argv[1]), Path(sys.argv[2]),"
        " p.PredictOptions(device='cpu', threads=1, batch=4))\n"
    )

    def run(table):
        return subprocess.Popen([sys.executable, script, film, table])

    whole, table = tmp_path / "a" / "x.parquet", tmp_path / "b" / "x.parquet"
    assert run(whole).wait(60) == 0
    rng, kills = random.Random(1), 0
    for _ in range(40):
        process = run(table)
        parts = table.with_name(f".{table.name}.parts")
        before = len(list(parts.glob("*.parquet")))
        end = time.monotonic() + 30
        # Not before one more part is there, so that it comes to an end; then at any moment.
        while (
            process.poll() is None and time.monotonic() < end
            and len(list(parts.glob("*.parquet"))) <= before
        ):  # fmt: skip
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.05))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        if table.exists():
            break
    assert kills >= 2
    assert table.read_bytes() == whole.read_bytes()


def test_made_already_is_not_made_again(film, tmp_path, pipeline, monkeypatch):
    table = tmp_path / "x.parquet"
    predict(film, table, OPTIONS, pipeline=pipeline)
    before = table.stat()
    monkeypatch.setattr(predict_module, "open_recording", None)
    assert predict(film, table, OPTIONS, pipeline=pipeline) == read_info(table)
    assert table.stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(SessionError, match="exists, made with other options"):
        predict(film, table, PredictOptions(device="cpu", threads=1, every=2), pipeline=pipeline)


def test_parts_of_other_options_and_damaged_parts_are_not_used(film, tmp_path, pipeline, parts):
    table = tmp_path / "x.parquet"
    whole = tmp_path / "whole" / "x.parquet"
    predict(film, whole, OPTIONS, pipeline=pipeline)

    def stop(frames, expected, seconds):
        if frames >= 40:
            raise KeyboardInterrupt

    for damage in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            predict(film, table, OPTIONS, progress=stop, pipeline=pipeline)
        first, second = sorted(table.with_name(".x.parquet.parts").iterdir())[:2]
        (first, second)[damage].write_bytes(b"PAR1 broken")
        predict(film, table, OPTIONS, pipeline=pipeline)
        assert table.read_bytes() == whole.read_bytes()
        table.unlink()
    with pytest.raises(KeyboardInterrupt):
        predict(film, table, PredictOptions(device="cpu", threads=1, every=2), progress=stop)
    predict(film, table, OPTIONS, pipeline=pipeline)
    assert table.read_bytes() == whole.read_bytes()


def test_two_runs_at_once_do_not_mix(film, tmp_path, pipeline, parts):
    table, whole = tmp_path / "x.parquet", tmp_path / "whole" / "x.parquet"
    predict(film, whole, OPTIONS, pipeline=pipeline)
    refused = []

    def another(frames, expected, seconds):
        other = PredictOptions(device="cpu", threads=1, every=len(refused) % 2 + 1)
        with pytest.raises(SessionError, match=r"x\.parquet: another run is making it just now"):
            predict(film, table, other, pipeline=second)
        refused.append(frames)

    second = make_pipeline(OPTIONS)
    predict(film, table, OPTIONS, progress=another, pipeline=pipeline)
    assert len(refused) > 3
    assert table.read_bytes() == whole.read_bytes()
    assert [file.name for file in tmp_path.iterdir() if file.is_file() or file.suffix] == [
        table.name
    ]


def test_a_state_of_another_version_begins_anew(film, tmp_path, pipeline, parts, caplog):
    import pyarrow.parquet as pq

    table, whole = tmp_path / "x.parquet", tmp_path / "whole" / "x.parquet"
    predict(film, whole, OPTIONS, pipeline=pipeline)

    def stop(frames, expected, seconds):
        if frames >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(film, table, OPTIONS, progress=stop, pipeline=pipeline)
    last = max(table.with_name(".x.parquet.parts").glob("*.parquet"))
    rows = pq.read_table(last)
    told = json.loads(rows.schema.metadata[b"state"]) | {"scene": {"is": "Other", "has": {}}}
    metadata = {**rows.schema.metadata, b"state": json.dumps(told).encode()}
    pq.write_table(rows.replace_schema_metadata(metadata), last)
    predict(film, table, OPTIONS, pipeline=pipeline)
    assert "begun anew" in caplog.text
    assert table.read_bytes() == whole.read_bytes()


def test_a_damaged_film_goes_on_to_the_same_bytes(tmp_path, images, pipeline, parts):
    film = write_film(tmp_path / "x.ts", images)
    content = bytearray(film.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 3000] = b"\0" * 3000
    film.write_bytes(bytes(content))
    whole, table = tmp_path / "a" / "x.parquet", tmp_path / "b" / "x.parquet"
    assert predict(film, whole, OPTIONS, pipeline=pipeline).unreadable

    def stop(frames, expected, seconds):
        if frames >= 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(film, table, OPTIONS, progress=stop, pipeline=pipeline)
    predict(film, table, OPTIONS, pipeline=pipeline)
    assert table.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("stop_at", [30, 50, 90])
def test_films_put_together_go_on_to_the_same_bytes(tmp_path, images, pipeline, parts, stop_at):
    """Each time is there twice, so that it does not tell where to go on."""
    one = write_film(tmp_path / "one.ts", images[30:] + images[:30])
    film = tmp_path / "x.ts"
    film.write_bytes(one.read_bytes() * 2)
    whole, table = tmp_path / "a" / "x.parquet", tmp_path / "b" / "x.parquet"
    assert predict(film, whole, OPTIONS, pipeline=pipeline).frames == 120

    def stop(frames, expected, seconds):
        if frames >= stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(film, table, OPTIONS, progress=stop, pipeline=pipeline)
    predict(film, table, OPTIONS, pipeline=pipeline)
    assert table.read_bytes() == whole.read_bytes()


def test_only_some_frames(film, tmp_path, pipeline):
    session = judged(film, tmp_path, pipeline, every=5)
    assert session.rows.frame.unique().tolist() == list(range(0, 60, 5))
    assert session.info.every == 5


def test_large_frames_have_boxes_of_their_own_size(tmp_path, images, pipeline):
    large = [cv2.resize(image, None, fx=4, fy=4) for image in images[:4]]
    film = write_film(tmp_path / "large.mp4", large)
    small = write_film(tmp_path / "small.mp4", images[:4])
    session = judged(film, tmp_path, pipeline, max_side=640)
    assert (session.info.width, session.info.height) == (2560, 1920)
    predict(small, tmp_path / "small.parquet", OPTIONS, pipeline=pipeline)
    expected = read_session(tmp_path / "small.parquet").rows
    for name in ("x1", "y2", "size"):
        np.testing.assert_allclose(session.rows[name], 4 * expected[name], rtol=0.05)


@pytest.fixture
def unsure(tmp_path):
    """Return the base model with twice its temperature, so that the two tell other figures."""
    base = find_model("valence-base")
    folder = tmp_path / "unsure"
    shutil.copytree(base, folder)
    card = json.loads((folder / "card.json").read_text())
    card["temperature"] *= 2
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_several_models_have_columns_of_their_own(film, tmp_path, unsure):
    base = find_model("valence-base")
    session = judged(film, tmp_path, None, models=(("sure", base), ("unsure", unsure)))
    rows = session.rows[session.rows.frame_p_positive.notna()]
    assert [model.name for model in session.info.models] == ["sure", "unsure"]
    sure, other = (
        rows[[f"frame_p_{name}{end}" for name in CLASSES]].to_numpy(np.float64)
        for end in ("", "__unsure")
    )
    expected = np.sqrt(sure) / np.sqrt(sure).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(other, expected, atol=1e-4)
    assert np.abs(sure - other).max() > 0.05
    # What is told with each is what the robot would tell that had it alone.
    alone = judged(film, tmp_path / "alone", None, models=(("unsure", unsure),)).rows
    for name in ("reaction", "reason"):
        assert session.rows[f"{name}__unsure"].tolist() == alone[name].tolist()
    np.testing.assert_allclose(
        session.rows.p_negative__unsure, alone.p_negative, atol=1e-5, equal_nan=True
    )


def test_several_models_go_on_to_the_same_bytes(film, tmp_path, unsure, parts):
    options = PredictOptions(
        device="cpu", threads=1, models=(("sure", find_model("valence-base")), ("other", unsure))
    )
    pipeline = make_pipeline(options)
    whole, table = tmp_path / "a" / "x.parquet", tmp_path / "b" / "x.parquet"
    predict(film, whole, options, pipeline=pipeline)
    for until in (20, 40):

        def stop(frames, expected, seconds, until=until):
            if frames >= until:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            predict(film, table, options, progress=stop, pipeline=pipeline)
    predict(film, table, options, pipeline=pipeline)
    assert table.read_bytes() == whole.read_bytes()


def test_folders_of_images_and_single_ones(tmp_path, images, pipeline):
    folder = tmp_path / "images"
    folder.mkdir()
    for index, image in enumerate(images[:6]):
        cv2.imwrite(str(folder / f"{index}.png"), image)
    (folder / "3.png").write_bytes(b"broken")
    session = judged(folder, tmp_path, pipeline, fps=5.0)
    assert session.rows.time.unique().tolist() == pytest.approx([0, 0.2, 0.4, 0.8, 1.0])
    (lost,) = session.info.unreadable
    assert (lost.start, lost.frames, lost.why) == (0.6, 1, "3.png: not a readable image")
    (tmp_path / "x.parquet").unlink()
    assert judged(folder / "0.png", tmp_path, pipeline).info.frames == 1


def test_what_cannot_be_read_leaves_nothing(tmp_path, pipeline):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"\0" * 1000)
    for path in (bad, tmp_path / "none.mp4"):
        with pytest.raises(SourceError, match=path.name):
            predict(path, tmp_path / "out" / "x.parquet", OPTIONS, pipeline=pipeline)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p != bad]


@pytest.fixture
def command(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return CliRunner().invoke(app, ["predict", *map(str, words)])

    return run


def test_command_judges_many_and_a_failed_one_stops_no_other(tmp_path, images, command):
    folder = tmp_path / "week 1"
    folder.mkdir()
    for name in ("a", "b"):
        write_film(folder / f"{name}.mp4", images[:12])
    (folder / "broken.mp4").write_bytes(b"\0" * 100)
    done = command(folder, "--output", "out", "--jobs", 2, "--csv", "--summary", "all.csv",
                   "--device", "cpu")  # fmt: skip
    assert done.exit_code == 1
    assert "broken" in done.stdout
    assert "not a readable video" in done.stdout
    assert read_info(tmp_path / "out" / "a.parquet").frames == 12
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines[0].startswith("session,participant,recording,frames,seconds,faces")
    assert [line.split(",")[0] for line in lines[1:]] == ["a", "b", "broken"]
    csv = (tmp_path / "out" / "a.csv").read_text().splitlines()
    assert len(csv) == 13
    assert '"left_eye_x","left_eye_y"' in csv[0]
    # Again: what is done is kept, and one that was mended is made.
    (folder / "broken.mp4").write_bytes((folder / "a.mp4").read_bytes())
    done = command(folder, "--output", "out", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert read_info(tmp_path / "out" / "broken.parquet").frames == 12


def test_preview_shows_each_frame_and_stops_when_the_window_is_closed(
    tmp_path, images, command, monkeypatch
):
    pygame = pytest.importorskip("pygame", reason="pip install '.[display]'")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    film = write_film(tmp_path / "x.mp4", images[:30])
    over = threading.Event()

    def close():
        while not over.wait(0.05):
            if pygame.display.get_init() and pygame.display.get_surface() is not None:
                pygame.event.post(pygame.event.Event(pygame.QUIT))

    thread = threading.Thread(target=close)
    thread.start()
    stopped = command(film, "--preview", "--device", "cpu", "--batch", 1)
    over.set()
    thread.join()
    assert stopped.exit_code == 130
    assert "stopped; the same command goes on from here" in stopped.output
    assert not (tmp_path / "x.parquet").exists()
    done = command(film, "--preview", "--device", "cpu", "--batch", 1)
    assert done.exit_code == 0, done.output
    assert read_info(tmp_path / "x.parquet").frames == 30


def test_a_sheet_says_what_recordings_are(tmp_path, images, command):
    write_film(tmp_path / "x.mp4", images[:4])
    (tmp_path / "sheet.csv").write_text(
        "recording,session,participant,started\nx.mp4,Monday,P-1,2026-11-16T10:00\n"
    )
    done = command("--sheet", "sheet.csv", "--device", "cpu")
    assert done.exit_code == 0, done.output
    info = read_info(tmp_path / "x.parquet")
    assert (info.session, info.participant, info.started) == ("Monday", "P-1", "2026-11-16T10:00")
    assert "Monday" in done.stdout


def test_a_folder_named_by_a_dot(tmp_path, images, monkeypatch):
    folder = tmp_path / "Monday"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), images[0])
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["predict", ".", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    info = read_info(folder / "Monday.parquet")
    assert (info.recording, info.session) == ("Monday", "Monday")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("recording;session\nx.mp4;a\n", "expected a CSV, separated by commas, with a column"),
        ("recording,session\n", "separated by commas, with a column recording, and rows"),
        ("recording,session\nx.mp4,a\n\n./x.mp4,b\n", "lines 2 and 4 are the same recording"),
        ("recording,session\n\n,b\n", "line 3: recording is empty"),
        ("recording,session\nx.mp4,a,b\n", "line 2: expected 2 fields, got more"),
        (f"recording,session\n{'x' * 300}.mp4,a\n", "line 2: recording: no file can be called"),
    ],
)
def test_wrong_sheets_are_told_in_a_line(tmp_path, rows, message):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(rows, encoding="utf-8-sig")
    with pytest.raises(SessionError, match=message):
        collect([], sheet, None, About())


def test_a_recording_told_twice_is_judged_once(tmp_path, images):
    film = write_film(tmp_path / "x.mp4", images[:2])
    (tmp_path / "sheet.csv").write_text("recording,session\nx.mp4,Monday\n")
    other = tmp_path / ".." / tmp_path.name / "x.mp4"
    (entry,) = collect([film, other], tmp_path / "sheet.csv", None, About())
    assert entry.about.session == "Monday"


@pytest.mark.parametrize("suffix", ["csv", "mcap"])
def test_files_of_others_beside_it_are_not_written_over(tmp_path, images, command, suffix):
    if suffix == "mcap":
        pytest.importorskip("rosbags", reason="pip install '.[capture]'")
    film = write_film(tmp_path / "x.mp4", images[:2])
    own = tmp_path / f"x.{suffix}"
    own.write_text("my notes")
    done = command(film, f"--{suffix}", "--device", "cpu")
    assert done.exit_code == 1
    assert f"x.{suffix}: exists and was not made by predict --{suffix}" in done.stdout
    assert own.read_text() == "my notes"
    own.unlink()
    for _ in range(2):  # its own it may
        done = command(film, f"--{suffix}", "--device", "cpu")
        assert done.exit_code == 0, done.output


def test_a_table_that_is_a_folder_is_told_before_the_work(tmp_path, film, pipeline):
    (tmp_path / "x.parquet").mkdir()
    with pytest.raises(SessionError, match="a folder, expected the"):
        predict(film, tmp_path / "x.parquet", OPTIONS, replace=True, pipeline=pipeline)
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected recordings"),
        (["none.mp4"], "none.mp4: no such file or folder"),
        (["."], "a folder without videos, bags or images"),
        (["x.mp4", "--participant", "a/b"], "participant: expected a short name"),
        (["x.mp4", "--started", "Monday"], "started: expected a time such as"),
        (["--sheet", "none.csv"], "none.csv: not a readable CSV"),
        (["x.mp4", "--detector", "haar"], "--detector: expected mtcnn or yunet, got haar"),
        (["x.mp4", "--model", "base", "--model", "base"], "--model: expected different names"),
    ],
)
def test_wrong_options_are_told_in_a_line(tmp_path, words, message, command):
    done = command(*words)
    assert done.exit_code != 0
    assert message in " ".join((done.output + str(done.exception or "")).split())


def test_mcap_holds_what_dashboards_show(tmp_path, images, command):
    rosbags = pytest.importorskip("rosbags.highlevel", reason="pip install '.[capture]'")
    film = write_film(tmp_path / "x.mp4", images[:8])
    done = command(film, "--mcap", "--started", "2026-11-16T10:00:00+00:00", "--device", "cpu")
    assert done.exit_code == 0, done.output
    rows = read_session(tmp_path / "x.parquet").rows
    with rosbags.AnyReader([tmp_path / "x.mcap"]) as reader:
        found = [
            (connection.topic, at, reader.deserialize(raw, connection.msgtype))
            for connection, at, raw in reader.messages()
        ]
    topics = {topic for topic, _, _ in found}
    assert topics == {"/image/compressed", "/image_annotated/compressed", "/annotations",
                      "/user_reaction"}  # fmt: skip
    told = [message for topic, _, message in found if topic == "/user_reaction"]
    assert [m.p_positive for m in told] == pytest.approx(rows.p_positive.tolist(), abs=1e-5)
    assert told[0].header.stamp.sec == 1794823200
    boxes = [message for topic, _, message in found if topic == "/annotations"]
    assert boxes[0].points[0].points[0].x == pytest.approx(rows.x1[0], abs=0.01)
    assert boxes[0].texts[0].text.startswith("f1")
    pictures = [m.data for topic, _, m in found if topic == "/image/compressed"]
    decoded = cv2.imdecode(np.asarray(pictures[0]), cv2.IMREAD_COLOR)
    assert np.abs(decoded.astype(int) - images[0]).mean() < 6


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path, film, command):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    done = command(film, "--output", folder)
    assert done.exit_code == 1
    assert "Permission denied" in done.output


def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path, film, pipeline, monkeypatch, parts):
    table = tmp_path / "x.parquet"
    write = os.fsync
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        write(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        predict(film, table, OPTIONS, pipeline=pipeline)
    kept = sorted(p.name for p in table.with_name(".x.parquet.parts").glob("*.parquet"))
    assert kept == ["000000.parquet", "000001.parquet"]
    info = predict(film, table, OPTIONS, pipeline=pipeline)
    assert info.frames == 60
    assert json.loads(info.to_json())["frames"] == 60

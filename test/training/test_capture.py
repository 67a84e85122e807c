# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From a video to a patient's folder: what is kept, what is not, and what a broken run leaves."""

import csv
import datetime
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion_perception.image.demo_clip import make_demo_clip
from emotion_perception.image.preprocess import standardise
from emotion_perception.image.source import SourceError, open_source
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.training.capture import capture
from emotion_perception.training.capture_corrections import apply_corrections
from emotion_perception.training.capture_crop import cut_crop, encode_crop, is_aligned_crop
from emotion_perception.training.capture_select import FaceSelector, SelectionOptions, Verdict
from emotion_perception.training.capture_spans import read_spans
from emotion_perception.training.capture_store import LABELS_FILE, PatientStore, read_labels
from emotion_perception.training.consent import Consent, record_consent
from emotion_perception.training.faces import DataError
from emotion_perception.training.sources import load_source
from emotion_perception.valence.labels import CLASSES

VIDEOS = Path(os.environ.get("EMOTION_PERCEPTION_DATA", "../shared/data")) / "videos"
TODAY = datetime.date.today()
FINE = SelectionOptions(min_difference=0.06)
"""The demo clip is two photographs, whose crops differ by light and noise only."""


def consented(data, person="P-1"):
    given = Consent(given_by="patient", given=TODAY, purpose="test", recorded_by="tester")
    record_consent(data, person, given)
    return data / person


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two frames a second: a smiling face (0 to 4.2 s), a wall, another face (8 to 12 s)."""
    pytest.importorskip("matplotlib")
    return make_demo_clip(tmp_path_factory.mktemp("clip"), fps=2.0)


@pytest.fixture(scope="module")
def pipeline():
    return ReactionPipeline(threads=1)


@pytest.fixture(scope="module")
def spans(clip):
    table = clip.with_name("spans.csv")
    table.write_text(
        "file,start,end,valence\ndemo,0,4.1,positive\ndemo,4.1,8,negative\ndemo,8,11,neutral\n"
    )
    return read_spans(table)


@pytest.fixture(scope="module")
def captured(tmp_path_factory, clip, spans):
    """A patient's folder after one run, and its report."""
    data = tmp_path_factory.mktemp("patients")
    consented(data)
    return data, capture(data, "P-1", [str(clip)], spans=spans, options=FINE)


@pytest.fixture
def data(captured, tmp_path):
    """A copy of it to spoil."""
    return Path(shutil.copytree(captured[0], tmp_path / "data"))


def rows(folder):
    with (folder / LABELS_FILE).open(newline="") as file:
        return list(csv.DictReader(file))


def assert_consistent(folder):
    """Every row has its image, every image its row, each can be read."""
    table = rows(folder)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg")}
    assert Counter(row["file"] for row in table) == Counter(files)
    for row in table:
        assert row["file"].split("/")[0] == row["valence"]
        assert cv2.imread(str(folder / row["file"])).shape == (144, 144, 3)
    leftover = [path.name for path in folder.rglob(".*") if path.name != ".lock"]
    assert leftover == []


def test_images_labels_and_sheets(captured):
    data, report = captured
    folder = data / "P-1"
    assert_consistent(folder)
    assert report.kept["positive"] >= 3
    assert report.kept["neutral"] >= 2
    assert report.kept["negative"] == 0  # a wall, and faces that come and go
    assert report.verdicts[Verdict.NO_FACE] >= 2
    assert report.skipped == 2  # after the last span
    assert report.total == {name: report.kept[name] for name in CLASSES}
    table = rows(folder)
    assert [row["file"].rsplit("_", 1)[1] for row in table] == [
        f"idx{number}.jpg" for number in range(1, len(table) + 1)
    ]
    assert {(row["person"], row["recording"], row["source"]) for row in table} == {
        ("P-1", "P-1-r001", "demo.mp4")
    }
    assert all(float(row["face_px"]) >= 48 and float(row["score"]) > 0.9 for row in table)
    assert {sheet.name for sheet in report.sheets} == {"positive-1.png", "neutral-1.png"}
    for sheet in report.sheets:
        picture = cv2.imread(str(sheet))
        first = next(row for row in table if row["valence"] == sheet.stem.split("-")[0])
        np.testing.assert_array_equal(
            picture[64 : 64 + 144, 12 : 12 + 144], cv2.imread(str(folder / first["file"]))
        )


def test_nobody_else_can_look(captured):
    for path in (captured[0] / "P-1", *(captured[0] / "P-1").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_stored_crop_gives_the_network_what_the_frame_gave(clip, tmp_path, pipeline):
    preprocessing = pipeline.checkpoint.preprocessing
    with open_source(clip) as source:
        frame = next(source).image
    face = pipeline.run(frame)[0].face
    live = preprocessing.align(frame, face.landmarks)
    path = tmp_path / "x.jpg"
    path.write_bytes(encode_crop(cut_crop(frame, face.landmarks, preprocessing), preprocessing))
    stored = cv2.imread(str(path))
    assert stored.shape == (144, 144, 3)
    colour = stored.reshape(-1, 3).mean(axis=0)
    assert colour[2] > colour[0] + 10  # skin: more red than blue
    crop = preprocessing.resize(stored)
    a, b = standardise(np.array([live, crop], np.float32), preprocessing.min_std)
    assert np.abs(a - b).mean() < 0.01
    left, right = pipeline.classify([live, crop])
    np.testing.assert_allclose(left, right, atol=0.02)
    assert is_aligned_crop(path, preprocessing)
    cv2.imwrite(str(path), stored)  # somebody else's picture
    assert not is_aligned_crop(path, preprocessing)


def test_the_data_source_gives_what_the_live_frames_gave(captured, clip, pipeline):
    preprocessing = pipeline.checkpoint.preprocessing
    table = rows(captured[0] / "P-1")
    live = {}
    with open_source(clip) as source:
        for frame in source:
            if any(float(row["time"]) == round(frame.time, 3) for row in table):
                landmarks = pipeline.run(frame.image)[0].face.landmarks
                live[round(frame.time, 3)] = preprocessing.align(frame.image, landmarks)
    faces = load_source(f"folders:{captured[0] / 'P-1'}", "all", preprocessing)
    assert [CLASSES[label] for label in faces.labels] == [row["valence"] for row in table]
    assert set(faces.persons) == {"P-1"}
    assert len(set(faces.recordings)) == 1
    assert len(live) == len(faces) == len(table)
    for image, row in zip(faces.images, table, strict=True):
        difference = np.abs(image.astype(int) - live[float(row["time"])])
        assert difference.mean() < 0.4
        assert difference.max() <= 4


def test_the_same_again_adds_nothing_and_more_goes_on(data, clip, spans):
    before = rows(data / "P-1")
    again = capture(data, "P-1", [str(clip)], spans=spans, options=FINE)
    assert sum(again.kept.values()) == 0
    assert again.verdicts[Verdict.DUPLICATE] >= len(before)
    assert rows(data / "P-1") == before
    more = capture(
        data, "P-1", [str(clip)], label="negative", options=SelectionOptions(min_difference=0)
    )
    assert more.kept["negative"] > len(before)
    assert more.recordings == ["P-1-r003"]
    assert_consistent(data / "P-1")
    assert rows(data / "P-1")[: len(before)] == before


def test_class_folders_are_one_recording(captured, tmp_path, clip):
    with open_source(clip) as source:
        frames = [frame.image for frame in source]
    for name, index in (("positive", 2), ("neutral", 20)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "photos" / name / "a b.png"), frames[index])
    folder = consented(tmp_path / "data")
    report = capture(tmp_path / "data", "P-1", [str(tmp_path / "photos")])
    assert report.kept == {"positive": 1, "neutral": 1}
    assert {row["recording"] for row in rows(folder)} == {"P-1-r001"}


@pytest.mark.parametrize(
    ("spoil", "options", "verdict"),
    [
        (lambda f: f, {}, Verdict.KEPT),
        (lambda f: np.full_like(f, 90), {}, Verdict.NO_FACE),
        (lambda f: (f * 0.2).astype(np.uint8), {}, Verdict.DARK),
        (lambda f: cv2.GaussianBlur(f, (0, 0), 9), {"min_score": 0.5}, Verdict.BLURRED),
        (lambda f: f, {"min_face": 400}, Verdict.SMALL),
        (lambda f: f, {"min_score": 1.5}, Verdict.UNCERTAIN),
    ],
)
def test_quality(pipeline, clip, spoil, options, verdict):
    with open_source(clip) as source:
        frame = next(source).image
    selector = FaceSelector(pipeline, SelectionOptions(**options))
    assert selector.select(spoil(frame))[1] == verdict
    if verdict == Verdict.KEPT:
        noisy = frame + np.random.default_rng(0).integers(0, 6, frame.shape, np.uint8)
        assert selector.select(noisy)[1] == Verdict.DUPLICATE
        selector.forget_after(0)
        assert selector.select(frame)[1] == Verdict.KEPT


def test_which_face(pipeline, clip):
    with open_source(clip) as source:
        frame = next(source).image
    two = np.full((480, 1280, 3), 128, np.uint8)
    two[:, 480:1120] = frame
    two[:240, :320] = cv2.resize(frame, (320, 240), interpolation=cv2.INTER_AREA)
    middle = {}
    for choice in ("largest", "centre"):
        selector = FaceSelector(pipeline, SelectionOptions(face=choice, min_face=20))
        selector.select(two if choice == "largest" else np.roll(two, 400, axis=1))
        middle[choice] = float(selector.face.box[[0, 2]].mean())
        assert selector.several == 1
    assert middle["largest"] > 480
    assert 400 < middle["centre"] < 720  # the small one


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sources": ["nowhere.mp4"], "label": "neutral"}, "nowhere.mp4: no such file"),
        ({"sources": ["CLIP"]}, "what do its frames show"),
        ({"person": "P-2", "sources": ["CLIP"], "label": "neutral"}, "P-2: no consent"),
        ({"person": "Jane Doe", "sources": ["CLIP"], "label": "neutral"}, "never use a name"),
    ],
)
def test_refusals_write_nothing(tmp_path, clip, arguments, words):
    folder = consented(tmp_path)
    given = {"person": "P-1", **arguments}
    given["sources"] = [str(clip) if s == "CLIP" else s for s in given["sources"]]
    with pytest.raises((DataError, SourceError), match=words):
        capture(tmp_path, **given)
    assert [path.name for path in tmp_path.iterdir()] == ["P-1"]
    assert [path.name for path in folder.iterdir()] == ["consent.json"]


def test_spans_of_another_file(tmp_path, clip):
    consented(tmp_path)
    table = tmp_path / "s.csv"
    table.write_text("file,start,end,valence\nother.mp4,0,1,neutral\n")
    with pytest.raises(DataError, match=r"no labelled span; the table has spans of other\.mp4"):
        capture(tmp_path, "P-1", [str(clip)], spans=read_spans(table))


def test_images_do_not_leave_by_a_link(data, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (data / "P-1" / "negative").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="negative: a symbolic link"):
        PatientStore(data, "P-1").__enter__()


def test_one_run_at_a_time(data):
    with PatientStore(data, "P-1"), pytest.raises(DataError, match="in use by another run"):
        PatientStore(data, "P-1").__enter__()


# Corrections ---------------------------------------------------------------------------------


def correct(data, change):
    """Change labels.csv row by row, then apply."""
    table = [row for row in map(change, rows(data / "P-1")) if row]
    text = io.StringIO()
    writer = csv.DictWriter(text, table[0])
    writer.writeheader()
    writer.writerows(table)
    (data / "P-1" / LABELS_FILE).write_text(text.getvalue())
    return applied(data)


def applied(data):
    with PatientStore(data, "P-1") as store:
        done = apply_corrections(store)
    assert_consistent(data / "P-1")
    return done.relabelled, done.dropped, done.taken_in


def test_corrections_in_the_table(data):
    count = len(rows(data / "P-1"))

    def change(row):
        number = row["file"].split("idx")[1]
        return {
            **row,
            "valence": {"1.jpg": "NEGATIVE", "2.jpg": "drop"}.get(number, row["valence"]),
        }

    assert correct(data, change) == (1, 1, 0)
    table = {row["file"]: row["valence"] for row in rows(data / "P-1")}
    assert len(table) == count - 1
    assert table["negative/P-1_idx1.jpg"] == "negative"
    assert not (data / "P-1" / "positive" / "P-1_idx2.jpg").exists()
    assert applied(data) == (0, 0, 0)


def test_corrections_by_moving_files(data):
    folder = data / "P-1"
    (folder / "drop").mkdir()
    (folder / "negative").mkdir()
    (folder / "positive" / "P-1_idx1.jpg").rename(folder / "negative" / "P-1_idx1.jpg")
    (folder / "positive" / "P-1_idx2.jpg").rename(folder / "drop" / "P-1_idx2.jpg")
    (folder / "positive" / "P-1_idx3.jpg").unlink()
    assert applied(data) == (1, 2, 0)
    assert rows(folder)[0]["valence"] == "negative"
    assert not (folder / "drop").exists()


def test_numbers_are_not_given_again(data, clip, pipeline):
    last = rows(data / "P-1")[-1]["file"]
    done = correct(data, lambda r: {**r, "valence": "drop"} if r["file"] == last else r)
    assert done == (0, 1, 0)
    with PatientStore(data, "P-1") as store:
        store.begin("x", {})
        selector = FaceSelector(pipeline, SelectionOptions())
        with open_source(clip) as source:
            crop = selector.select(next(source).image)[0]
        new = store.add(crop, "neutral", 0.0)
    assert int(new.split("idx")[1][:-4]) == int(last.split("idx")[1][:-4]) + 1


def test_a_table_from_a_spreadsheet(data):
    path = data / "P-1" / LABELS_FILE
    lines = path.read_text().replace(",", ";").splitlines()
    lines[1] = lines[1].replace(";positive;", ";neutral;")
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    assert applied(data) == (1, 0, 0)
    assert path.read_text().startswith("file,person,")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.replace(",positive,", ",happy,", 1), r"line 2: valence: expected"),
        (lambda t: t.replace("positive/P-1_idx1.jpg", "../x.jpg"), r"line 2: file: expected"),
        (lambda t: t.replace("P-1_idx2.jpg", "P-1_idx1.jpg"), r"line 3: file: .*line 2 already"),
        (lambda t: t.replace("valence", "label"), "columns valence are missing"),
        (lambda t: t.replace(",P-1-r001,", "", 1), "line 2: expected 10 fields"),
        (lambda t: t + '"' + "x" * 140_000, r"not a readable table \(field larger"),
    ],
)
def test_wrong_corrections_change_nothing(data, spoil, words):
    path = data / "P-1" / LABELS_FILE
    path.write_text(spoil(path.read_text()))
    before = {p: p.read_bytes() for p in (data / "P-1").rglob("*") if p.is_file()}
    with pytest.raises(DataError, match=words):
        applied(data)
    assert {p: p.read_bytes() for p in (data / "P-1").rglob("*") if p.is_file()} == before


def test_moved_and_relabelled_differently(data):
    folder = data / "P-1"
    (folder / "positive" / "P-1_idx1.jpg").rename(folder / "neutral" / "P-1_idx1.jpg")
    with pytest.raises(DataError, match=r"moved to neutral/, but its label changed to negative"):
        correct(data, lambda r: {**r, "valence": "negative"} if "idx1.jpg" in r["file"] else r)
    shutil.copy(folder / "neutral" / "P-1_idx1.jpg", folder / "positive")
    with pytest.raises(DataError, match=r"in neutral/.* and positive/.*; delete one"):
        applied(data)


# Runs that break off -------------------------------------------------------------------------


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "emotion_perception.cli", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler), **options,
    )  # fmt: skip


def test_a_killed_run_leaves_whole_images(tmp_path, clip):
    folder = consented(tmp_path)
    child = command(
        "capture", "P-1", clip, clip, clip, "--data", tmp_path, "--label", "positive",
        "--min-difference", "0",
    )  # fmt: skip
    end = time.monotonic() + 300
    while not (folder / "positive" / "P-1_idx5.jpg").exists():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < end
        time.sleep(0.002)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    files = list((folder / "positive").glob("*.jpg"))
    assert all(cv2.imread(str(file)) is not None for file in files)
    assert 0 <= len(files) - len(rows(folder)) <= 1
    again = capture(tmp_path, "P-1", [str(clip)], label="positive")  # nothing new in it
    assert_consistent(folder)
    assert sum(again.kept.values()) + len(files) == len(rows(folder))
    assert {row["recording"] for row in rows(folder)[: len(files)]} == {"P-1-r001"}


def test_an_image_without_a_row_and_a_torn_row(data):
    """The two things that a kill at the worst moment can leave."""
    folder = data / "P-1"
    text = (folder / LABELS_FILE).read_text()
    recordings = folder / "recordings.json"
    recordings.write_text(recordings.read_text().replace('"finished": true', '"finished": false'))
    (folder / LABELS_FILE).write_text(text[: len(text) - 30])
    (folder / "positive" / ".P-1_idx9.jpg.77.part").write_bytes(b"half")
    with PatientStore(data, "P-1") as store:
        assert len(store.taken_in) == 1
    assert_consistent(folder)
    assert {row["recording"] for row in rows(folder)} == {"P-1-r001"}


def test_a_full_disk_keeps_what_is_there(tmp_path, clip):
    folder = tmp_path / "disk" / "P-1"
    (tmp_path / "disk").mkdir()
    script = (
        'mount -t tmpfs -o size=160k none "$1" && "$2" -m emotion_perception.cli consent P-1'
        ' --data "$1" --given-by patient --recorded-by tester >/dev/null && "$2" -m'
        ' emotion_perception.cli capture P-1 "$3" --data "$1" --label positive --min-difference 0;'
        ' echo "rc $?"; cp -r "$1"/. "$4"'
    )
    copy = tmp_path / "copy"
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script, "sh", folder.parent, sys.executable, clip, copy],
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    if "rc" not in done.stdout:
        pytest.skip(f"no disk of one's own can be mounted here: {done.stderr}")
    assert "rc 1" in done.stdout
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    table = rows(copy / "P-1")
    assert len(table) >= 2
    assert f"{len(table)} images are kept" in done.stderr
    assert_consistent(copy / "P-1")
    assert read_labels(copy / "P-1" / LABELS_FILE).tidy


def test_ctrl_c_keeps_what_is_there(tmp_path, clip):
    folder = consented(tmp_path)
    child = command(
        "capture", "P-1", *[clip] * 20, "--data", tmp_path, "--label", "positive",
        "--min-difference", "0",
    )  # fmt: skip
    end = time.monotonic() + 300
    while not (folder / "positive" / "P-1_idx3.jpg").exists():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=300)
    assert child.returncode == 130
    assert "Traceback" not in err
    assert "Look at" in out
    assert_consistent(folder)


# Real clips ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("pyfeat/single_face.mp4", {"neutral": 2, "positive": 4}),
        ("pyfeat/no_face.mp4", {}),
        ("intel/head-pose-face-detection-female.gif", {"neutral": 8}),
    ],
)
def test_shared_clips(tmp_path, name, kept):
    if not (VIDEOS / name).is_file():
        pytest.skip("videos/ is not here; EMOTION_PERCEPTION_DATA names the folder that holds it")
    consented(tmp_path)
    spans = read_spans(VIDEOS / "video_labels.csv")
    report = capture(tmp_path, "P-1", [str(VIDEOS / name)], spans=spans)
    assert set(report.kept) == set(kept)
    assert all(report.kept[key] >= count for key, count in kept.items())
    assert report.verdicts[Verdict.KEPT] <= 0.7 * sum(report.verdicts.values())

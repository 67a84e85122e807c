# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import csv
import logging
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.pipeline import make_mtcnn
from emotion_perception.training.crop_cache import cache_directory
from emotion_perception.training.faces import EMOTIONS, DataError
from emotion_perception.training.source_kinds import detect_kind, parse_source
from emotion_perception.training.sources import load_source, load_sources
from emotion_perception.training.sources_folders import fold_folders, table_entries
from emotion_perception.valence.labels import DROPPED, NEGATIVE, NEUTRAL, POSITIVE

FRAMING = FacePreprocessing()
DATA = Path(os.environ.get("EMOTION_PERCEPTION_DATA", "../shared/data"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "emotion_perception"


@pytest.fixture(scope="module")
def face(photo):
    """A tight crop of 100x100, as data sets have them."""
    return cv2.resize(photo[60:200, 150:290], (100, 100), interpolation=cv2.INTER_AREA)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def write_csv(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture
def raf_kaggle(tmp_path, face):
    """RAF-DB as on Kaggle, one image a label in each split."""
    root = tmp_path / "raf" / "DATASET"
    for split in ("train", "test"):
        rows = [(f"{split}_{label:05d}_aligned.jpg", label) for label in range(1, 8)]
        for name, label in rows:
            save(root / split / str(label) / name, face)
        write_csv(root / f"{split}_labels.csv", ("image", "label"), *rows)
    return tmp_path / "raf"


@pytest.fixture
def folders(tmp_path, face):
    """Two people's folders of three classes."""
    root = tmp_path / "people"
    for number, name in enumerate(("negative", "neutral", "positive")):
        for person in ("anna", "p_2"):
            save(root / name / f"{person}_idx{number}.jpg", face)
    return root


@pytest.mark.parametrize(
    ("text", "kind", "weight"),
    [
        ("raf", "raf-db", 1.0),
        ("raf-db:raf", "raf-db", 1.0),
        ("raf@0.25", "raf-db", 0.25),
        ("raf-db:raf@2", "raf-db", 2.0),
        ("raf/DATASET", "raf-db", 1.0),
    ],
)
def test_source_text(raf_kaggle, monkeypatch, text, kind, weight):
    monkeypatch.chdir(raf_kaggle.parent)
    source = parse_source(text)
    assert (source.kind, source.weight) == (kind, weight)


def test_at_sign_in_a_folder_name(folders):
    odd = folders.rename(folders.parent / "me@home")
    (odd / "x").mkdir()
    assert parse_source(f"{odd}/").path == odd


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nowhere", "nowhere: no such folder"),
        ("raf-db:", "no such folder"),
        ("rafdb:{root}", "kind: expected one of fer-plus, raf-db, affectnet"),
        ("{root}@0", "weight: expected a positive number, got 0"),
        ("{root}@much", "weight: expected a number"),
        ("{root}@nan", "weight: expected a positive number"),
        ("{root}", "not a data set of a known layout.*fer-plus: sheets.*raf-db.*imfdb.*folders"),
        ("{root}/file", "expected the folder of a data set, got a file"),
    ],
)
def test_bad_source_text(tmp_path, text, words):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=words):
        parse_source(text.format(root=tmp_path))


def test_raf_kaggle(raf_kaggle):
    faces = load_source(f"{raf_kaggle}@0.5", "train", FRAMING)
    assert faces.images.shape == (7, 48, 48)
    emotions = [EMOTIONS[i] for i in faces.emotions.argmax(axis=1)]
    assert emotions == [
        "surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral",
    ]  # fmt: skip
    assert faces.labels.tolist() == [DROPPED, *[NEGATIVE] * 2, POSITIVE, *[NEGATIVE] * 2, NEUTRAL]
    assert faces.weight.tolist() == [0.0, *[0.5] * 6]
    assert faces.files[1] == "DATASET/train/2/train_00002_aligned.jpg"
    assert len(load_source(str(raf_kaggle), "all", FRAMING)) == 14
    with pytest.raises(DataError, match="no split 'validation'; it has: train, test"):
        load_source(str(raf_kaggle), "validation", FRAMING)


def test_raf_without_tables(raf_kaggle):
    expected = load_source(str(raf_kaggle), "test", FRAMING)
    for table in (raf_kaggle / "DATASET").glob("*.csv"):
        table.unlink()
    faces = load_source(f"raf-db:{raf_kaggle}", "test", FRAMING)
    assert faces.labels.tolist() == expected.labels.tolist()


def test_raf_of_its_authors(tmp_path, face):
    names = ["train_00001", "train_00002", "test_0001"]
    for name in names:
        save(tmp_path / "basic" / "Image" / "aligned" / f"{name}_aligned.jpg", face)
    table = tmp_path / "basic" / "EmoLabel" / "list_patition_label.txt"
    table.parent.mkdir()
    table.write_text("train_00001.jpg 4\ntrain_00002.jpg 7\ntest_0001.jpg 1\n")
    assert detect_kind(tmp_path) == "raf-db"
    assert load_source(str(tmp_path), "train", FRAMING).labels.tolist() == [POSITIVE, NEUTRAL]
    assert load_source(str(tmp_path), "test", FRAMING).labels.tolist() == [DROPPED]
    table.write_text("train_00001.jpg 4\ntrain_00002.jpg 8\n")
    with pytest.raises(DataError, match=r"label\.txt, row 2: label: expected 1 to 7, got '8'"):
        load_source(str(tmp_path), "train", FRAMING)


def test_crop_is_framed_as_the_robot_frames_it(raf_kaggle, photo):
    crop = load_source(str(raf_kaggle), "test", FRAMING).images[0]
    live = FRAMING.align(
        photo, make_mtcnn("cpu", 40, (0.6, 0.7, 0.7), 1).detect(photo)[0].landmarks
    )
    # The border of the data set's crop is repeated, so only the face itself is compared.
    inner = np.s_[10:40, 10:38]
    alike = np.corrcoef(crop[inner].ravel(), live[inner].ravel())[0, 1]
    assert alike > 0.85
    # A crop that is off by two pixels is not nearly as alike.
    for moved in (np.s_[12:42, 10:38], np.s_[8:38, 10:38], np.s_[10:40, 12:40], np.s_[10:40, 8:36]):
        assert np.corrcoef(crop[inner].ravel(), live[moved].ravel())[0, 1] < alike - 0.05


def test_bad_raf_label_is_named(raf_kaggle):
    write_csv(raf_kaggle / "DATASET" / "train_labels.csv", ("image", "label"), ("a.jpg", "9"))
    with pytest.raises(DataError, match=r"train_labels\.csv, row 2: label: .* got '9'"):
        load_source(str(raf_kaggle), "train", FRAMING)


def test_bad_images_are_counted_and_named(raf_kaggle, caplog):
    root = raf_kaggle / "DATASET" / "train"
    (root / "1" / "train_00001_aligned.jpg").write_bytes(b"")
    (root / "2" / "train_00002_aligned.jpg").write_text("not an image")
    save(root / "3" / "train_00003_aligned.jpg", np.zeros((1, 1, 3), np.uint8))
    (root / "4" / "train_00004_aligned.jpg").unlink()
    with caplog.at_level(logging.WARNING):
        assert len(load_source(str(raf_kaggle), "train", FRAMING)) == 3
    assert "missing, unreadable or tiny images were left out: 4" in caplog.text
    assert "train_00002_aligned.jpg" in caplog.text
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of 7 images"):
        load_source(str(raf_kaggle), "train", FRAMING)


def annotated(root, labels, face, dtype="<U2"):
    for name in ("train_set", "val_set"):
        for number, label in enumerate(labels):
            save(root / name / "images" / f"{number}.jpg", face)
            (root / name / "annotations").mkdir(exist_ok=True)
            np.save(root / name / "annotations" / f"{number}_exp.npy", np.array(label, dtype))
            np.save(root / name / "annotations" / f"{number}_val.npy", np.array("0.1"))


def test_affectnet_annotations(tmp_path, face):
    annotated(tmp_path, [0, 1, 2, 3, 7], face)
    assert detect_kind(tmp_path) == "affectnet"
    faces = load_source(str(tmp_path), "validation", FRAMING)
    assert faces.labels.tolist() == [NEUTRAL, POSITIVE, NEGATIVE, DROPPED, NEGATIVE]
    assert EMOTIONS[faces.emotions[4].argmax()] == "contempt"
    with pytest.raises(DataError, match="has no split 'test'; it has: train, validation"):
        load_source(str(tmp_path), "test", FRAMING)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.array("8"), r"0_exp\.npy: expression: expected 0 to 7, got '8'"),
        (np.array("x"), r"0_exp\.npy: expression: expected 0 to 7, got 'x'"),
        (np.array([1, 2]), r"0_exp\.npy: expected an array with one number"),
        # A pickle could run anything.
        (np.array({"a": 1}, object), r"0_exp\.npy: expected an array"),
    ],
)
def test_bad_affectnet_annotation(tmp_path, face, value, words):
    annotated(tmp_path, [0], face)
    np.save(tmp_path / "train_set" / "annotations" / "0_exp.npy", value, allow_pickle=True)
    with pytest.raises(DataError, match=words):
        load_source(str(tmp_path), "train", FRAMING)


def test_affectnet_tables(tmp_path, photo, caplog):
    header = ("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height",
              "facial_landmarks", "expression", "valence", "arousal")  # fmt: skip
    for name in ("1/a.jpg", "1/b.jpg", "2/c.jpg", "2/d.jpg"):
        save(tmp_path / "Manually_Annotated_Images" / name, photo)
    box = (175, 65, 100, 120)
    rows = [
        ("1/a.jpg", *box, "", 1, 0.9, 0.1),
        ("1/b.jpg", *box, "", 6, -0.9, 0.1),
        ("2/c.jpg", "NULL", "NULL", "NULL", "NULL", "", 10, -2, -2),
        ("2/d.jpg", *box, "", 9, -2, -2),
    ]
    write_csv(tmp_path / "training.csv", header, *rows)
    write_csv(tmp_path / "validation.csv", *rows)  # as published: without a header
    with caplog.at_level(logging.WARNING):
        faces = load_source(str(tmp_path), "train", FRAMING)
    assert faces.labels.tolist() == [POSITIVE, NEGATIVE]
    assert "without a face or a certain emotion were left out: 2" in caplog.text
    detected = make_mtcnn("cpu", 40, (0.6, 0.7, 0.7), 1).detect(photo)[0]
    live = FRAMING.align(photo, detected.landmarks)
    assert np.corrcoef(faces.images[0].ravel(), live.ravel())[0, 1] > 0.9
    assert load_source(str(tmp_path), "validation", FRAMING).labels.tolist() == [POSITIVE, NEGATIVE]
    write_csv(tmp_path / "training.csv", header, rows[0], ("1/b.jpg", *box, "", 11, 0, 0))
    with pytest.raises(DataError, match=r"training\.csv, row 3: expression: .* got '11'"):
        load_source(str(tmp_path), "train", FRAMING)
    write_csv(tmp_path / "training.csv", header, rows[0], ("../../b.jpg", *box, "", 1, 0, 0))
    with pytest.raises(DataError, match="expected a path inside"):
        load_source(str(tmp_path), "train", FRAMING)


def test_affectnet_copy_in_folders(tmp_path, face, caplog):
    rows = []
    for folder, label in (("anger", "anger"), ("happy", "surprise"), ("contempt", "contempt")):
        save(tmp_path / folder / "image1.jpg", face)
        rows.append((len(rows), f"{folder}/image1.jpg", label, 0.8))
    write_csv(tmp_path / "labels.csv", ("", "pth", "label", "relFCs"), *rows)
    assert detect_kind(tmp_path) == "affectnet"
    with caplog.at_level(logging.WARNING):
        faces = load_source(str(tmp_path), "train", FRAMING)
    assert faces.labels.tolist() == [NEGATIVE, DROPPED, NEGATIVE]
    assert "another emotion than the folder, and is believed: 1 (happy/image1.jpg)" in caplog.text


def test_emotion_folders(tmp_path, face, caplog):
    for split in ("train", "test"):
        for name in ("angry", "happy", "neutral", "misc"):
            save(tmp_path / split / name / "x.png", face[:48, :48, 0])
    assert detect_kind(tmp_path) == "emotions"
    with caplog.at_level(logging.WARNING):
        faces = load_source(str(tmp_path), "test", FRAMING)
    assert faces.labels.tolist() == [NEGATIVE, POSITIVE, NEUTRAL]
    assert "misc" in caplog.text
    # Crops as small as FER2013's are framed already.
    assert (np.abs(faces.images[0].astype(int) - face[:48, :48, 0]).max()) == 0


@pytest.fixture
def imfdb(tmp_path, face):
    root = tmp_path / "imfdb"
    save(root / "images" / "Ann" / "one.jpg", face)
    save(root / "images" / "Bob" / "two.jpg", face)
    write_csv(
        root / "labels.csv",
        ("file", "person", "movie", "emotion", "valence", "pose", "gender"),
        ("Ann/one.jpg", "Ann", "M", "anger", "negative", "left", "female"),
        ("Bob/two.jpg", "Bob", "M", "happiness", "positive", "frontal", "male"),
    )
    return root


def test_imfdb(imfdb):
    assert detect_kind(imfdb) == "imfdb"
    faces = load_source(str(imfdb), "all", FRAMING)
    assert faces.persons.tolist() == ["Ann", "Bob"]
    assert faces.recordings.tolist() == ["Ann/M", "Bob/M"]  # two people, two recordings
    assert faces.labels.tolist() == [NEGATIVE, POSITIVE]
    assert faces.groups["gender"].tolist() == ["female", "male"]
    assert EMOTIONS[faces.emotions[0].argmax()] == "anger"
    with pytest.raises(DataError, match="no split 'test'; it has: all, train"):
        load_source(str(imfdb), "test", FRAMING)


def test_bad_valence_in_a_table(imfdb):
    text = (imfdb / "labels.csv").read_text()
    (imfdb / "labels.csv").write_text(text.replace("positive", "glad"))
    with pytest.raises(DataError, match=r"labels\.csv, row 3: valence: .* got 'glad'"):
        load_source(str(imfdb), "all", FRAMING)
    (imfdb / "labels.csv").write_text("file,person\n")
    with pytest.raises(DataError, match="columns valence are missing; it has file, person"):
        load_source(f"imfdb:{imfdb}", "all", FRAMING)


def test_folders(folders, cache, caplog):
    save(folders / "positive" / "holiday.jpg", cv2.imread(str(folders / "positive/anna_idx2.jpg")))
    (folders / "neutral" / "notes.txt").write_text("x")
    with caplog.at_level(logging.WARNING):
        faces = load_source(str(folders), "train", FRAMING)
    assert faces.counts() == {"negative": 2, "neutral": 2, "positive": 3}
    assert set(faces.persons) == {"anna", "p_2", ""}
    assert (
        "names other than person_idxNUM; it is not known whom these images show: 1" in caplog.text
    )
    assert "notes.txt" in caplog.text
    assert not cache.exists()  # patients' faces stay where they are


def test_fold_folders(folders, tmp_path, face):
    for fold in ("fold1", "fold2"):
        for split in ("train", "test"):
            save(tmp_path / "folds" / fold / split / "positive" / f"a_idx{fold[-1]}.jpg", face)
    one = tmp_path / "folds" / "fold1"
    assert load_source(str(one), "test", FRAMING).files.tolist() == ["test/positive/a_idx1.jpg"]
    with pytest.raises(DataError, match="no split 'validation'; it has: train, test"):
        load_source(str(one), "validation", FRAMING)
    assert [path.name for path in fold_folders(tmp_path / "folds")] == ["fold1", "fold2"]
    with pytest.raises(DataError, match="holds the folds fold1, fold2"):
        load_source(f"folders:{tmp_path / 'folds'}", "train", FRAMING)


def test_missing_and_empty_classes_are_named(folders, raf_kaggle):
    for path in (folders / "neutral").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no image of the class neutral"):
        load_sources([str(folders)], "train", FRAMING)
    (folders / "neutral").rmdir()
    with pytest.raises(DataError, match="no image of the class neutral"):
        load_sources([str(folders)], "train", FRAMING)
    # What one set lacks another may have.
    joined = load_sources([str(folders), f"{raf_kaggle}@0.5"], "train", FRAMING)
    assert joined.counts() == {"negative": 6, "neutral": 1, "positive": 3}
    assert set(joined.weight) == {0.0, 0.5, 1.0}


def test_table_beside_class_folders(folders, caplog):
    rows = [(f"{c}/{p}_idx{i}.jpg", p, f"{p}-r1", c) for i, c in
            enumerate(("negative", "neutral", "positive")) for p in ("anna", "p_2")]  # fmt: skip
    write_csv(folders / "labels.csv", ("file", "person", "recording", "valence"), *rows[:-1])
    # Someone corrects a label by hand.
    (folders / "negative" / "anna_idx0.jpg").rename(folders / "positive" / "anna_idx0.jpg")
    with caplog.at_level(logging.WARNING):
        faces = load_source(str(folders), "all", FRAMING)
    by_name = dict(zip(faces.files, zip(faces.labels, faces.recordings, strict=True), strict=True))
    assert by_name["positive/anna_idx0.jpg"] == (POSITIVE, "anna/anna-r1")
    assert by_name["positive/p_2_idx2.jpg"] == (POSITIVE, "")
    assert len(faces) == 6
    assert "images of class folders that it does not name: 1" in caplog.text


def test_semicolons_and_byte_order_mark(imfdb):
    text = (imfdb / "labels.csv").read_text().replace(",", ";")
    (imfdb / "labels.csv").write_text("\ufeff" + text, encoding="utf-8")
    assert len(load_source(str(imfdb), "all", FRAMING)) == 2


def test_cache_is_used_and_mended(raf_kaggle, cache):
    first = load_source(str(raf_kaggle), "train", FRAMING)
    (stored,) = cache.glob("*.npz")
    assert cache == cache_directory()
    with np.load(stored) as held:
        crops, outcomes = held["crops"], held["outcomes"]
    np.savez(stored, crops=255 - crops, outcomes=outcomes)
    again = load_source(str(raf_kaggle), "train", FRAMING)
    np.testing.assert_array_equal(again.images, 255 - first.images)
    for damage in (b"", stored.read_bytes()[:2000], b"x" * 5000):
        stored.write_bytes(damage)
        mended = load_source(str(raf_kaggle), "train", FRAMING)
        np.testing.assert_array_equal(mended.images, first.images)
    assert [path.name for path in cache.iterdir()] == [stored.name]


def test_cache_sees_changes(raf_kaggle, cache, face):
    first = load_source(str(raf_kaggle), "train", FRAMING)
    save(raf_kaggle / "DATASET" / "train" / "1" / "train_00001_aligned.jpg", face // 2)
    changed = load_source(str(raf_kaggle), "train", FRAMING)
    assert changed.images[0].mean() < 0.7 * first.images[0].mean()
    larger = load_source(str(raf_kaggle), "train", FacePreprocessing(size=64))
    assert larger.images.shape == (7, 64, 64)
    assert len(list(cache.glob("*.npz"))) == 3


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("labels.csv", "file,person,movie,valence\na.jpg,p,m,positive\n"),
        ("EmoLabel/list_patition_label.txt", "train_1.jpg 5\n"),
        ("label.lst", "a.jpg 0 1 1 2 2 9 3\n"),
    ],
)
@pytest.mark.parametrize("spoil", [lambda t: t.encode("utf-16"), lambda t: t.encode() + b"\xff"])
def test_a_label_file_that_is_no_text_is_named(tmp_path, file, text, spoil):
    for folder in ("images", "Images", "Image/aligned"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(spoil(text))
    kind = {"labels.csv": "imfdb", "label.lst": "expw"}.get(file, "raf-db")
    with pytest.raises(DataError, match=r"not a readable|are missing"):
        load_source(f"{kind}:{tmp_path}", "train", FRAMING)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "/".join("abcdefgh" * 40)])
def test_a_name_that_no_file_can_have(tmp_path, name):
    (tmp_path / "positive").mkdir()
    write_csv(tmp_path / "labels.csv", ("file", "valence"), (f"{name}/" * 40, "positive"))
    with pytest.raises(DataError, match=r"row 2: file: no file can be called|not a readable CSV"):
        table_entries(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"3", b"\x93NUMPY\x01\x00\x06\x00{'descr", b"\x93NUMPY\x01\x00\xff\xff{("]
)
def test_an_annotation_that_is_no_array(tmp_path, content):
    (tmp_path / "train_set" / "images").mkdir(parents=True)
    (tmp_path / "train_set" / "annotations").mkdir()
    (tmp_path / "train_set" / "annotations" / "1_exp.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"1_exp\.npy: expected an array with one number"):
        load_source(f"affectnet:{tmp_path}", "train", FRAMING)


@pytest.mark.parametrize("number", ["inf", "1e999", "-inf", "nan"])
def test_an_expression_without_end(tmp_path, number):
    (tmp_path / "images").mkdir()
    save(tmp_path / "images" / "a.png", np.zeros((4, 4), np.uint8))
    write_csv(tmp_path / "training.csv", ("subDirectory_filePath", "expression"), ("a.png", number))
    with pytest.raises(DataError, match=r"row 2: expression: expected 0 to 10"):
        load_source(f"affectnet:{tmp_path}", "train", FRAMING)


def test_fer_sheets(fer_dir):
    assert detect_kind(fer_dir) == "fer-plus"
    faces = load_source(f"{fer_dir}@3", "train", FacePreprocessing(size=64))
    assert faces.images.shape == (30, 64, 64)
    assert faces.weight.max() == pytest.approx(2.7)  # nine of ten votes name a valence


def test_shared_imfdb():
    if not (DATA / "imfdb" / "labels.csv").is_file():
        pytest.skip("IMFDB is not here; EMOTION_PERCEPTION_DATA names the folder that holds it")
    entries = table_entries(DATA / "imfdb")
    assert np.bincount([entry.valence for entry in entries]).tolist() == [3201, 3796, 2698]
    assert len({entry.person for entry in entries}) == 43
    assert all(entry.path.is_file() for entry in entries)


def test_shared_london(tmp_path):
    if not (DATA / "london" / "labels.csv").is_file():
        pytest.skip("london is not here; EMOTION_PERCEPTION_DATA names the folder that holds it")
    lines = (DATA / "london" / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join([lines[0], *lines[1:6], *lines[-6:]]) + "\n")
    (tmp_path / "images").symlink_to((DATA / "london" / "images").resolve())
    faces = load_source(str(tmp_path), "all", FRAMING)
    assert len(faces) == 11  # whole portraits: each face is found
    assert {"age", "gender", "ethnicity"} <= set(faces.groups)

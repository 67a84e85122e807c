# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import os
from pathlib import Path

import numpy as np
import pytest

from emotion_perception.image.source import Frame
from emotion_perception.training.capture_spans import label_at, parse_label, read_spans, spans_of
from emotion_perception.training.faces import DataError

VIDEOS = Path(os.environ.get("EMOTION_PERCEPTION_DATA", "../shared/data")) / "videos"


def table(tmp_path, text):
    path = tmp_path / "spans.csv"
    path.write_text(text, encoding="utf-8")
    return path


def frame(index, time):
    return Frame(index, time, np.zeros((1, 1, 3), np.uint8))


@pytest.mark.parametrize(
    "text",
    [
        "file,start,end,valence\na.mp4,0,1.5,neutral\na.mp4,1.5,3,positive\n",
        "file,valence,start,end\na.mp4,Neutral,0,1.5\na.mp4,happiness,1.5,3\n",
        "\ufeffvideo;start_s;end_s;label\r\na.mp4;0;1,5;neutral\r\n\r\na.mp4;1,5;3;positive\r\n",
        "path\tbegin\tstop\temotion\na.mp4\t\t1.5\tneutral\na.mp4\t1.5\t\thappiness\n",
    ],
)
def test_seconds(tmp_path, text):
    spans = read_spans(table(tmp_path, text))
    found = [label_at(spans, frame(0, time)) for time in (0, 1.49, 1.5, 2.99)]
    assert found == ["neutral", "neutral", "positive", "positive"]


def test_frames_are_both_included(tmp_path):
    text = "file,first_frame,last_frame,valence\na.gif,0,2,negative\na.gif,3,4,\na.gif,5,5,neutral"
    spans = read_spans(table(tmp_path, text))
    found = [label_at(spans, frame(index, 0.0)) for index in range(7)]
    assert found == ["negative"] * 3 + [None, None, "neutral", None]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,0,1,neutral\na,0.5,2,positive\n", r"line 3: the span overlaps that of line 2"),
        ("a,3,4,neutral\nb,0,9,neutral\na,0,3.5,positive\n", r"line 4: .* line 2"),
        ("a,0,1,neutral\na,1,2,joyful\n", r"line 3: valence: expected negative.*'joyful'"),
        ("a,2,1,neutral\n", r"line 2: expected an end after its start"),
        ("a,x,1,neutral\n", r"line 2: start: expected a number, got 'x'"),
        ("a,0,nan,neutral\n", r"line 2: end: expected a number"),
        ("a,-1,1,neutral\n", r"line 2: "),
        (",0,1,neutral\n", r"line 2: file: empty"),
        ("./.,0,1,neutral\n", r"line 2: file: empty, or no name: './\.'"),
        ("a,0\n", r"line 2: expected 4 fields, got 2"),
        ("", "no span"),
        ('a,0,1,"' + "x" * 140_000, r"spans\.csv: not a readable CSV file \(field larger"),
    ],
)
def test_errors_name_the_line(tmp_path, rows, words):
    with pytest.raises(DataError, match=words):
        read_spans(table(tmp_path, "file,start,end,valence\n" + rows))


def test_columns_are_asked_for(tmp_path):
    with pytest.raises(DataError, match=r"expected the columns file, start, end"):
        read_spans(table(tmp_path, "a,b\n1,2\n"))
    with pytest.raises(DataError, match="not found"):
        read_spans(tmp_path / "nowhere.csv")


def test_a_source_finds_its_spans(tmp_path):
    text = "file,valence\nx/a.mp4,neutral\ny/a.mp4,positive\nb.mp4,negative\n"
    spans = read_spans(table(tmp_path, text))

    def labels(path):
        return [span.valence for span in spans_of(spans, Path(path))]

    assert labels("/data/x/a.mp4") == ["neutral"]
    assert labels("y/a.mp4") == ["positive"]
    assert labels("z/b.mp4") == ["negative"]
    assert labels("c.mp4") == []


def test_words():
    assert parse_label(" Happiness ", "x") == "positive"
    assert parse_label("surprise", "x") is parse_label("", "x") is parse_label("drop", "x") is None


def test_shared_table():
    if not (VIDEOS / "video_labels.csv").is_file():
        pytest.skip("videos/ is not here; EMOTION_PERCEPTION_DATA names the folder that holds it")
    spans = read_spans(VIDEOS / "video_labels.csv")
    mine = spans_of(spans, VIDEOS / "pyfeat" / "single_face.mp4")
    found = [label_at(mine, frame(index, 0.0)) for index in range(72)]
    assert found == ["neutral"] * 18 + [None] * 2 + ["positive"] * 49 + [None] * 2 + ["neutral"]

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import csv
import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

pytest.importorskip("matplotlib")

from emotion_perception.training.evaluate import Judged
from emotion_perception.training.faces import DataError, from_labels
from emotion_perception.training.output_folder import new_folder
from emotion_perception.training.report import write_report

HOSTILE = '<script>alert("x")</script> & $\\frac{1}{0}$'


def made(count=120, seed=0, **names):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    logits = rng.normal(size=(count, 3)) + 1.5 * np.eye(3)[labels]
    p = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    images = rng.integers(0, 256, (count, 48, 48), np.uint8)
    names.setdefault("files", [f"f{i}.png" for i in range(count)])
    return p, from_labels(images, labels, **names)


def write(directory, p, faces, *others, **options):
    judged = [Judged("first", "first-1", 0.5, p), *others]
    return write_report(directory, faces, judged, title="T", data="drawn", **options)


class Page(HTMLParser):
    """Collects the tags of a page, its words and its pictures, and checks that tags close."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.pictures, self._open = [], [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag == "img":
            self.pictures.append(dict(attributes))
        if tag not in ("img", "meta"):
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_page_says_it_in_words_and_needs_nothing_else(tmp_path):
    p, faces = made()
    (result,) = write(tmp_path / "r", p, faces)
    page = Page(tmp_path / "r" / "index.html")
    assert f"{100 * result.accuracy:.0f} % of these 120 faces" in page.text
    assert f"does for {100 * (1 - result.coverage):.0f} % of the faces" in page.text
    assert "does not say how old" in page.text
    assert len(page.pictures) == 3
    for picture in page.pictures:
        assert picture["src"].startswith("data:image/png;base64,")
        assert len(picture["alt"]) > 40
    source = (tmp_path / "r" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:)""", source)
    assert "default-src 'none'" in source


def test_tables_hold_the_figures(tmp_path):
    p, faces = made()
    (result,) = write(tmp_path / "r", p, faces)
    summary = {row["figure"]: row["first"] for row in rows(tmp_path / "r" / "summary.csv")}
    assert float(summary["accuracy"]) == pytest.approx(result.accuracy, abs=1e-5)
    assert float(summary["accuracy_low"]) == pytest.approx(result.accuracy_interval[0], abs=1e-5)
    confusion = rows(tmp_path / "r" / "confusion.csv")
    counts = [[int(row[f"said_{n}"]) for n in ("negative", "neutral", "positive")]
              for row in confusion]  # fmt: skip
    assert counts == result.confusion
    answers = rows(tmp_path / "r" / "answers.csv")
    assert [row["file"] for row in answers] == [f"f{i}.png" for i in range(120)]
    right = sum(row["label"] == row["said"] for row in answers)
    assert right / 120 == pytest.approx(result.accuracy)
    assert sum(row["answered"] == "yes" for row in answers) / 120 == pytest.approx(result.coverage)
    assert not (tmp_path / "r" / "persons.csv").exists()
    values = json.loads((tmp_path / "r" / "evaluation.json").read_text())
    assert values["models"][0]["images"] == 120
    for path in (tmp_path / "r" / "figures").iterdir():
        assert cv2.imread(str(path)).std() > 5


def test_hostile_names_stay_names(tmp_path):
    names = [HOSTILE, "=1+1", "+x", "\udcff\n\x00"] * 30
    files = ["=HYPERLINK(0)"] * 120
    p, faces = made(
        files=files, persons=names, recordings=names, groups={HOSTILE: [HOSTILE, "$a$"] * 60}
    )
    write(tmp_path / "r", p, faces, Judged(HOSTILE, HOSTILE, 0.5, p), with_images=True)
    page = Page(tmp_path / "r" / "index.html")
    assert "script" not in page.tags
    assert HOSTILE in page.text
    for name in ("persons", "recordings", "groups", "answers"):
        for row in rows(tmp_path / "r" / f"{name}.csv"):
            assert not any(cell.startswith(("=", "+")) for cell in row.values())
    assert rows(tmp_path / "r" / "answers.csv")[0]["file"] == "'=HYPERLINK(0)"


def test_models_are_compared_with_the_first(tmp_path):
    p, faces = made()
    better = np.eye(3, dtype=np.float32)[faces.labels]
    write(tmp_path / "r", p, faces, Judged("oracle", "oracle-1", 0.5, better))
    page = Page(tmp_path / "r" / "index.html")
    assert "“oracle” is better than “first”" in page.text
    (row,) = rows(tmp_path / "r" / "comparison.csv")
    assert row["compared_with"] == "first"
    assert float(row["accuracy"]) == pytest.approx(
        1 - (p.argmax(1) == faces.labels).mean(), abs=1e-5
    )
    assert int(row["lost"]) == 0


def test_persons_and_groups_have_their_tables(tmp_path):
    p, faces = made(
        persons=[f"p{i % 30}" for i in range(120)],
        groups={"age": [str(20 + i % 30) for i in range(120)]},
    )
    write(tmp_path / "r", p, faces)
    persons = rows(tmp_path / "r" / "persons.csv")
    assert len(persons) == 30
    accuracy = [float(row["accuracy"]) for row in persons]
    assert accuracy == sorted(accuracy)
    groups = rows(tmp_path / "r" / "groups.csv")
    assert {row["group"] for row in groups} == {"20 to 29", "30 to 39", "40 to 49"}
    page = Page(tmp_path / "r" / "index.html")
    assert "of 30 persons" in page.text
    assert "By age: nothing can be said" in page.text  # ten a group
    assert "whole persons are drawn" in page.text


def test_images_are_in_it_only_when_asked_for(tmp_path):
    p, faces = made()
    write(tmp_path / "plain", p, faces)
    assert not list((tmp_path / "plain" / "figures").glob("*wrong*"))
    write(tmp_path / "faces", p, faces, with_images=True)
    wrong = cv2.imread(str(tmp_path / "faces" / "figures" / "model1_wrong.png"))
    right = cv2.imread(str(tmp_path / "faces" / "figures" / "model1_right.png"))
    count = int((p.argmax(1) != faces.labels).sum())
    tile = (112 + 34 + 8, 112 + 8)
    assert wrong.shape == (-(-min(count, 48) // 8) * tile[0], 8 * tile[1], 3)
    assert right.shape[0] == 6 * tile[0]
    # The surest mistake comes first, in the colour of the answer.
    surest = max(np.flatnonzero(p.argmax(1) != faces.labels), key=lambda i: p[i].max())
    crop = cv2.resize(faces.images[surest], (112, 112), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(wrong[4:116, 4:116, 0], crop)


def test_learning_curves_are_drawn(tmp_path):
    p, faces = made()
    curves = {
        "loss": (np.arange(3.0), np.array([1.0, 0.7, 0.6])),
        "val_accuracy": (np.arange(3.0), np.array([0.5, 0.6, 0.7])),
    }
    write(tmp_path / "r", p, faces, learning=curves)
    assert (tmp_path / "r" / "figures" / "learning.png").is_file()
    assert len(Page(tmp_path / "r" / "index.html").pictures) == 4


def test_one_face_and_a_model_that_never_answers(tmp_path):
    p, faces = made(1)
    judged = [Judged("m", "m", 0.999999, p)]
    (result,) = write_report(tmp_path / "r", faces, judged, title="T", data="one")
    assert result.coverage == 0
    page = Page(tmp_path / "r" / "index.html")
    assert "says “I don't know” every time" in page.text
    assert "There is no neutral and no positive face" in page.text


def test_folder_is_private_and_never_replaced(tmp_path):
    p, faces = made(12)
    write(tmp_path / "new" / "r", p, faces)
    assert (tmp_path / "new" / "r").stat().st_mode & 0o777 == 0o700
    before = (tmp_path / "new" / "r" / "index.html").read_bytes()
    with pytest.raises(FileExistsError, match="nothing is overwritten"):
        write(tmp_path / "new" / "r", p, faces)
    assert (tmp_path / "new" / "r" / "index.html").read_bytes() == before
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileExistsError, match="empty exists"):
        write(tmp_path / "empty", p, faces)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="link exists"):
        write(tmp_path / "link", p, faces)


def test_broken_off_leaves_nothing(tmp_path):
    def interrupted():
        with new_folder(tmp_path / "r") as work:
            (work / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_answers_of_other_faces_are_refused(tmp_path):
    p, faces = made(12)
    with pytest.raises(DataError, match="first: 11 answers for 12 faces"):
        write(tmp_path / "r", p[:11], faces)
    with pytest.raises(DataError, match="no face"):
        write(tmp_path / "r", p[:0], faces.subset([]))
    assert list(tmp_path.iterdir()) == []

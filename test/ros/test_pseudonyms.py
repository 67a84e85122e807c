# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import pytest

from emotion_perception.nodes.pseudonyms import Pseudonyms, QuietLogger


@pytest.fixture
def hide():
    known = Pseudonyms()
    for name in ("P-1", "P-17", "", None, "Jane Doe!", 7, "(x"):
        known.note(name)
    return known.hide


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/models/P-1/0001/model.onnx: damaged", "/models/<patient>/0001/model.onnx: damaged"),
        ("unknown patient 'P-1'", "unknown patient '<patient>'"),
        ("valence-P-17-ab12cd34 judges", "valence-<patient>-ab12cd34 judges"),
        ("expected letters, got 'Jane Doe!'", "expected letters, got '<patient>'"),
        ("Trying to set 'patient_id' to '7'", "Trying to set 'patient_id' to '<patient>'"),
        # Other people's names and other words stay.
        ("P-10, AP-1, P-100 and 77", "P-10, AP-1, P-100 and 77"),
        ("P-1 and P-17", "<patient> and <patient>"),
        ("nobody", "nobody"),
    ],
)
def test_pseudonyms_are_hidden_as_whole_words(hide, text, expected):
    assert hide(text) == expected


def test_nobody_is_hidden_before_anybody_is_known():
    known = Pseudonyms()
    known.note("")
    assert known.hide("the base model judges") == "the base model judges"


def test_what_it_remembers_is_bounded_and_the_newest():
    known = Pseudonyms()
    for number in range(10_000):
        known.note(f"P-{number}")
    assert known.hide("P-9999 P-0") == "<patient> P-0"


def test_a_quiet_logger_hides_in_every_kind_of_message(hide):
    said = []

    class Logger:
        def __init__(self, name):
            self.name = name

        def __getattr__(self, kind):
            return lambda message, **options: said.append((self.name, kind, message, options))

        def get_child(self, name):
            return Logger(f"{self.name}.{name}")

    quiet = QuietLogger(Logger("node"), hide)
    for kind in ("debug", "info", "warning", "error", "fatal"):
        getattr(quiet, kind)("of P-1", once=True)
    quiet.get_child("action_server").warn("of P-17")
    assert said == [
        *(("node", kind, "of <patient>", {"once": True})
          for kind in ("debug", "info", "warning", "error", "fatal")),
        ("node.action_server", "warning", "of <patient>", {}),
    ]  # fmt: skip

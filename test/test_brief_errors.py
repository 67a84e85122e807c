# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Errors quote what a file says, and no more of it than a log can take."""

import pickle

import pytest

from emotion_perception.faces.model_files import ModelError
from emotion_perception.limited_files import MOST_MESSAGE, parse_json
from emotion_perception.sessions.state import StateError
from emotion_perception.sessions.table import SessionError
from emotion_perception.training.faces import DataError


@pytest.mark.parametrize("kind", [ModelError, StateError, SessionError, DataError])
def test_a_message_that_quotes_a_megabyte_is_cut(kind):
    long = str(kind("card.json: name: expected a text, got " + "x" * 1_000_000))
    assert long.startswith("card.json: name: expected a text, got xxx")
    assert long.endswith("... (1000038 characters in all)")
    assert len(long) <= MOST_MESSAGE
    assert str(kind("short")) == "short"
    # Errors cross processes.
    assert str(pickle.loads(pickle.dumps(kind(long)))) == long


@pytest.mark.parametrize("text", ["1" * 20, "-" + "9" * 400, "[1, 2, " + "7" * 5000 + "]"])
def test_numbers_without_end_are_refused(text):
    with pytest.raises(ValueError, match="is too large a number"):
        parse_json(text)


def test_usual_numbers_are_read():
    largest = 2**63 - 1
    assert parse_json(f"[{largest}, {-largest}, 1.5]") == [largest, -largest, 1.5]

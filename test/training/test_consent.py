# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import datetime
import json
import stat

import pytest

from emotion_perception.training.consent import (
    Consent,
    parse_day,
    read_consents,
    record_consent,
    require_consent,
    withdraw_consent,
)
from emotion_perception.training.faces import DataError
from emotion_perception.training.patients import check_pseudonym, patient_folder

DAY = datetime.date(2026, 11, 20)
LATER = DAY + datetime.timedelta(days=1)


def consent(**changes):
    fields = {"given_by": "patient", "given": DAY, "purpose": "care", "recorded_by": "nurse"}
    return Consent(**{**fields, **changes})


def test_a_consent_is_private_and_read_back(tmp_path):
    path = record_consent(tmp_path / "data", "P-1", consent(expires=LATER), DAY)
    assert require_consent(tmp_path / "data", "P-1", LATER) == consent(expires=LATER)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (path.parent, path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["consent.json"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "no consent on record"),
        (consent(expires=DAY), "expired on 2026-11-20"),
        (consent(keep_until=DAY), "kept until 2026-11-20"),
        (consent(withdrawn=LATER), "withdrawn on 2026-11-21"),
    ],
)
def test_without_a_valid_consent_nothing_goes(tmp_path, given, words):
    if given is not None:
        record_consent(tmp_path, "P-1", given, DAY)
    with pytest.raises(DataError, match=words):
        require_consent(tmp_path, "P-1", LATER)


def test_withdrawn_then_given_again_leaves_both_on_record(tmp_path):
    record_consent(tmp_path, "P-1", consent(), DAY)
    withdraw_consent(tmp_path, "P-1", LATER)
    with pytest.raises(DataError, match="withdrawn"):
        require_consent(tmp_path, "P-1", LATER)
    with pytest.raises(DataError, match="already"):
        withdraw_consent(tmp_path, "P-1", LATER)
    record_consent(tmp_path, "P-1", consent(given=LATER), LATER)
    assert require_consent(tmp_path, "P-1", LATER).given == LATER
    assert [item.withdrawn for item in read_consents(tmp_path, "P-1")] == [LATER, None]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"given_by": "son"}, "given_by: expected patient or legal-representative"),
        ({"recorded_by": ""}, "recorded_by: expected one line"),
        ({"recorded_by": "a@b.org"}, "no address"),
        ({"purpose": "two\nlines"}, "purpose: expected one line"),
        ({"expires": DAY - datetime.timedelta(days=1)}, "expires: .* before"),
    ],
)
def test_a_wrong_consent_is_refused(changes, words):
    with pytest.raises(DataError, match=words):
        consent(**changes)


def test_days(tmp_path):
    with pytest.raises(DataError, match="--date: expected a day"):
        parse_day("20.11.2026", "--date")
    with pytest.raises(DataError, match="future"):
        record_consent(tmp_path, "P-1", consent(given=LATER), DAY)
    assert not (tmp_path / "P-1").exists()


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"format": 1, "person": "P-2", "consents": []}',
     '{"format": 1, "person": "P-1", "consents": []}',
     '{"format": 1, "person": "P-1", "consents": [{"given": 5}]}',
     '{"format": 1, "person": "P-1", "consents": [{"given_by": "patient", "given": "2026-11-20",'
     ' "purpose": 7, "recorded_by": "x"}]}', "[" * 100_000],
)  # fmt: skip
def test_a_damaged_record_is_no_consent(tmp_path, text):
    path = record_consent(tmp_path, "P-1", consent(), DAY)
    path.write_text(text)
    with pytest.raises(DataError, match=r"consent\.json"):
        require_consent(tmp_path, "P-1", DAY)
    with pytest.raises(DataError, match=r"consent\.json"):  # nor is it overwritten
        record_consent(tmp_path, "P-1", consent(), DAY)
    assert path.read_text() == text


def test_the_record_of_another_person_does_not_count(tmp_path):
    path = record_consent(tmp_path, "P-1", consent(), DAY)
    (tmp_path / "P-2").mkdir()
    (tmp_path / "P-2" / "consent.json").write_text(path.read_text())
    assert json.loads(path.read_text())["person"] == "P-1"
    with pytest.raises(DataError, match="not of P-2"):
        require_consent(tmp_path, "P-2", DAY)


@pytest.mark.parametrize("person", ["P-017", "a", "0042", "Abc-1"])
def test_pseudonyms(person):
    assert check_pseudonym(person) == person


@pytest.mark.parametrize(
    "person",
    ["", "Jane Doe", "a@b", "p_1", "..", "../x", "/x", ".x", "-x", "x-", "ü", "x" * 65, "P-1\n",
     "positive", "Train"],
)  # fmt: skip
def test_no_pseudonyms(person):
    with pytest.raises(DataError, match="person: "):
        check_pseudonym(person)


def test_a_link_is_no_patient_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "P-1").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "P-2").write_text("")
    for person, words in (("P-1", "symbolic link"), ("P-2", "a file")):
        with pytest.raises(DataError, match=words):
            patient_folder(tmp_path, person)

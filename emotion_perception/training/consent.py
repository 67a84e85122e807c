# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The consent record, without which no image of a patient is written."""

from __future__ import annotations

import datetime
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from emotion_perception.limited_files import read_json
from emotion_perception.training.faces import DataError
from emotion_perception.training.patients import make_private, patient_folder, write_private

CONSENT_FILE = "consent.json"
GIVEN_BY = ("patient", "legal-representative")
DEFAULT_PURPOSE = "adapting the recognition of this person's facial reactions"

_FORMAT = 1
_TEXT_LIMIT = 200


@dataclass(frozen=True, kw_only=True)
class Consent:
    """One consent as it was given; a person may give several in a row.

    Attributes:
        given_by: one of GIVEN_BY.
        given: the day it was given.
        purpose: what the images may be used for.
        recorded_by: role of who wrote this down (``psychologist``), never a name.
        expires: last day on which images may be recorded and used; None: until withdrawn.
        keep_until: last day to which images may be kept; None: no day was agreed.
        withdrawn: the day it was withdrawn, or None.
    """

    given_by: str
    given: datetime.date
    purpose: str
    recorded_by: str
    expires: datetime.date | None = None
    keep_until: datetime.date | None = None
    withdrawn: datetime.date | None = None

    def __post_init__(self) -> None:
        if self.given_by not in GIVEN_BY:
            raise DataError(f"given_by: expected {' or '.join(GIVEN_BY)}, got {self.given_by!r}")
        for name in ("purpose", "recorded_by"):
            text = getattr(self, name)
            if not isinstance(text, str):
                raise DataError(f"{name}: expected text, got {text!r}")
            if not text.strip() or len(text) > _TEXT_LIMIT or not text.isprintable():
                raise DataError(f"{name}: expected one line of 1 to {_TEXT_LIMIT} characters")
            if "@" in text:
                raise DataError(f"{name}: expected no address, got {text!r}")
        for name in ("expires", "keep_until", "withdrawn"):
            day = getattr(self, name)
            if day is not None and day < self.given:
                raise DataError(f"{name}: {day} is before the consent was given ({self.given})")

    def objection(self, today: datetime.date) -> str | None:
        """Return why nothing may be recorded on a day, or None where it may."""
        if self.withdrawn is not None:
            return f"was withdrawn on {self.withdrawn}"
        if today < self.given:
            return f"begins on {self.given}"
        if self.expires is not None and today > self.expires:
            return f"expired on {self.expires}"
        if self.keep_until is not None and today > self.keep_until:
            return f"allowed images to be kept until {self.keep_until}"
        return None


def record_consent(
    data: Path, person: str, consent: Consent, today: datetime.date | None = None
) -> Path:
    """Write a person's consent; earlier ones stay in the record.

    Args:
        data: folder with one folder a person.
        person: pseudonym.
        consent: as given now.
        today: the day it is; None asks the clock.

    Returns:
        The record, ``<data>/<person>/consent.json``.

    Raises:
        DataError: if the consent lies in the future, or the record is damaged.
    """
    if consent.given > (today or datetime.date.today()):
        raise DataError(f"given: {consent.given} is in the future")
    folder = patient_folder(data, person)
    known = read_consents(data, person) if (folder / CONSENT_FILE).exists() else []
    if not data.exists():
        make_private(data)
    return _write(make_private(folder), person, [*known, consent])


def withdraw_consent(data: Path, person: str, day: datetime.date) -> Path:
    """Mark a person's last consent as withdrawn; the images stay until they are forgotten."""
    known = read_consents(data, person)
    last = known[-1]
    if last.withdrawn is not None:
        raise DataError(f"{person}: consent was withdrawn already, on {last.withdrawn}")
    folder = patient_folder(data, person)
    return _write(folder, person, [*known[:-1], replace(last, withdrawn=day)])


def require_consent(data: Path, person: str, today: datetime.date | None = None) -> Consent:
    """Return the consent that is valid today; everything that writes a person's data asks first.

    Raises:
        DataError: if there is none, or it has expired or been withdrawn; says what to do.
    """
    if not (patient_folder(data, person) / CONSENT_FILE).exists():
        raise DataError(
            f"{person}: no consent on record in {data}; write it down first:"
            f" emotion-perception consent {person} --data {data} --given-by patient"
            " --recorded-by ROLE"
        )
    last = read_consents(data, person)[-1]
    objection = last.objection(today or datetime.date.today())
    if objection is not None:
        raise DataError(
            f"{person}: the consent of {last.given} {objection}; record a new consent, or delete"
            f" the data with emotion-perception forget {person} --data {data}"
        )
    return last


def read_consents(data: Path, person: str) -> list[Consent]:
    """Return every consent of a person, the last one last.

    Raises:
        DataError: if the record is missing or damaged, or is of somebody else.
    """
    path = patient_folder(data, person) / CONSENT_FILE
    try:
        record = read_json(path)
    except FileNotFoundError:
        raise DataError(f"{path}: not found, {person} has given no consent") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable consent record ({error})") from error
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise DataError(f"{path}: format: expected {_FORMAT}")
    if record.get("person") != person:
        raise DataError(f"{path}: person: is of {record.get('person')!r}, not of {person}")
    entries = record.get("consents")
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{path}: consents: expected at least one")
    try:
        return [_from_json(entry) for entry in entries]
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: consents: {error}") from error


def parse_day(text: str, name: str) -> datetime.date:
    """Return a day written as 2026-11-20."""
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise DataError(f"{name}: expected a day such as 2026-11-20, got {text!r}") from None


def _from_json(entry: dict[str, Any]) -> Consent:
    fields = dict(entry)
    for name in ("given", "expires", "keep_until", "withdrawn"):
        if fields.get(name) is not None:
            fields[name] = parse_day(fields[name], name)
    return Consent(**fields)


def _write(folder: Path, person: str, consents: list[Consent]) -> Path:
    entries = [
        {
            name: value.isoformat() if isinstance(value, datetime.date) else value
            for name, value in asdict(consent).items()
        }
        for consent in consents
    ]
    record = {"format": _FORMAT, "person": person, "consents": entries}
    path = folder / CONSENT_FILE
    write_private(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return path

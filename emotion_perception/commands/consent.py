# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception consent`."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from emotion_perception.commands.patient_options import PatientDataOption, PersonArgument


def consent(
    person: PersonArgument,
    data: PatientDataOption,
    given_by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Who gave it: patient or legal-representative."),
    ] = None,
    recorded_by: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Role of who writes it down, such as psychologist; no name."),
    ] = None,
    purpose: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="What the images may be used for; default: adapting the recognition."),
    ] = None,
    date: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Day it was given (or withdrawn), 2026-11-20; default: today."),
    ] = None,
    expires: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Last day on which it holds; default: until it is withdrawn."),
    ] = None,
    keep_until: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Last day to which images may be kept."),
    ] = None,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="The person takes the consent back.")
    ] = False,
) -> None:
    """Write down a patient's consent, or show it. Without it no image is stored.

    With --given-by and --recorded-by a consent is added to the record; with neither the record is
    shown. PERSON is a pseudonym, NEVER a name.
    """
    import datetime

    from emotion_perception.training.consent import (
        CONSENT_FILE,
        DEFAULT_PURPOSE,
        Consent,
        parse_day,
        read_consents,
        record_consent,
        withdraw_consent,
    )
    from emotion_perception.training.faces import DataError
    from emotion_perception.training.patients import patient_folder

    today = datetime.date.today()
    day = today if date is None else parse_day(date, "--date")
    folder = patient_folder(data, person)
    if withdraw:
        if given_by or recorded_by:
            raise DataError("--withdraw: goes without --given-by and --recorded-by")
        withdraw_consent(data, person, day)
    elif given_by or recorded_by:
        if not (given_by and recorded_by):
            raise DataError("a consent needs both --given-by and --recorded-by")
        record_consent(
            data,
            person,
            Consent(
                given_by=given_by,
                given=day,
                purpose=purpose or DEFAULT_PURPOSE,
                recorded_by=recorded_by,
                expires=parse_day(expires, "--expires") if expires else None,
                keep_until=parse_day(keep_until, "--keep-until") if keep_until else None,
            ),
            today,
        )
    elif purpose or expires or keep_until:
        raise DataError("a consent needs both --given-by and --recorded-by")
    for item in read_consents(data, person):
        until = f", until {item.expires}" if item.expires else ""
        kept = f"; images kept until {item.keep_until} at most" if item.keep_until else ""
        typer.echo(
            f"{item.given}: given by {item.given_by}{until}{kept}; for: {item.purpose};"
            f" recorded by {item.recorded_by}"
        )
    objection = read_consents(data, person)[-1].objection(today)
    if objection is None:
        typer.echo(f"{person}: may be recorded today ({folder / CONSENT_FILE})")
    else:
        typer.echo(f"{person}: may NOT be recorded: the consent {objection}")
        if any(folder.rglob("*.jpg")):
            typer.echo(f"Images are left: emotion-perception forget {person} --data {data}")

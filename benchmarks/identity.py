# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How well a patient is recognised by face: verification, identification, time.

    python -m benchmarks.identity --london DIR --imfdb DIR [--cmu DIR] --output JSON

Every second person of each set (by pseudonym, in order) was used to fit the centre and the
threshold of models/face-identity; all figures are of the others. ``--fit`` fits both anew and
writes them into the model's folder.

* Verification: pairs of images, of one person or of two. On IMFDB a pair of one person is from two
  movies. TAR: share of pairs of one person above the similarity that a share FAR of the pairs of
  two people exceeds. Intervals: 95 %, persons drawn with replacement (a pair counts by how often
  both of its people were drawn).
* Identification: a person is enrolled with 10 images of one movie, as `emotion-perception enrol`
  does; then the model's threshold decides on the same person's images of that movie and of others,
  and on other people's. On London, one image is enrolled and the other one looked at. Intervals:
  95 %, enrolled persons drawn with replacement; Wilson's for the shares of people within a group.
  On the CMU faces, of which none was fitted on, open eyes are enrolled and sunglasses the other
  session.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.samples import summary
from emotion_perception.faces.enrolment import Enrolment, choose_faces
from emotion_perception.faces.identity import CENTRE_FILE, FaceIdentity
from emotion_perception.models import find_model
from emotion_perception.training.face_finder import FaceFinder, read_image
from emotion_perception.training.intervals import interval, wilson

FORMAT = 1
RATES = (1e-3, 1e-2)
ENROLLED = 10
DRAWS = 300
GROUPS = ("gender", "ethnicity")

Row = dict[str, Any]


@dataclass(eq=False)
class People:
    """Faces of a set.

    Attributes:
        features: float32 (N, D), as FaceIdentity.features gives them.
        persons: str (N,).
        sessions: str (N,), the movie or the expression.
        groups: name to str (N,).
    """

    features: NDArray[np.float32]
    persons: NDArray[np.str_]
    sessions: NDArray[np.str_]
    groups: dict[str, NDArray[np.str_]]

    def subset(self, mask: NDArray[np.bool_]) -> People:
        """Return some of the faces."""
        groups = {name: values[mask] for name, values in self.groups.items()}
        return People(self.features[mask], self.persons[mask], self.sessions[mask], groups)

    def half(self, second: bool) -> People:
        """Return every second person: those to fit on, or those to measure on."""
        return self.subset(np.isin(self.persons, np.unique(self.persons)[int(second) :: 2]))

    def mean(self) -> NDArray[np.float32]:
        """Return the mean over people of each one's mean, float32 (D,)."""
        each = [
            self.features[self.persons == name].mean(axis=0) for name in np.unique(self.persons)
        ]
        return np.asarray(np.mean(each, axis=0), np.float32)


def load(identity: FaceIdentity, folder: Path, session: str, images: int) -> People:
    """Find, cut out and describe the faces of a set with a ``labels.csv``.

    Args:
        identity: the model.
        folder: of the set.
        session: column that names what a person was recorded in.
        images: of one person and session, at most; a fixed random choice.
    """
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("group", "london") == "london"]
    taken: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["file"].encode()).digest()):
        taken.setdefault((row["person"], row[session]), []).append(row)
    rows = [row for key in sorted(taken) for row in taken[key][:images]]
    finder, crops, kept = FaceFinder(), [], []
    for row in rows:
        image = read_image(folder / "images" / row["file"])
        landmarks = None if image is None else finder.find(image, session == "movie" or None)
        if image is None or landmarks is None:
            continue
        try:
            crops.append(identity.framing.align(image, landmarks))
        except ValueError:
            continue
        kept.append(row)
    print(f"{folder}: {len(kept)} faces in {len(rows)} images", flush=True)
    return People(
        identity.features(crops),
        np.array([row["person"] for row in kept]),
        np.array([row[session] for row in kept]),
        {name: np.array([row[name] for row in kept]) for name in GROUPS if name in rows[0]},
    )


def verification(people: People, centre: NDArray[np.float32], other_session: bool) -> Row:
    """Compare all pairs of images."""
    vectors = _centred(people.features, centre)
    names, number = np.unique(people.persons, return_inverse=True)
    first, second = np.triu_indices(len(vectors), 1)
    similar = (vectors @ vectors.T)[first, second]
    same = people.persons[first] == people.persons[second]
    keep = ~same
    keep |= (people.sessions[first] != people.sessions[second]) | (not other_session)
    similar, same = similar[keep], same[keep]
    order = np.argsort(similar, kind="stable")
    same, a, b = same[order], number[first[keep]][order], number[second[keep]][order]
    found = _rates(same, np.ones(len(same)))
    generator = np.random.default_rng(0)
    draws = []  # a few hundred are enough for two digits
    for _ in range(DRAWS):
        count = np.bincount(generator.integers(0, len(names), len(names)), minlength=len(names))
        draws.append(_rates(same, np.where(same, count[a], count[a] * count[b])))
    return {
        "people": len(names),
        "images": len(vectors),
        "pairs_same": int(same.sum()),
        "pairs_different": int((~same).sum()),
        **{name: {"value": value, "interval": interval(np.array([d[name] for d in draws]))}
           for name, value in found.items()},
    }  # fmt: skip


def _rates(same: NDArray[np.bool_], weight: NDArray[Any]) -> dict[str, float]:
    """Return AUC and TARs of pairs in ascending order of their similarity."""
    genuine, impostor = np.where(same, weight, 0.0), np.where(same, 0.0, weight)
    below = np.cumsum(impostor)
    auc = float((genuine * (below - impostor / 2)).sum() / (genuine.sum() * below[-1]))
    above = below[-1] - below  # pairs of two people that are more similar than this pair
    rates = {
        f"tar_at_far_{rate:g}": float(genuine[above < rate * below[-1]].sum() / genuine.sum())
        for rate in RATES
    }
    return {"auc": auc, **rates}


def enrolments(people: People, identity: FaceIdentity, centre: NDArray[np.float32]) -> list[Row]:
    """Enrol each person from each session with enough images; return likenesses of all the rest."""
    vectors = _centred(people.features, centre)
    generator, rows = np.random.default_rng(0), []
    for person in np.unique(people.persons).tolist():
        own = people.persons == person
        for session in np.unique(people.sessions[own]).tolist():
            here = np.flatnonzero(own & (people.sessions == session))
            few = len(here) == 1 and np.count_nonzero(own) == 2  # London
            if len(here) < ENROLLED + 2 and not few:
                continue
            taken = generator.permutation(here)[:ENROLLED]
            choice = choose_faces(vectors[taken], identity.threshold)
            if not len(choice.chosen):
                continue
            chosen = vectors[taken[choice.chosen]]
            about = Enrolment(person, chosen, identity.model_id, "", identity.threshold)
            like = np.array([about.likeness(vector) for vector in vectors])
            rest = np.setdiff1d(here, taken)
            rows.append(
                {
                    "person": person,
                    "session": session,
                    "same_session": like[rest],
                    "other_session": like[own & (people.sessions != session)],
                    "three_looks_other_session": _threes(like, own, people.sessions, session),
                    "others": like[~own],
                    "other_people": people.persons[~own],
                }
            )
    return rows


def _threes(
    like: NDArray[np.float64], own: NDArray[np.bool_], sessions: NDArray[np.str_], enrolled: str
) -> NDArray[np.float64]:
    """Return means over three images of one session each, as the node looks at a new face."""
    means = []
    for session in np.unique(sessions[own]).tolist():
        if session != enrolled:
            values = like[own & (sessions == session)]
            means += [values[i : i + 3].mean() for i in range(0, len(values) - 2, 3)]
    return np.array(means)


def identification(rows: list[Row], threshold: float) -> Row:
    """Say how often the patient is recognised, and somebody else is taken for the patient."""

    def told(key: str) -> Row | None:
        by_person: dict[str, list[float]] = {}
        for row in rows:
            if len(row[key]):
                share = float((row[key] >= threshold).mean())
                by_person.setdefault(row["person"], []).append(share)
        if not by_person:
            return None
        shares = np.array([np.mean(values) for values in by_person.values()])
        generator = np.random.default_rng(0)
        draws = shares[generator.integers(0, len(shares), (2000, len(shares)))].mean(axis=1)
        return {
            "people": len(shares),
            "looks": int(sum(len(row[key]) for row in rows)),
            "share": float(shares.mean()),
            "interval": interval(draws),
        }

    strangers = told("others")
    taken = sum(len(np.unique(row["other_people"][row["others"] >= threshold])) for row in rows)
    return {
        "threshold": threshold,
        "enrolments": len(rows),
        "patient_recognised": {
            key: told(key)
            for key in ("same_session", "other_session", "three_looks_other_session")
        },
        "stranger_taken_for_patient": strangers,
        "strangers_ever_taken_of_pairs": [
            taken, sum(len(np.unique(row["other_people"])) for row in rows)
        ],
    }  # fmt: skip


def groups(people: People, identity: FaceIdentity, centre: NDArray[np.float32]) -> Row:
    """Say for each group how often its people are recognised, and taken for one another."""
    result: Row = {}
    for name, values in people.groups.items():
        for value in np.unique(values).tolist():
            rows = enrolments(people.subset(values == value), identity, centre)
            if not rows:
                continue
            by_person: dict[str, list[bool]] = {}
            for row in rows:
                known = (row["other_session"] >= identity.threshold).tolist()
                by_person.setdefault(row["person"], []).extend(known)
            always = sum(all(known) for known in by_person.values())
            others = np.concatenate([row["others"] for row in rows])
            wrong = int((others >= identity.threshold).sum())
            result[f"{name}: {value}"] = {
                "people": len(by_person),
                "always_recognised": always,
                "interval": wilson(always, len(by_person)),
                "taken_for_another": wrong,
                "looks_at_others": len(others),
            }
    return result


def fit(sets: list[People], identity: FaceIdentity) -> tuple[NDArray[np.float32], float, Row]:
    """Fit centre and threshold on every second person.

    Returns:
        The centre; the threshold: the largest of the sets' likenesses that a thousandth of other
        people's images exceed; and what it was fitted on.
    """
    halves = [people.half(False) for people in sets]
    centre = np.asarray(np.mean([people.mean() for people in halves], axis=0), np.float32)
    found = [
        float(np.quantile(np.concatenate([row["others"] for row in rows]), 1 - RATES[0]))
        for rows in (enrolments(people, identity, centre) for people in halves)
    ]
    about = {
        "people": [len(np.unique(people.persons)) for people in halves],
        "images": [len(people.persons) for people in halves],
        "far": RATES[0],
        "thresholds": [round(value, 4) for value in found],
    }
    return centre, round(max(found), 3), about


def times(identity: FaceIdentity, seconds: float = 5.0) -> Row:
    """Measure one crop at a time, as the node looks at faces."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (480, 640, 3)).astype(np.uint8)
    points = np.array([[300, 200], [340, 200], [320, 225], [305, 245], [335, 245]], np.float32)
    crop = identity.framing.align(frame, points)
    work: dict[str, Callable[[], Any]] = {
        "align": lambda: identity.framing.align(frame, points),
        "embed": lambda: identity.embed([crop]),
    }
    result: Row = {}
    for name, call in work.items():
        for _ in range(3):
            call()
        others, took = machine.Others(), []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            started = time.perf_counter()
            call()
            took.append(1e3 * (time.perf_counter() - started))
        result[name] = {**summary(took), "share_of_others": others.share()}
    return result


def _write_fit(centre: NDArray[np.float32], threshold: float, about: Row) -> None:
    folder = find_model("face-identity")
    np.save(folder / CENTRE_FILE, centre)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256((folder / CENTRE_FILE).read_bytes()).hexdigest()
    card["files"][CENTRE_FILE] = digest
    card["threshold"], card["fitted"] = threshold, about
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (folder / "card.json").write_text(text, encoding="utf-8")


def _centred(features: NDArray[np.float32], centre: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors = features - centre
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if np.isfinite(value) else None
    return value


def main() -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--london", type=Path, required=True, help="folder of the London set")
    parser.add_argument("--imfdb", type=Path, required=True, help="IMFDB folder")
    parser.add_argument("--cmu", type=Path, help="cmu_faces folder")
    parser.add_argument("--images", type=int, default=16, help="of a person and movie, at most")
    parser.add_argument(
        "--fit", action="store_true", help="fit centre and threshold, and write them"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    chosen = parser.parse_args()
    identity = FaceIdentity(threads=chosen.threads)
    sets = {
        name: load(identity, folder, session, chosen.images)
        for name, folder, session in (
            ("london", chosen.london, "valence"), ("imfdb", chosen.imfdb, "movie"),
        )
    }  # fmt: skip
    centre, threshold, about = fit(list(sets.values()), identity)
    if chosen.fit:
        _write_fit(centre, threshold, about)
        identity.threshold = threshold
    else:
        centre = np.load(find_model("face-identity") / CENTRE_FILE)
    measured = {name: people.half(True) for name, people in sets.items()}
    result: Row = {
        "format": FORMAT, "source": machine.source(), "versions": machine.versions(),
        "machine": machine.machine(), "model_id": identity.model_id,
        "images_per_movie": chosen.images, "fitted": about,
        "verification": {
            name: verification(people, centre, name == "imfdb")
            for name, people in measured.items()
        },
        "identification": {
            name: identification(enrolments(people, identity, centre), identity.threshold)
            for name, people in measured.items()
        },
        "london_groups": groups(measured["london"], identity, centre),
        "ms": times(identity),
    }  # fmt: skip
    if chosen.cmu is not None:
        cmu = load(identity, chosen.cmu, "eyes", 1000)
        rows = [row for row in enrolments(cmu, identity, centre) if row["session"] == "open"]
        result["identification"]["cmu"] = identification(rows, identity.threshold)
    text = json.dumps(_plain(result), indent=1) + "\n"
    if chosen.output is not None:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

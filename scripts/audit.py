# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Audit what is installed: its known vulnerabilities, and a bill of materials.

    make audit                                      # asks the Python package index
    make audit ARGS="--service osv"                 # asks https://osv.dev
    make audit ARGS="--database all.zip"            # asks nobody: OSV's PyPI/all.zip, downloaded

The bill of materials is written first, and needs no network: `sbom.cdx.json` (CycloneDX 1.6) lists
every package of the environment and the shipped models with their hashes and licences.

Exit status: 0 nothing unexplained; 1 a finding that `docs/vulnerabilities.toml` does not explain,
or an explanation that no longer applies; 2 the audit could not be done, or not for every package
that is locked.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.audit_database import Database, newest, normal, read_database

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / "docs" / "vulnerabilities.toml"
FIELDS = {"id", "package", "version", "reason"}


def read_known(path: Path) -> list[dict[str, str]]:
    """Return the findings that are explained.

    Raises:
        SystemExit: an entry lacks a field.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    with path.open("rb") as file:
        told: list[dict[str, str]] = tomllib.load(file).get("known", [])
    for entry in told:
        if set(entry) != FIELDS or not all(str(value).strip() for value in entry.values()):
            sys.exit(f"{path}: expected {', '.join(sorted(FIELDS))} in each entry, got {entry}")
    return told


def write_bill(path: Path) -> None:
    """Write the bill of materials of this environment and of the shipped models."""
    command = ["environment", "--output-reproducible", "--of", "JSON", sys.executable]
    done = subprocess.run(
        [sys.executable, "-m", "cyclonedx_py", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"cyclonedx-py failed:\n{done.stderr[-2000:]}")
    bill = json.loads(done.stdout)
    bill.setdefault("components", []).extend(models(ROOT / "models"))
    for component in bill["components"]:
        # Where a package was fetched from, and lies, concerns this machine alone.
        component.pop("externalReferences", None)
        component.pop("properties", None)
    path.write_text(json.dumps(bill, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path}: {len(bill['components'])} components", flush=True)


def models(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the shipped models as components, one a file of weights."""
    for card_file in sorted(folder.glob("*/card.json")):
        card = json.loads(card_file.read_text(encoding="utf-8"))
        name, version = card["name"], card["version"]
        licence = card.get("licence", "Apache-2.0")
        for file, digest in {**card["files"], **card.get("variants", {})}.items():
            yield {
                "type": "machine-learning-model",
                "bom-ref": f"model:{name}/{file}",
                "name": f"{name}/{file}",
                "version": version,
                "hashes": [{"alg": "SHA-256", "content": digest}],
                "licenses": [{"license": {"name": licence}}],
            }


def ask(service: str, url: str | None) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package.

    Raises:
        SystemExit: it could not ask.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--format"]
        command += ["json", "--progress-spinner", "off", "--output", str(answer)]
        command += ["--vulnerability-service", service, "--cache-dir", folder]
        if url:
            command += ["--osv-url", url]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not answer.is_file():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1][:300]
            print(
                f"NOT AUDITED: {url or service} did not answer ({last}).\nThis machine needs a way "
                "to pypi.org (or --service osv: api.osv.dev). Without one, download PyPI/all.zip "
                "of OSV's bucket osv-vulnerabilities elsewhere and give it: --database all.zip",
                file=sys.stderr,
            )
            raise SystemExit(2)
        found: list[dict[str, Any]] = json.loads(answer.read_text())["dependencies"]
    return found


def locked_names(folder: Path) -> set[str]:
    """Return the names of all packages that `make` installs from the index."""
    lines = [line for file in folder.glob("*.txt") for line in file.read_text().splitlines()]
    return {normal(line.split("==")[0].split("[")[0]) for line in lines if "==" in line}


def judge(
    found: Sequence[dict[str, Any]], known: Sequence[dict[str, str]], locked: set[str]
) -> int:
    """Print what was found; return the exit status.

    Args:
        found: as pip-audit tells it, of each package.
        known: findings that are explained.
        locked: names that a service of the index must know. The wheels of ROS 2 carry further
            names, of the messages in them, which are not in the index.
    """
    without = [entry for entry in found if "skip_reason" in entry]
    skipped = [entry for entry in without if normal(entry["name"]) in locked]
    audited = [entry for entry in found if "skip_reason" not in entry]
    used, bad = [], 0
    for package in audited:
        for finding in package["vulns"]:
            names = {finding["id"], *finding.get("aliases", [])}
            explained = [
                entry
                for entry in known
                if entry["id"] in names
                and normal(entry["package"]) == normal(package["name"])
                and entry["version"] == package["version"]
            ]
            used += explained
            bad += not explained
            fixed = ", ".join(finding.get("fix_versions", [])) or "no version yet"
            print(
                f"{'known' if explained else 'FOUND'}: {package['name']} {package['version']} "
                f"{finding['id']} (fixed in {fixed})"
            )
            for entry in explained:
                print(f"    {entry['reason']}")
    for entry in known:
        if entry not in used and not skipped:
            bad += 1
            print(f"FOUND: {KNOWN.name}: {entry['id']} of {entry['package']} no longer applies")
    print(
        f"{len(audited)} packages audited, {bad} findings without an explanation; "
        f"{len(without) - len(skipped)} are parts of other packages"
    )
    if skipped:
        listed = ", ".join(entry["name"] for entry in skipped[:8])
        print(
            f"NOT AUDITED: {len(skipped)} packages, of which the service knows nothing: {listed}"
            f"{', ...' if len(skipped) > 8 else ''}. A mirror of the index may have no such data: "
            "see --service osv and --database.",
            file=sys.stderr,
        )
    return 1 if bad else 2 if skipped else 0


def main() -> int:
    """Write the bill of materials, and ask for vulnerabilities."""
    parser = argparse.ArgumentParser(description="Audit what is installed.")
    parser.add_argument("--sbom", type=Path, default=ROOT / "sbom.cdx.json", help="file to write")
    parser.add_argument("--known", type=Path, default=KNOWN, help="findings that are explained")
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi")
    parser.add_argument("--osv-url", help="another service that answers as OSV does")
    parser.add_argument(
        "--database",
        type=Path,
        help="OSV's PyPI/all.zip, or a ZIP of pypa/advisory-database; nobody is asked",
    )
    chosen = parser.parse_args()

    known = read_known(chosen.known)
    write_bill(chosen.sbom)
    with contextlib.ExitStack() as stack:
        url, service = chosen.osv_url, "osv" if chosen.osv_url else chosen.service
        if chosen.database:
            try:
                entries = read_database(chosen.database)
            except (OSError, ValueError) as error:
                print(f"NOT AUDITED: {error}", file=sys.stderr)
                return 2
            print(f"{chosen.database}: what was known on {newest(entries) or 'an unknown day'}")
            url, service = stack.enter_context(Database(entries)).url, "osv"
        return judge(ask(service, url), known, locked_names(ROOT / "requirements" / "locked"))


if __name__ == "__main__":
    sys.exit(main())

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A downloaded database of vulnerabilities, answering as https://api.osv.dev does.

OSV offers all that it knows of the Python package index as one ZIP archive of JSON files, which can
be carried to a machine without a way out: ``PyPI/all.zip`` of its bucket ``osv-vulnerabilities``.
A ZIP archive of the repository pypa/advisory-database, the same in YAML, is read too.
"""

from __future__ import annotations

import json
import re
import threading
import zipfile
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 4 << 20
"""Of one entry, and of a question."""


def normal(name: str) -> str:
    """Return a package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_database(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of an archive by the packages that they are about.

    Raises:
        OSError, ValueError: it cannot be read, or holds nothing on the Python package index.
    """
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if member.file_size > MOST_BYTES:
                    continue
                if member.filename.endswith(".json"):
                    entry = json.loads(archive.read(member))
                elif re.search(r"(^|/)vulns/.*\.yaml$", member.filename):
                    # All texts as they stand: a version is no number, a date goes into JSON.
                    entry = yaml.load(archive.read(member), yaml.CBaseLoader)
                else:
                    continue
                packages = [told.get("package", {}) for told in entry.get("affected", [])]
                names = {normal(p["name"]) for p in packages if p.get("ecosystem") == "PyPI"}
                for name in names:
                    found[name].append(entry)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: not a ZIP archive ({error})") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: an entry is no YAML ({error})") from error
    if not found:
        raise ValueError(
            f"{path}: nothing on the Python package index; expected OSV's PyPI/all.zip "
            "or a ZIP of pypa/advisory-database"
        )
    return found


def newest(entries: dict[str, list[dict[str, Any]]]) -> str:
    """Return the day on which an entry was changed last, as 2026-01-31; empty if none tells."""
    return max(str(e.get("modified", ""))[:10] for found in entries.values() for e in found)


def affects(entry: dict[str, Any], name: str, version: str) -> bool:
    """Return whether an entry is about a version of a package."""
    from packaging.version import InvalidVersion, Version

    asked = Version(version)
    for told in entry["affected"]:
        package = told.get("package", {})
        if package.get("ecosystem") != "PyPI" or normal(package["name"]) != name:
            continue
        listed = told.get("versions", [])
        if version in listed or asked.public in listed:
            return True
        for span in told.get("ranges", []):
            if span.get("type") != "ECOSYSTEM":
                continue
            inside = False
            try:
                for event in span["events"]:  # in order, as the schema asks
                    kind, text = next(iter(event.items()))
                    at = Version("0" if text == "0" else text)
                    if kind == "introduced" and asked >= at:
                        inside = True
                    elif (kind == "fixed" and asked >= at) or (
                        kind == "last_affected" and asked > at
                    ):
                        inside = False
            except InvalidVersion:
                inside = True  # rather one too many
            if inside:
                return True
    return False


class Database(ThreadingHTTPServer):
    """Answers questions of this machine alone; use it inside ``with``."""

    def __init__(self, entries: dict[str, list[dict[str, Any]]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                asked = json.loads(self.rfile.read(min(size, MOST_BYTES)))
                name = normal(asked["package"]["name"])
                vulns = [e for e in entries.get(name, []) if affects(e, name, asked["version"])]
                body = json.dumps({"vulns": vulns} if vulns else {}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What to ask."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1/query"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The audit: what counts as found, explained or not audited, and a database without a network."""

import json
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from scripts import audit, audit_database


def entry(name="numpy", events=({"introduced": "0"}, {"fixed": "99"}), versions=(), **more):
    affected = {"package": {"name": name, "ecosystem": "PyPI"}, "versions": list(versions)}
    if events:
        affected["ranges"] = [{"type": "ECOSYSTEM", "events": list(events)}]
    return {"id": "PYSEC-1", "aliases": ["CVE-1"], "affected": [affected], **more}


@pytest.mark.parametrize(
    ("made", "version", "expected"),
    [
        (entry(), "1.0", True),
        (entry(), "99", False),
        (entry(), "99.0.post1", False),
        (entry(events=({"introduced": "2.0"}, {"fixed": "2.1"})), "1.9", False),
        (entry(events=({"introduced": "2.0"}, {"last_affected": "2.1"})), "2.1", True),
        (entry(events=({"introduced": "2.0"}, {"last_affected": "2.1"})), "2.1.1", False),
        (entry(events=({"introduced": "1"}, {"fixed": "2"}, {"introduced": "3"})), "3.5", True),
        (entry(events=({"introduced": "1"}, {"fixed": "2"}, {"introduced": "3"})), "2.5", False),
        (entry(events=(), versions=["1.0"]), "1.0", True),
        (entry(events=(), versions=["2.12.0"]), "2.12.0+cpu", True),
        (entry(events=(), versions=["1.0"]), "1.1", False),
        (entry(name="other"), "1.0", False),
        (entry(events=({"introduced": "not a version"},)), "1.0", True),
    ],
)
def test_which_versions_are_affected(made, version, expected):
    assert audit_database.affects(made, "numpy", version) is expected


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("PYSEC-1.json", json.dumps(entry(name="Num_Py.x", modified="2026-01-31")))
        # A version that looks like a number, and a date.
        file.writestr(
            "database-main/vulns/yamled/PYSEC-2.yaml",
            "id: PYSEC-2\nmodified: 2025-12-24T00:00:00Z\naffected:\n"
            "- package: {name: yamled, ecosystem: PyPI}\n  versions: [1.10]\n",
        )
        file.writestr("README.md", "no entry")
        file.writestr("README.yaml", "no entry")
    return path


def test_database_answers_as_osv_does(archive):
    entries = audit_database.read_database(archive)
    assert audit_database.newest(entries) == "2026-01-31"
    with audit_database.Database(entries) as server:
        for name, version, expected in (
            ("num-py-x", "1", ["PYSEC-1"]), ("numpy", "1", []),
            ("yamled", "1.10", ["PYSEC-2"]), ("yamled", "1.1", []),
        ):  # fmt: skip
            asked = {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
            request = urllib.request.Request(server.url, json.dumps(asked).encode())
            with urllib.request.urlopen(request, timeout=30) as reply:
                told = json.load(reply)
            assert [found["id"] for found in told.get("vulns", [])] == expected


def test_other_archives_are_refused(tmp_path):
    path = tmp_path / "all.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"all\.zip: not a ZIP archive"):
        audit_database.read_database(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.json", "{}")
    with pytest.raises(ValueError, match=r"expected OSV's PyPI/all\.zip"):
        audit_database.read_database(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("vulns/x/PYSEC-1.yaml", "id: [")
    with pytest.raises(ValueError, match=r"all\.zip: an entry is no YAML"):
        audit_database.read_database(path)


def package(name="numpy", version="1.0", *ids, skipped=False):
    if skipped:
        return {"name": name, "skip_reason": "Dependency not found on PyPI"}
    vulns = [{"id": one, "aliases": [f"CVE-{one}"], "fix_versions": ["2"]} for one in ids]
    return {"name": name, "version": version, "vulns": vulns}


KNOWN = {"id": "CVE-A", "package": "NumPy", "version": "1.0", "reason": "never called"}


@pytest.mark.parametrize(
    ("found", "known", "status", "words"),
    [
        ([package()], [], 0, "1 packages audited, 0 findings"),
        ([package("numpy", "1.0", "A")], [], 1, "FOUND: numpy 1.0 A (fixed in 2)"),
        ([package("numpy", "1.0", "A")], [KNOWN], 0, "never called"),
        ([package("numpy", "1.0", "A", "B")], [KNOWN], 1, "FOUND: numpy 1.0 B"),
        ([package("numpy", "1.1", "A")], [KNOWN], 1, "FOUND: numpy 1.1 A"),
        ([package()], [KNOWN], 1, "CVE-A of NumPy no longer applies"),
        ([package(), package("scipy", skipped=True)], [], 2, "NOT AUDITED: 1 packages"),
        ([package("scipy", skipped=True)], [KNOWN], 2, "0 packages audited"),
        ([package("action-msgs", skipped=True), package()], [], 0, "1 are parts of other"),
    ],
)
def test_what_counts(found, known, status, words, capsys):
    assert audit.judge(found, known, {"numpy", "scipy"}) == status
    said = capsys.readouterr()
    assert words in said.out + said.err


def test_explanations_are_whole(tmp_path):
    assert isinstance(audit.read_known(audit.KNOWN), list)
    path = tmp_path / "known.toml"
    path.write_text('[[known]]\nid = "A"\npackage = "numpy"\nversion = "1"\nreason = " "\n')
    with pytest.raises(SystemExit, match="expected id, package, reason, version"):
        audit.read_known(path)


def test_models_are_components_with_their_hashes():
    found = {one["name"]: one for one in audit.models(ROOT / "models")}
    card = json.loads((ROOT / "models/valence-base/card.json").read_text())
    assert found["valence-base/model.onnx"]["hashes"][0]["content"] == card["files"]["model.onnx"]
    assert "valence-base/model.int8.onnx" in found
    assert found["face-mtcnn/pnet.onnx"]["licenses"] == [{"license": {"name": "MIT"}}]


@pytest.mark.slow
def test_whole_audit_with_a_database(tmp_path):
    """As `make audit ARGS="--database all.zip"` runs it."""
    pytest.importorskip("pip_audit", reason="make audit installs it")
    pytest.importorskip("cyclonedx_py")
    path = tmp_path / "all.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("PYSEC-1.json", json.dumps(entry("numpy", summary="made up")))
    (tmp_path / "known.toml").write_text("")

    def run(known):
        return subprocess.run(
            [sys.executable, "-m", "scripts.audit", "--database", path, "--known", known,
             "--sbom", tmp_path / "sbom.json"],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    done = run(tmp_path / "known.toml")
    assert done.returncode == 1, done.stderr
    assert "FOUND: numpy" in done.stdout
    bill = json.loads((tmp_path / "sbom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {"numpy", "valence-base/model.onnx"} <= {one["name"] for one in bill["components"]}
    assert str(Path(sys.prefix)) not in (tmp_path / "sbom.json").read_text()
    import numpy

    (tmp_path / "known.toml").write_text(
        f'[[known]]\nid = "CVE-1"\npackage = "numpy"\nversion = "{numpy.__version__}"\n'
        'reason = "made up"\n'
    )
    done = run(tmp_path / "known.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "known: numpy" in done.stdout

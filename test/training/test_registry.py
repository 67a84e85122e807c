# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json
import shutil
import stat

import pytest

torch = pytest.importorskip("torch")

from test_promotion import held_out

from emotion_perception.faces.model_files import ModelError
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training import registry
from emotion_perception.training.export import export_checkpoint
from emotion_perception.training.faces import DataError
from emotion_perception.training.promotion import HELD_OUT_FILE, decide
from emotion_perception.valence.checkpoint import load_checkpoint
from emotion_perception.valence.network import ValenceNet

GOOD, CHANCE = held_out(), held_out(base_wrong=0.42, tuned_wrong=0.38, n=90, seed=3)


@pytest.fixture(scope="module")
def network_folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("made") / "net"
    card = {"name": "valence-P-1", "version": "0000", "temperature": 1.0,
            "confidence_threshold": 0.5, "training": {"patient": "P-1"}}  # fmt: skip
    export_checkpoint(ValenceNet((8, 8), (1,)), folder, FacePreprocessing(), card)
    return folder


@pytest.fixture
def root(tmp_path):
    return tmp_path / "patients"


@pytest.fixture
def add(network_folder, root):
    """Publish a version of P-1 that was judged by these answers."""

    def publish(answers=GOOD, patient="P-1"):
        staged = root / patient / ".new" / "version"
        staged.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(network_folder, staged)
        answers.save(staged / HELD_OUT_FILE)
        card = json.loads((staged / "card.json").read_text())
        card["training"]["patient"] = patient
        card["figures"] = {"promotion": decide(answers).to_card()}
        (staged / "card.json").write_text(json.dumps(card))
        return registry.publish(root, patient, staged)

    return publish


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_versions_are_numbered_private_and_read_only(add, root):
    assert registry.versions(root, "P-1") == []
    assert [add().name, add().name] == ["0001", "0002"]
    assert registry.versions(root, "P-1") == ["0001", "0002"]
    assert registry.patients(root) == ["P-1"]
    assert mode(root / "P-1") == 0o700
    for path in (root / "P-1" / "0002").iterdir():
        assert mode(path) == 0o400
    checkpoint = registry.load_version(root, "P-1", "0002")
    assert checkpoint.version == "0002"
    assert HELD_OUT_FILE in checkpoint.files  # bound by its hash like the weights


def test_promote_rollback_and_back_to_the_base(add, root):
    add(), add()
    with pytest.raises(ModelError, match="no promoted model"):
        registry.find_patient_model("P-1", root)
    registry.promote(root, "P-1", "0001")
    registry.promote(root, "P-1", "0002")
    assert registry.find_patient_model("P-1", root) == root / "P-1" / "0002"
    assert registry.rollback(root, "P-1") == "0001"
    assert registry.find_patient_model("P-1", root).name == "0001"
    assert registry.rollback(root, "P-1") is None
    with pytest.raises(ModelError, match="no promoted model"):
        registry.find_patient_model("P-1", root)
    with pytest.raises(ModelError, match="no way back"):
        registry.rollback(root, "P-1")
    actions = [entry["action"] for entry in registry.read_current(root, "P-1").log]
    assert actions == ["promote", "promote", "rollback", "rollback"]
    assert mode(root / "P-1" / registry.CURRENT_FILE) == 0o600


def test_a_chance_gain_is_refused_and_changes_nothing(add, root):
    add(), add(CHANCE)
    registry.promote(root, "P-1", "0001")
    before = (root / "P-1" / registry.CURRENT_FILE).read_bytes()
    with pytest.raises(registry.RefusedError, match="P-1 0002 is not promoted: its gain may be"):
        registry.promote(root, "P-1", "0002")
    assert (root / "P-1" / registry.CURRENT_FILE).read_bytes() == before


def rewrite(path, change):
    path.chmod(0o600)
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


def test_a_card_that_claims_more_than_its_answers_is_refused(add, root):
    claimed = decide(GOOD).to_card()
    card = add(CHANCE) / "card.json"
    rewrite(card, lambda c: c["figures"].update(promotion=claimed))
    with pytest.raises(ModelError, match="does not follow from"):
        registry.promote(root, "P-1", "0001")


def test_exchanged_answers_are_refused(add, root):
    answers = add(CHANCE) / HELD_OUT_FILE
    answers.chmod(0o600)
    GOOD.save(answers)
    with pytest.raises(ModelError, match=r"held_out\.npz: sha256"):
        registry.promote(root, "P-1", "0001")


def test_without_answers_nothing_is_promoted(add, network_folder, root):
    version = add()
    rewrite(version / "card.json", lambda c: c["files"].pop(HELD_OUT_FILE))
    with pytest.raises(ModelError, match="no held-out answers"):
        registry.promote(root, "P-1", "0001")


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_damaged_version_is_refused_and_rolled_back_from(add, root, name):
    add(), add()
    registry.promote(root, "P-1", "0001")
    registry.promote(root, "P-1", "0002")
    path = root / "P-1" / "0001" / name
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match=name):
        registry.rollback(root, "P-1")
    assert registry.find_patient_model("P-1", root).name == "0002"


def test_another_patients_version_is_refused(add, root):
    theirs = add(patient="P-2")
    (root / "P-1").mkdir()
    theirs.rename(root / "P-1" / "0001")
    with pytest.raises(ModelError, match="moved or exchanged"):
        registry.promote(root, "P-1", "0001")


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".", "..", "/etc", "P_1", "x" * 65])
def test_names_cannot_leave_the_registry(root, name):
    for call in (registry.versions, registry.read_current, registry.rollback):
        with pytest.raises(DataError, match="pseudonym"):
            call(root, name)
    with pytest.raises(DataError, match="pseudonym"):
        registry.find_patient_model(name, root)
    assert not root.exists()


@pytest.mark.parametrize("version", ["../P-2/0001", "0009", "", "current.json", ".new"])
def test_unknown_versions_are_refused(add, root, version):
    add()
    with pytest.raises(ModelError, match=r"no version .* \(there: 0001\)"):
        registry.promote(root, "P-1", version)


def test_a_link_is_no_patient(tmp_path, root):
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / "P-1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="symbolic link"):
        registry.versions(root, "P-1")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "../x", "before": [], "log": []}'])
def test_damaged_state_is_named(add, root, text):
    add()
    (root / "P-1" / registry.CURRENT_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"current\.json"):
        registry.find_patient_model("P-1", root)


def test_a_killed_publication_leaves_no_version(network_folder, root):
    staged = root / "P-1" / ".new" / "version"
    staged.parent.mkdir(parents=True)
    shutil.copytree(network_folder, staged)
    (staged / "model.onnx").write_bytes(b"half")  # whatever was being written
    (staged / "card.json").unlink()
    with pytest.raises(ModelError, match=r"card\.json"):
        registry.publish(root, "P-1", staged)
    assert registry.versions(root, "P-1") == []
    assert registry.patients(root) == ["P-1"]


def test_where_models_lie(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOTION_PERCEPTION_PATIENTS", str(tmp_path / "here"))
    assert registry.patients_root() == tmp_path / "here"
    assert registry.patients_root(tmp_path / "there") == tmp_path / "there"
    monkeypatch.delenv("EMOTION_PERCEPTION_PATIENTS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert registry.patients_root() == tmp_path / "emotion_perception" / "models" / "patients"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert registry.patients_root().is_absolute()


def test_promoted_model_is_what_the_robot_loads(add, root):
    add()
    registry.promote(root, "P-1", "0001")
    assert load_checkpoint(registry.find_patient_model("P-1", root)).name == "valence-P-1"


def test_two_processes_do_not_share_a_number(add, network_folder, root):
    # The second finds the number of the first taken, whoever began first.
    staged = root / "P-1" / ".other" / "version"
    staged.parent.mkdir(parents=True)
    shutil.copytree(network_folder, staged)
    add()
    assert registry.publish(root, "P-1", staged).name == "0002"
    assert not any(staged.parent.iterdir())

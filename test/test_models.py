# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import pytest

from emotion_perception import models
from emotion_perception.faces.model_files import ModelError, verify_files
from emotion_perception.models import find_model


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv("EMOTION_PERCEPTION_MODELS", raising=False)


def test_shipped_models_are_whole():
    assert verify_files(find_model("face-mtcnn"))["name"] == "face-mtcnn"


def test_variable_comes_first(tmp_path, monkeypatch):
    (tmp_path / "face-mtcnn").mkdir()
    monkeypatch.setenv("EMOTION_PERCEPTION_MODELS", str(tmp_path))
    assert find_model("face-mtcnn") == tmp_path / "face-mtcnn"


def test_variable_need_not_hold_every_model(tmp_path, monkeypatch):
    expected = find_model("face-mtcnn")
    monkeypatch.setenv("EMOTION_PERCEPTION_MODELS", str(tmp_path))
    assert find_model("face-mtcnn") == expected


def test_installed_package_with_links_to_the_sources(tmp_path, monkeypatch):
    source = tmp_path / "src" / "emotion_perception" / "models.py"
    source.parent.mkdir(parents=True)
    source.touch()
    package = tmp_path / "prefix" / "lib" / "python3.12" / "site-packages" / "emotion_perception"
    package.mkdir(parents=True)
    (package / "models.py").symlink_to(source)
    installed = tmp_path / "prefix" / "share" / "emotion_perception" / "models" / "some-model"
    installed.mkdir(parents=True)
    monkeypatch.setattr(models, "__file__", str(package / "models.py"))
    assert find_model("some-model") == installed


def test_not_found_lists_the_places(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOTION_PERCEPTION_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match="'no-such-model' not found") as caught:
        find_model("no-such-model")
    assert str(tmp_path) in str(caught.value)
    assert "share/emotion_perception/models" in str(caught.value)

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Somebody else's network of emotions through the whole of it: clip, pipeline, command."""

import json
import shutil

import cv2
import numpy as np
import pytest
import tiny_network
from test_display import command

from emotion_perception.display import display
from emotion_perception.faces.quality import QualityLimits
from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.models import find_model
from emotion_perception.pipeline import ReactionPipeline, Shot
from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.reaction.scene import SceneOptions
from emotion_perception.valence.emotion_card import valence_of
from emotion_perception.valence.emotion_import import card_of, import_network

pytest.importorskip("onnx", reason="the training half is not installed")
pytest.importorskip("matplotlib")

FPS = 10.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network that finds skin happy, because it is redder than blue."""
    root = tmp_path_factory.mktemp("network")
    file = tiny_network.smile_network(root / "skin.onnx")
    import_network(card_of("hsemotion-enet-b0-8"), file, root / "skin")
    return root / "skin"


@pytest.fixture(scope="module")
def film():
    """One frame in four of the demo clip, with its time."""
    return [(n / FPS, frame) for n, frame in enumerate(demo_frames(FPS)) if n % 4 == 0]


def changed(folder, to, **fields):
    shutil.copytree(folder, to)
    card = json.loads((to / "card.json").read_text())
    card["input"] |= fields
    (to / "card.json").write_text(json.dumps(card))
    return to


def test_a_film_is_judged_and_its_emotions_told(folder, film):
    pipeline = ReactionPipeline(folder)
    assert pipeline.confidence_threshold == 0.7
    assert pipeline.checkpoint.model_id.startswith("hsemotion-enet-b0-8-0.3.0+")
    pipeline.warm_up()
    names = pipeline.model.emotion_names
    seen = []
    for time, frame in film:
        reactions = pipeline.run(frame, time)
        if DEMO_SPANS[1][0] <= time < DEMO_SPANS[1][1]:
            assert reactions == []
        for reaction in reactions:
            assert tuple(reaction.emotions) == names
            assert reaction.also_emotions == ()
            row = np.array([list(reaction.emotions.values())], np.float32)
            assert row.sum() == pytest.approx(1, abs=1e-5)
            np.testing.assert_allclose(
                reaction.frame_probabilities, valence_of(row, names)[0], atol=1e-5
            )
            assert max(reaction.emotions, key=reaction.emotions.get) == "happiness"
            seen.append(reaction)
    assert len(seen) > 15
    assert {reaction.reaction for reaction in seen} <= {Reaction.POSITIVE, Reaction.UNKNOWN}
    assert [reaction.reaction for reaction in seen].count(Reaction.POSITIVE) > 10
    assert all(reaction.face_id for reaction in seen)


def test_red_and_blue_exchanged_would_be_noticed(folder, film, tmp_path):
    """The same film, the same weights, one word of the card wrong: skin is sad then."""
    pipeline = ReactionPipeline(changed(folder, tmp_path / "wrong", colour="bgr"))
    told = [pipeline.run(frame) for _, frame in film[2:10]]
    assert all(reaction.valence < 0 for reactions in told for reaction in reactions)
    assert any(told)


def test_beside_our_own_network_each_says_what_it_says_alone(folder, film):
    base = find_model("valence-base")
    frames = [frame for _, frame in film[1:10:3]]
    shots = [Shot(frame) for frame in frames]
    alone = {name: ReactionPipeline(at).run_many(shots) for name, at in
             (("own", base), ("theirs", folder))}  # fmt: skip
    both = ReactionPipeline(base, also=[folder]).run_many(shots)
    swapped = ReactionPipeline(folder, also=[base]).run_many(shots)
    faces = 0
    for own, theirs, one, other in zip(*alone.values(), both, swapped, strict=True):
        for a, b, c, d in zip(own, theirs, one, other, strict=True):
            faces += 1
            np.testing.assert_allclose(c.frame_probabilities, a.frame_probabilities, atol=1e-5)
            np.testing.assert_allclose(c.also[0], b.frame_probabilities, atol=1e-5)
            np.testing.assert_allclose(d.frame_probabilities, b.frame_probabilities, atol=1e-5)
            np.testing.assert_allclose(d.also[0], a.frame_probabilities, atol=1e-5)
            assert c.emotions == a.emotions == {}
            assert c.also_emotions[0] == pytest.approx(b.emotions, abs=1e-5)
            assert d.emotions == pytest.approx(b.emotions, abs=1e-5)
            assert d.also_emotions == ({},)
    assert faces >= 3


def test_models_of_both_kinds_are_exchanged_between_frames(folder, film):
    pipeline = ReactionPipeline()
    first = pipeline.run(film[1][1], 0.0)[0]
    pipeline.model = pipeline.load(folder)
    second = pipeline.run(film[1][1], 0.1)[0]
    assert (bool(first.emotions), bool(second.emotions)) == (False, True)
    assert first.face_id == second.face_id
    known = {pipeline.model.key: pipeline.model}
    assert pipeline.load(folder, known) is pipeline.model


def test_a_face_that_is_not_judged_has_no_emotions(folder, film):
    strict = SceneOptions(quality=QualityLimits(min_size=2000.0))
    reaction = ReactionPipeline(folder, scene=strict).run(film[1][1])[0]
    assert reaction.reason == Reason.LOW_QUALITY
    assert reaction.emotions == {}
    assert reaction.frame_probabilities is None


def test_ready_made_crops(folder):
    pipeline = ReactionPipeline(folder)
    red = np.full((90, 70, 3), (40, 60, 200), np.uint8)
    blue = np.ascontiguousarray(red[:, :, ::-1])
    told = pipeline.classify([red, blue])
    assert told.argmax(axis=1).tolist() == [2, 0]
    assert pipeline.classify([]).shape == (0, 3)
    reaction = pipeline.run_on_face(red)
    assert reaction.reaction == Reaction.POSITIVE
    assert max(reaction.emotions, key=reaction.emotions.get) == "happiness"
    assert ReactionPipeline().run_on_face(red).emotions == {}
    with pytest.raises(ValueError, match="non-empty uint8"):
        pipeline.classify([np.zeros((4, 4, 3))])


def test_a_surprised_face_is_one_that_nobody_knows(film, tmp_path):
    file = tiny_network.smile_network(tmp_path / "wow.onnx", happy=7)  # the output of surprise
    import_network(card_of("hsemotion-enet-b0-8"), file, tmp_path / "wow")
    reaction = ReactionPipeline(tmp_path / "wow").run(film[4][1])[0]
    assert max(reaction.emotions, key=reaction.emotions.get) == "surprise"
    assert (reaction.reaction, reaction.reason) == (Reaction.UNKNOWN, Reason.LOW_CONFIDENCE)


@pytest.fixture(scope="module")
def clip(film, tmp_path_factory):
    at = tmp_path_factory.mktemp("clip")
    for number, (_, frame) in enumerate(film[2:8]):
        cv2.imwrite(str(at / f"{number}.png"), frame)
    return at


def test_display_as_text(folder, clip, capsys):
    totals = display(str(clip), window=False, model=folder, device="auto", min_face_size=40)
    assert totals["POSITIVE"] >= 4
    assert sum(totals.values()) == 6
    assert "6 frames" in capsys.readouterr().out


def test_import_and_display_as_commands(clip, tmp_path):
    file = tiny_network.smile_network(tmp_path / "skin.onnx")
    done = command(
        "models", "import", "hsemotion-enet-b0-8", str(file), "--output", str(tmp_path / "net")
    )
    assert done.returncode == 0, done.stderr
    done = command(
        "display", "--source", str(clip), "--no-window", "--model", str(tmp_path / "net")
    )
    assert done.returncode == 0, done.stderr
    assert "POSITIVE" in done.stdout


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (find_model("networks") / "rmn", "a card without weights"),
        (find_model("networks"), "cannot read the model card"),
    ],
)
def test_what_is_no_model_is_one_line(clip, model, words):
    done = command("display", "--source", str(clip), "--no-window", "--model", str(model))
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1

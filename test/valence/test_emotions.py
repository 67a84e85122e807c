# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_network
from typer.testing import CliRunner

from emotion_perception import cli
from emotion_perception.faces.face import Face
from emotion_perception.faces.model_files import ModelError, sha256_of
from emotion_perception.models import find_model
from emotion_perception.valence.checkpoint import load_checkpoint, record_figures
from emotion_perception.valence.emotion_card import load_emotion_card, valence_of
from emotion_perception.valence.emotion_import import card_of, import_network, known_networks
from emotion_perception.valence.emotions import EmotionModel
from emotion_perception.valence.labels import NEGATIVE, NEUTRAL, POSITIVE
from emotion_perception.valence.model import ValenceModel, key_of, load_model

pytest.importorskip("onnx", reason="the training half is not installed")

# What the authors document, copied from their pages and not from our cards:
# labels in the order of the outputs, side, colours, and how a pixel of 0 to 255 gets into the
# network, channel by channel in its own order.
AUTHORS = {
    # hsemotion_onnx/facial_emotions.py: idx_to_class = {0: 'Anger', 1: 'Contempt', 2: 'Disgust',
    # 3: 'Fear', 4: 'Happiness', 5: 'Neutral', 6: 'Sadness', 7: 'Surprise'}; img_size = 224 if
    # '_b0_' in model_name else 260; x[..., 0] = (x[..., 0]-0.485)/0.229 of x/255, RGB
    # https://github.com/av-savchenko/hsemotion-onnx
    "hsemotion-enet-b0-8": (
        "Anger Contempt Disgust Fear Happiness Neutral Sadness Surprise", 224, "rgb",
        lambda x: (x / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225), {},
    ),
    "hsemotion-enet-b2-8": (
        "Anger Contempt Disgust Fear Happiness Neutral Sadness Surprise", 260, "rgb",
        lambda x: (x / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225), {},
    ),
    # README.md: emotion_table = {'neutral':0, 'happiness':1, 'surprise':2, 'sadness':3, 'anger':4,
    # 'disgust':5, 'fear':6, 'contempt':7}; input (N, 1, 64, 64) of the pixels as they are; the
    # published file takes one face at a time
    # https://github.com/onnx/models/tree/main/validated/vision/body_analysis/emotion_ferplus
    "ferplus-8": (
        "neutral happiness surprise sadness anger disgust fear contempt", 64, "grey",
        lambda x: x * 1.0, {"batch": 1, "name": "Input3"},
    ),
    # rmn/__init__.py: FER_2013_EMO_DICT = {0: "angry", 1: "disgust", 2: "fear", 3: "happy",
    # 4: "sad", 5: "surprise", 6: "neutral"}; ensure_gray, ensure_color, ToTensor
    # https://github.com/phamquiluan/ResidualMaskingNetwork
    "rmn": (
        "angry disgust fear happy sad surprise neutral", 224, "grey3", lambda x: x / 255, {},
    ),
    # main.py: ImageFolder over RAF-DB's folders 1 to 7, Normalize(mean=[0.485, 0.456, 0.406],
    # std=[0.229, 0.224, 0.225]); see also test_order_of_poster_v2_follows_from_its_authors_matrix
    # https://github.com/Talented-Q/POSTER_V2
    "poster-v2": (
        "surprise fear disgust happiness sadness anger neutral", 224, "rgb",
        lambda x: (x / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225), {},
    ),
    # mmcls/datasets/raf.py: FER_CLASSES = ['Anger', 'Disgust', 'Fear', 'Sadness', 'Happiness',
    # 'Surprise', 'Neutral', 'Contempt'], the first seven; configs/_base_/datasets/RAF.py:
    # mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True, img_size = 112;
    # mmcls/models/heads/cls_head.py: softmax, also in an ONNX export
    # https://github.com/youqingxiaozhua/APViT
    "apvit": (
        "Anger Disgust Fear Sadness Happiness Surprise Neutral", 112, "rgb",
        lambda x: (x - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375), {"softmax": True},
    ),
}  # fmt: skip
OUR_NAMES = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
VALENCE = {"happiness": POSITIVE, "neutral": NEUTRAL}

# RGB; any two orders of three colours, so that channels that are exchanged light another class.
COLOURS = [
    (200, 120, 40), (200, 40, 120), (120, 200, 40), (120, 40, 200), (40, 200, 120), (40, 120, 200),
    (220, 220, 220), (20, 20, 20),
]  # fmt: skip
FACE = Face(
    box=np.array([100, 80, 180, 190], np.float32),
    score=0.99,
    landmarks=np.array([[122, 122], [158, 122], [140, 142], [125, 163], [155, 163]], np.float32),
)


def ours(label):
    return OUR_NAMES.get(label.lower(), label.lower())


def frame_of(colour_rgb):
    return np.full((240, 320, 3), colour_rgb[::-1], np.uint8)


def inputs_of(colours, network):
    """What a frame of one colour should become in the network, by the authors' words."""
    _, _, order, scaled, _ = AUTHORS[network]
    if order == "rgb":
        return np.array([scaled(np.array(colour, float)) for colour in colours])
    greys = [round(0.299 * r + 0.587 * g + 0.114 * b) for r, g, b in colours]
    return np.array([[scaled(grey)] * (3 if order == "grey3" else 1) for grey in greys])


def tiny(network, path):
    """A network of the documented signature whose class k is lit by colour k."""
    labels, size, _, _, options = AUTHORS[network]
    colours = COLOURS_OF[network]
    codes = inputs_of(colours, network)
    # The scales differ by far; the nearest code shall win clearly in each.
    spread = np.abs(codes[:, None] - codes[None]).sum(axis=-1)
    gain = 1 / spread[~np.eye(len(codes), dtype=bool)].min() ** 2
    weights, bias = tiny_network.nearest(codes)
    assert len(colours) == len(labels.split())
    return tiny_network.save(
        path, weights * gain, bias * gain, (codes.shape[1], size, size), **options
    )


GREYS = [(30 * n + 10,) * 3 for n in range(8)]
COLOURS_OF = {
    name: (COLOURS if row[2] == "rgb" else GREYS)[: len(row[0].split())]
    for name, row in AUTHORS.items()
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Every known network, imported from a tiny file of its signature."""
    root = tmp_path_factory.mktemp("networks")
    made = {}
    for name in AUTHORS:
        import_network(card_of(name), tiny(name, root / f"{name}.onnx"), root / name)
        made[name] = load_model(root / name)
    return made


@pytest.fixture
def folder(tmp_path):
    """A folder that one may damage."""
    file = tiny_network.smile_network(tmp_path / "smile.onnx")
    import_network(card_of("hsemotion-enet-b0-8"), file, tmp_path / "smile")
    return tmp_path / "smile"


def edit(folder, **fields):
    """Change fields of a card; a dotted name is written with two underscores."""
    card = json.loads((folder / "card.json").read_text())
    for name, value in fields.items():
        *parents, last = name.split("__")
        at = card
        for parent in parents:
            at = at[parent]
        if value is ...:
            del at[last]
        else:
            at[last] = value
    (folder / "card.json").write_text(json.dumps(card))


def test_the_cards_are_those_of_the_table():
    assert set(known_networks()) == set(AUTHORS)


@pytest.mark.parametrize("network", AUTHORS)
def test_each_output_means_what_the_authors_document(imported, network):
    model = imported[network]
    labels, size, order, _, _ = AUTHORS[network]
    assert isinstance(model, EmotionModel)
    for index, (label, colour) in enumerate(zip(labels.split(), COLOURS_OF[network], strict=True)):
        cut = model.cut(frame_of(colour), FACE, np.zeros((48, 48), np.uint8))
        assert cut.shape == ((size, size, 3) if order == "rgb" else (size, size))
        valence, emotions = model.judge_emotions([cut])
        lit = model.emotion_names[int(emotions[0].argmax())]
        assert lit == ours(label), f"output {index} of {network}"
        assert emotions[0].max() > 0.95
        expected = VALENCE.get(ours(label), NEGATIVE)
        if ours(label) == "surprise":
            np.testing.assert_allclose(valence[0], 1 / 3, atol=0.04)
        else:
            assert valence[0].argmax() == expected
            assert valence[0].max() > 0.95


@pytest.mark.parametrize("network", [name for name, row in AUTHORS.items() if row[2] == "rgb"])
def test_the_test_would_see_exchanged_colours_and_classes(imported, network, tmp_path):
    """The table above proves nothing if a wrong card passed it too."""
    wrong = tmp_path / "wrong"
    shutil.copytree(imported[network].checkpoint.directory, wrong)
    edit(wrong, input__colour="bgr")
    model = load_model(wrong)
    colour = COLOURS_OF[network][0]
    cut = model.cut(frame_of(colour), FACE, np.zeros((48, 48), np.uint8))
    lit = model.emotion_names[int(model.judge_emotions([cut])[1][0].argmax())]
    assert lit != ours(AUTHORS[network][0].split()[0])


def test_order_of_poster_v2_follows_from_its_authors_matrix():
    """They write no names down; their confusion matrix has as many images a row as RAF-DB a class.

    The rows are those of models/matrix.py, the counts those of RAF-DB's test images.
    """
    matrix = [
        [299, 6, 5, 3, 1, 4, 11], [9, 51, 0, 2, 8, 2, 2], [2, 1, 120, 6, 13, 9, 9],
        [5, 1, 7, 1148, 2, 4, 18], [0, 0, 9, 4, 442, 1, 22], [2, 0, 7, 3, 0, 145, 5],
        [10, 0, 6, 11, 29, 0, 624],
    ]  # fmt: skip
    images = {
        "surprise": 329, "fear": 74, "disgust": 160, "happiness": 1185, "sadness": 478,
        "anger": 162, "neutral": 680,
    }  # fmt: skip
    by_count = {count: name for name, count in images.items()}
    card = json.loads(known_networks()["poster-v2"].read_text())
    assert card["classes"] == [by_count[sum(row)] for row in matrix]


def test_every_card_says_where_it_is_from():
    for name, path in known_networks().items():
        card = json.loads(path.read_text())
        assert card["name"] == path.parent.name == name
        assert any("https://github.com/" in source for source in card["source"])
        assert card["licence"]
        assert card["unverified"]
        assert not card.get("files")
        assert [file.name for file in path.parent.iterdir()] == ["card.json"], "weights in the tree"


def test_cards_are_installed_with_the_package():
    root = Path(__file__).parents[2]
    folders = re.search(r"foreach\(folder ([a-z ]+)\)", (root / "CMakeLists.txt").read_text())
    assert folders is not None
    assert "models" in folders[1].split()
    assert 'Path("models").rglob("*")' in (root / "setup.py").read_text()
    assert known_networks()["rmn"].parent.parent == find_model("networks")


# Valence


@pytest.mark.parametrize(
    ("emotions", "expected"),
    [
        ({"happiness": 1.0}, (0, 0, 1)),
        ({"anger": 0.25, "fear": 0.25, "contempt": 0.5}, (1, 0, 0)),
        ({"neutral": 0.6, "sadness": 0.4}, (0.4, 0.6, 0)),
        ({"surprise": 1.0}, (1 / 3, 1 / 3, 1 / 3)),  # "I don't know"
        ({"surprise": 0.9, "happiness": 0.1}, (0.3, 0.3, 0.4)),  # hardly more
        ({"surprise": 0.3, "happiness": 0.7}, (0.1, 0.1, 0.8)),  # a happy surprise
    ],
)
def test_emotions_collapse_to_valence(emotions, expected):
    names = ("contempt", "happiness", "surprise", "anger", "neutral", "fear", "sadness")
    row = np.array([[emotions.get(name, 0.0) for name in names]], np.float32)
    np.testing.assert_allclose(valence_of(row, names)[0], expected, atol=1e-6)


def test_no_surprise_ever_chooses_a_class():
    rng = np.random.default_rng(0)
    names = ("neutral", "happiness", "surprise", "sadness")
    emotions = rng.dirichlet(np.ones(4), 500).astype(np.float32)
    valence = valence_of(emotions, names)
    np.testing.assert_allclose(valence.sum(axis=1), 1, atol=1e-6)
    without = emotions[:, [3, 0, 1]]
    assert (valence.argmax(axis=1) == without.argmax(axis=1)).all()
    surprised = emotions[:, 2] > 0.45
    assert surprised.any()
    assert (valence[surprised].max(axis=1) < 0.7).all()


def test_temperature_of_logits_and_of_probabilities(folder, tmp_path):
    file = tiny_network.smile_network(tmp_path / "soft.onnx", softmax=True)
    card = import_network(card_of("hsemotion-enet-b0-8"), file, tmp_path / "soft")
    assert card.output == "probabilities"
    frame = frame_of((150, 140, 130))
    told = []
    for at in (folder, tmp_path / "soft"):
        edit(at, temperature=2.5)
        model = load_model(at)
        told.append(model.judge_emotions([model.cut(frame, FACE, frame)])[1])
    np.testing.assert_allclose(told[0], told[1], atol=1e-5)
    assert 0.1 < told[0].max() < 0.9


# Input


def test_layout_colours_and_name_of_ones_own_card(tmp_path):
    """A card of one's own: channels last, BGR, -1 to 1, named input, fewer classes."""
    codes = [((np.array(c[::-1]) - 127.5) / 127.5) for c in COLOURS[:4]]
    file = tiny_network.save(
        tmp_path / "own.onnx", *tiny_network.nearest(codes), (96, 96, 3), layout="nhwc", name="face"
    )
    card = {
        "format": 1, "kind": "emotions", "name": "mine", "version": "2",
        "classes": ["sadness", "surprise", "happiness", "neutral"],
        "input": {
            "name": "face", "size": 96, "colour": "bgr", "layout": "nhwc", "scale": 1,
            "mean": [127.5] * 3, "std": [127.5] * 3,
            "framing": {"kind": "box", "scale": 1.2, "shape": "square"},
        },
        "output": "logits", "temperature": 1.0, "confidence_threshold": 0.5,
        "source": ["myself"], "licence": "mine",
    }  # fmt: skip
    (tmp_path / "Karte für mich.json").write_text(json.dumps(card))
    import_network(card_of(str(tmp_path / "Karte für mich.json")), file, tmp_path / "own")
    model = load_model(tmp_path / "own")
    assert model.model_id.startswith("mine-2+")
    for colour, name in zip(COLOURS, card["classes"], strict=False):
        cut = model.cut(frame_of(colour), FACE, frame_of(colour))
        emotions = model.judge_emotions([cut])[1][0]
        assert model.emotion_names[int(emotions.argmax())] == name


def test_one_at_a_time_and_together_say_the_same(imported):
    for name in ("ferplus-8", "rmn"):
        model = imported[name]
        cuts = [model.cut(frame_of(c), FACE, frame_of(c)) for c in GREYS[:5]]
        together = model.judge_emotions(cuts)[1]
        alone = np.concatenate([model.judge_emotions([cut])[1] for cut in cuts])
        np.testing.assert_allclose(together, alone, atol=1e-6)
        assert model.judge([]).shape == (0, 3)
        assert model.judge_emotions([])[1].shape == (0, len(model.emotion_names))
        model.warm_up()


def test_crops_of_another_shape_are_refused(imported):
    with pytest.raises(ValueError, match=r"crops: expected uint8 of shape \(64, 64\)"):
        imported["ferplus-8"].judge([np.zeros((48, 48), np.uint8)])


def test_ready_made_crops_become_input(imported):
    colour, grey = imported["apvit"], imported["ferplus-8"]
    wide = np.full((40, 60, 3), (10, 20, 200), np.uint8)
    assert colour.resize(wide).shape == (112, 112, 3)
    assert (colour.resize(wide)[0, 0] == (10, 20, 200)).all()  # BGR stays BGR
    assert (colour.resize(np.full((50, 50), 77, np.uint8)) == 77).all()
    assert colour.resize(np.full((50, 50, 1), 77, np.uint8)).shape == (112, 112, 3)
    assert grey.resize(wide).shape == (64, 64)
    with pytest.raises(ValueError, match="non-empty uint8"):
        colour.resize(np.zeros((0, 4, 3), np.uint8))


# Framing


def photo():
    """A frame with a mark at each landmark of FACE, in a colour of its own."""
    frame = np.full((240, 320, 3), 100, np.uint8)
    marks = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
    for (x, y), colour in zip(FACE.landmarks, marks, strict=True):
        cv2.circle(frame, (round(float(x)), round(float(y))), 4, colour, -1)
    return frame, marks


def place_of(cut, colour):
    """Where a colour is, as shares of the side."""
    near = np.abs(cut.astype(int) - colour).sum(axis=-1) < 120
    assert near.sum() > 10
    y, x = np.nonzero(near)
    return (x.mean() + 0.5) / cut.shape[1], (y.mean() + 0.5) / cut.shape[0]


def test_points_come_to_their_places(imported):
    """face.evoLVe: REFERENCE_FACIAL_POINTS of 96 x 112, made square by 8 pixels at each side."""
    evolve = np.array([
        [30.29459953, 51.69630051], [65.53179932, 51.50139999], [48.02519989, 71.73660278],
        [33.54930115, 92.3655014], [62.72990036, 92.20410156],
    ])  # fmt: skip
    wanted = (evolve + np.array([8, 0])) / 112
    frame, marks = photo()
    for degrees in (0.0, 30.0):
        turn = cv2.getRotationMatrix2D((140.0, 140.0), degrees, 1.0)
        points = FACE.landmarks @ turn[:, :2].T + turn[:, 2]
        face = Face(box=FACE.box, score=1.0, landmarks=points.astype(np.float32))
        turned = cv2.warpAffine(frame, turn, (320, 240), borderMode=cv2.BORDER_REPLICATE)
        cut = imported["apvit"].cut(turned, face, frame)
        for colour, expected in zip(marks, wanted, strict=True):
            np.testing.assert_allclose(place_of(cut, colour), expected, atol=0.04)


def test_box_is_stretched_or_made_square(imported):
    frame, marks = photo()
    x1, y1, x2, y2 = (float(value) for value in FACE.box)
    stretched = imported["hsemotion-enet-b0-8"].cut(frame, FACE, frame)
    for colour, (x, y) in zip(marks, FACE.landmarks, strict=True):
        expected = ((x - x1) / (x2 - x1), (y - y1) / (y2 - y1))
        np.testing.assert_allclose(place_of(stretched, colour), expected, atol=0.02)
    # The authors of RMN: 1.1 times the mean of width and height, around the middle.
    side = 1.1 * ((x2 - x1) + (y2 - y1)) / 2
    left, top = (x1 + x2 - side) / 2, (y1 + y2 - side) / 2
    cut = imported["rmn"].cut(frame, FACE, frame)
    plain = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    expected = cv2.resize(
        plain[round(top) : round(top + side), round(left) : round(left + side)], (224, 224)
    )
    assert np.abs(cut.astype(int) - expected).mean() < 3


def test_eyes_are_where_our_own_network_has_them(imported):
    from emotion_perception.image.preprocess import FacePreprocessing

    frame, _ = photo()
    grey = imported["ferplus-8"].cut(frame, FACE, frame)
    np.testing.assert_array_equal(grey, FacePreprocessing(size=64).align(frame, FACE.landmarks))
    colour = imported["poster-v2"].cut(frame, FACE, frame)
    align = FacePreprocessing(size=224).align(frame, FACE.landmarks)
    assert np.abs(cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY).astype(int) - align).max() <= 2


def test_points_that_are_no_face_leave_the_box(imported):
    frame, _ = photo()
    model = imported["apvit"]
    mixed = FACE.landmarks[[1, 0, 2, 4, 3]]  # left and right changed sides, as in a bad profile
    odd = model.cut(frame, Face(box=FACE.box, score=1.0, landmarks=mixed), frame)
    side = (110 + 80) / 2
    left, top = 140 - side / 2, 135 - side / 2
    expected = cv2.resize(
        frame[round(top) : round(top + side), round(left) : round(left + side)], (112, 112)
    )
    assert np.abs(odd.astype(int) - expected).mean() < 3
    lost = Face(box=FACE.box, score=1.0, landmarks=np.full((5, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="expected 5 finite points"):
        model.cut(frame, lost, frame)


def test_faces_at_the_edge_and_far_too_large_are_cut_all_the_same(imported):
    frame, _ = photo()
    for move in (-120.0, 0.0, 250.0):
        for grow in (0.05, 1.0, 12.0):
            box = (FACE.box - 140) * grow + 140 + move
            points = (FACE.landmarks - 140) * grow + 140 + move
            face = Face(box=box, score=1.0, landmarks=points)
            for model in imported.values():
                assert model.cut(frame, face, frame).shape == model.blank.shape


# Our own network has the same surface


def test_our_own_network_has_the_same_surface():
    model = load_model(find_model("valence-base"))
    assert isinstance(model, ValenceModel)
    assert model.emotion_names == ()
    crop = model.resize(np.full((90, 90, 3), 60, np.uint8))
    assert model.cut(frame_of((1, 2, 3)), FACE, crop) is crop
    valence, emotions = model.judge_emotions([crop, model.blank])
    np.testing.assert_array_equal(valence, model.judge([crop, model.blank]))
    assert emotions.shape == (2, 0)


def test_loaded_models_are_found_again(folder):
    first = load_model(folder)
    known = {first.key: first}
    assert load_model(folder, loaded=known) is first
    edit(folder, classes=["contempt", "anger", *first.emotion_names[2:]])
    assert load_model(folder, loaded=known) is not first
    base = load_model(find_model("valence-base"))
    assert key_of(base.checkpoint) == base.key


def test_figures_can_be_recorded(folder):
    key = load_model(folder).key
    record_figures(load_emotion_card(folder), "somewhere", {"accuracy": 0.5})
    assert load_model(folder).checkpoint.figures == {"somewhere": {"accuracy": 0.5}}
    assert load_model(folder).key == key  # the same model


# Wrong cards and files


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": 2}, "format 2 is not 1"),
        ({"colour": "red"}, "unknown field colour"),
        ({"input__crop": 3}, r"unknown field input\.crop"),
        ({"temperature": ...}, "the field temperature is missing"),
        ({"input__std": ...}, r"the field input\.std is missing"),
        ({"name": 3}, "name: expected a text, got 3"),
        ({"input": []}, "input: expected an object"),
        ({"classes": "anger"}, "classes: expected a list of texts"),
        ({"classes": ["joy", "neutral", "anger"]}, r"classes: expected some of .*, got 'joy'"),
        ({"classes": ["anger", "neutral", "anger"]}, "each may be there once"),
        ({"classes": ["anger", "neutral", "fear"]}, "none of .* is positive"),
        ({"output": "scores"}, "output: expected one of"),
        ({"output": "probabilities"}, "its outputs look like logits, the card says probabilities"),
        ({"temperature": 0}, "temperature: expected a positive number"),
        ({"temperature": True}, "temperature: expected a number"),
        ({"confidence_threshold": 1}, "confidence_threshold: expected 0 to 1"),
        ({"input__size": 224.0}, r"input\.size: expected an integer"),
        ({"input__size": 4000}, r"input\.size: expected 16 to 512"),
        ({"input__colour": "RGB"}, r"input\.colour: expected one of"),
        ({"input__layout": "chw"}, r"input\.layout: expected one of"),
        ({"input__scale": float("nan")}, "not valid JSON .NaN is not a number"),
        ({"input__mean": [0.5, 0.5]}, r"input\.mean, input\.std: expected 3 numbers each"),
        ({"input__std": [1, 0, 1]}, r"input\.std: expected positive"),
        ({"input__mean": ["a", 1, 1]}, r"input\.mean: expected a number"),
        ({"input__framing": "box"}, r"input\.framing: expected an object"),
        ({"input__framing__kind": "mask"}, r"input\.framing\.kind: expected one of"),
        ({"input__framing__margin": 1}, r"input\.framing: expected the fields"),
        ({"input__framing__scale": "1"}, r"input\.framing\.scale: expected a number"),
        ({"input__framing__scale": 99}, r"input\.framing\.scale: expected 0\.2 to 5"),
        ({"input__framing": {"kind": "points", "points": [[0, 0]] * 5}}, "fall together"),
        ({"input__framing": {"kind": "points", "points": [[0, 0]]}}, "expected five points"),
        ({"input__framing": {"kind": "points", "points": 7}}, "expected five points"),
        ({"input__framing": {"kind": "eyes", "eyes_x": 0, "eyes_y": 1, "side_ratio": 2}}, "eyes_x"),
        ({"input__size": 112}, r"its input is \['N', 3, 224, 224\], the card says"),
        ({"input__layout": "nhwc"}, r"the card says \['N', 224, 224, 3\] \(nhwc\)"),
        ({"input__name": "image"}, "its input is called 'input', the card says 'image'"),
        ({"classes": ["anger", "happiness", "neutral"]}, "has 8 values, the card names 3 classes"),
        ({"files": {}}, "a card without weights; `emotion-perception models import`"),
        ({"files": {"model.onnx": "0" * 64}}, "sha256"),
        ({"files": {"other.onnx": "0" * 64}}, r"other\.onnx"),
    ],
)
def test_wrong_card_is_refused_by_field(folder, fields, words):
    edit(folder, **fields)
    with pytest.raises(ModelError, match=words) as caught:
        load_model(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_or_missing_network_is_refused(folder):
    path = folder / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"model\.onnx: sha256"):
        load_model(folder)
    path.unlink()
    with pytest.raises(ModelError, match=r"model\.onnx: cannot read"):
        load_model(folder)
    (folder / "card.json").write_text("{")
    with pytest.raises(ModelError, match="not valid JSON"):
        load_model(folder)


def test_what_learns_refuses_such_a_model(folder, tmp_path):
    with pytest.raises(ModelError, match=r"a network of emotions; .*model\.safetensors"):
        load_checkpoint(folder)
    from emotion_perception.training import registry

    staged = tmp_path / "patients" / "P-1" / ".new" / "version"
    shutil.copytree(folder, staged)
    with pytest.raises(ModelError, match=r"a network of emotions; .*patients"):
        registry.publish(tmp_path / "patients", "P-1", staged)
    assert registry.versions(tmp_path / "patients", "P-1") == []


def command(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_finetune_refuses_it_in_a_line(folder, tmp_path):
    pytest.importorskip("lightning", reason="the training half is not installed")
    done = command(
        "finetune", "P-1", "--data", tmp_path, "--base-model", folder, "--models", tmp_path / "p"
    )
    assert isinstance(done.exception, ValueError), done.output
    assert "a network of emotions" in str(done.exception)


# The command


def test_import_tells_what_it_made(tmp_path):
    file = tiny_network.smile_network(tmp_path / "my weights.onnx")
    done = command("models", "import", "hsemotion-enet-b0-8", file, "--output", tmp_path / "a ü")
    assert done.exit_code == 0, done.output
    card = load_emotion_card(tmp_path / "a ü")
    assert card.files == {"model.onnx": sha256_of(file)}
    assert card.model_id in done.output
    assert "anger, contempt, disgust, fear, happiness, neutral, sadness, surprise" in done.output
    assert "licence: Apache-2.0" in done.output
    assert "note: For enet_b0_8_best_vgaf.onnx" in done.output
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def no_network(path):
    path.write_bytes(b"this is not a network at all")


def cut_off(path):
    whole = tiny_network.smile_network(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def outside_weights(path):
    import onnx

    model = onnx.load(tiny_network.smile_network(path))
    onnx.save_model(
        model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "cannot be read"),
        (lambda path: path.touch(), "the file is empty"),
        (lambda path: path.mkdir(), "cannot be read"),
        (no_network, "not an ONNX network"),
        (cut_off, "not an ONNX network, or a damaged one"),
        (outside_weights, "its weights lie in a file of their own"),
        (lambda p: tiny_network.smile_network(p, domain="com.acme"), "operator Odd of 'com.acme'"),
        (lambda p: tiny_network.smile_network(p, classes=7), "has 7 values, the card names 8"),
        (lambda p: tiny_network.smile_network(p, classes=10), "has 10 values, the card names 8"),
        (
            lambda p: tiny_network.smile_network(p, size=48),
            r"48\], the card says \['N', 3, 224, 224\]",
        ),
        (lambda p: tiny_network.smile_network(p, batch=4), "the card says"),
        (lambda p: tiny_network.smile_network(p, outputs=2), "expected one output, it has 2"),
        (lambda p: tiny_network.smile_network(p, more_inputs=["age"]), "expected one input"),
        (lambda p: tiny_network.smile_network(p, kind=2), r"tensor\(uint8\)"),
        (
            lambda p: tiny_network.save(p, np.full((3, 8), np.nan), np.zeros(8), (3, 224, 224)),
            "its answers are not numbers",
        ),
    ],
)
def test_import_refuses_what_does_not_fit(tmp_path, make, words):
    file = tmp_path / "net.onnx"
    make(file)
    before = sorted(tmp_path.rglob("*"))
    done = command("models", "import", "hsemotion-enet-b0-8", file, "--output", tmp_path / "made")
    assert isinstance(done.exception, ModelError), done.output
    message = str(done.exception)
    assert "net.onnx" in message
    assert "\n" not in message
    assert re.search(words, message), message
    assert sorted(tmp_path.rglob("*")) == before


def test_import_refuses_a_folder_that_is_there_and_a_network_that_nobody_knows(tmp_path):
    file = tiny_network.smile_network(tmp_path / "net.onnx")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("do not lose")
    done = command("models", "import", "hsemotion-enet-b0-8", file, "--output", mine)
    assert "exists already" in str(done.exception)
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]
    done = command("models", "import", "resnet", file, "--output", tmp_path / "new")
    assert "expected apvit, ferplus-8" in str(done.exception)
    valence = find_model("valence-base")
    done = command("models", "import", valence, file, "--output", tmp_path / "new")
    assert "card.json" in str(done.exception)
    assert not (tmp_path / "new").exists()

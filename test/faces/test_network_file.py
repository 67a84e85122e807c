# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ONNX files made to harm: each is refused before ONNX Runtime or OpenCV sees it."""

import contextlib
import io
import os
import subprocess
import sys
import warnings

import cv2
import numpy as np
import pytest

from emotion_perception.faces import network_file, protobuf
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.network_file import check_network_file
from emotion_perception.faces.yunet import YuNetDetector
from emotion_perception.models import find_model

onnx = pytest.importorskip("onnx", reason="the training half is not installed")
from onnx import TensorProto, helper, numpy_helper

SHIPPED = sorted(find_model("valence-base").parent.glob("*/*.onnx"))


def constant(name, values, kind=np.int64):
    return numpy_helper.from_array(np.asarray(values, kind), name)


def model(nodes=(), weights=(), inputs=None, outputs=None, opsets=(("", 17),), **more):
    """A network that hands its input on, besides what is asked for."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Identity", ["in"], ["out"]), *nodes], "net",
        inputs or [value("in", TensorProto.FLOAT, ["N", 3])],
        outputs or [value("out", TensorProto.FLOAT, ["N", 3])],
        list(weights),
    )  # fmt: skip
    opsets = [helper.make_opsetid(*told) for told in opsets]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def weight(**fields):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT)
    for name, value in fields.items():
        if isinstance(value, list):
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return tensor


def outside(location):
    tensor = weight(dims=[2], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, "length": "8"}.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def node(operator, *inputs, **attributes):
    return helper.make_node(operator, list(inputs), ["made"], **attributes)


def test_trial_networks_are_what_they_say(tmp_path):
    file = tmp_path / "net.onnx"
    onnx.save(model([node("Relu", "w")], [weight(dims=[2], float_data=[1, 2])]), file)
    check_network_file(file)


def test_what_torch_exports_of_usual_layers_passes(tmp_path):
    torch = pytest.importorskip("torch")
    nn, functional = torch.nn, torch.nn.functional

    class Usual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Hardswish(), nn.GroupNorm(2, 8), nn.GELU()
            )
            self.attention = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.memory = nn.GRU(8, 8, batch_first=True, bidirectional=True)

        def forward(self, image):
            grid = functional.affine_grid(torch.eye(2, 3).expand(image.shape[0], 2, 3), image.shape)
            maps = self.conv(functional.grid_sample(image, grid))
            maps = functional.interpolate(functional.pad(maps, (1, 1, 1, 1)), scale_factor=0.5)
            maps = torch.einsum("bchw,bc->bchw", maps, functional.silu(maps.mean((2, 3))))
            rows = self.attention(torch.roll(maps, 1, 2).flatten(2).transpose(1, 2))
            return functional.softmax(self.memory(rows)[0].amax(1), -1)

    file = tmp_path / "net.onnx"
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Usual().eval(), (torch.rand(2, 3, 16, 16),), file, dynamo=False, opset_version=20
        )
    check_network_file(file)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_shipped_networks_pass(file):
    check_network_file(file)


def learning():
    made = model()
    made.training_info.add().algorithm.name = "step"
    return made


HARMFUL = {
    "weights-in-a-file-outside": (model(weights=[outside("../../etc/shadow")]), "file of their"),
    "weights-in-an-absolute-file": (model(weights=[outside("/etc/shadow")]), "file of their own"),
    "location-without-the-flag": (
        model(weights=[outside("/etc/shadow")]), "file of their own",
    ),
    "another-file-of-a-context": (
        model([node("EPContext", "in", domain="com.microsoft", ep_cache_context="/etc/shadow")],
              opsets=(("", 17), ("com.microsoft", 1))),
        "operator EPContext of 'com.microsoft'",
    ),
    "operator-of-a-library": (
        model([node("Steal", "in", domain="com.acme")], opsets=(("", 17), ("com.acme", 1))),
        "operator Steal of 'com.acme'",
    ),
    "decoder-of-images": (model([node("ImageDecoder", "in")]), "operator ImageDecoder"),
    "in-a-branch": (
        model([node("If", "in", then_branch=helper.make_graph(
            [node("RegexFullMatch", "in")], "then", [], []))]),
        "operator RegexFullMatch",
    ),
    "endless-loop": (
        model([node("Loop", "in", body=helper.make_graph([], "body", [], []))]), "operator Loop",
    ),
    "operator-in-a-function": (
        model([node("Mine", "in", domain="mine")], opsets=(("", 17), ("mine", 1)), functions=[
            helper.make_function("mine", "Mine", ["in"], ["made"], [node("Scan", "in")],
                                 [helper.make_opsetid("", 17)])]),
        "operator Scan",
    ),
    "operator-beside-a-function": (
        model([node("Other", "in", domain="mine")], opsets=(("", 17), ("mine", 1)), functions=[
            helper.make_function("mine", "Mine", ["in"], ["made"], [node("Relu", "in")],
                                 [helper.make_opsetid("", 17)])]),
        "operator Other of 'mine'",
    ),
    "terabytes-declared": (model(weights=[weight(dims=[1 << 20, 1 << 20])]), "nothing so large"),
    "overflow-of-the-shape": (model(weights=[weight(dims=[1 << 62, 4, 2])]), "nothing so large"),
    "negative-side": (model(weights=[weight(dims=[-1, 3], raw_data=b"0" * 12)]), "so large"),
    "less-than-declared": (
        model(weights=[weight(dims=[100], raw_data=b"0" * 40)]), "should have 100 values and holds",
    ),
    "more-than-declared": (
        model(weights=[weight(dims=[2], raw_data=b"0" * 40)]), "should have 2 values and holds 10",
    ),
    "packed-integers": (
        model(weights=[weight(dims=[4], data_type=TensorProto.INT8, int32_data=[1, -2, 3])]),
        "should have 4 values and holds 3",
    ),
    "texts": (
        model(weights=[weight(dims=[1], data_type=TensorProto.STRING, string_data=[b"x"])]),
        "of the kind 8",
    ),
    "unknown-kind": (model(weights=[weight(dims=[1], data_type=99)]), "of the kind 99"),
    "huge-constant-of-shape": (
        model([node("ConstantOfShape", "s")], [constant("s", [1 << 16, 1 << 16])]),
        "ConstantOfShape asks for",
    ),
    "huge-grid": (
        model([node("AffineGrid", "in", "s")], [constant("s", [1, 3, 1 << 15, 1 << 15])]),
        "AffineGrid asks for",
    ),
    "huge-expand": (
        model([node("Expand", "in", "s")], [constant("s", [1 << 40, 3])]), "Expand asks for",
    ),
    "huge-tile-by-a-node": (
        model([
            helper.make_node("Constant", [], ["s"], value=constant("v", [1 << 30, 1])),
            node("Tile", "in", "s"),
        ]),
        "Tile asks for",
    ),
    "huge-resize": (
        model([node("Resize", "in", "", "s")], [constant("s", [1, 1e6, 1e6], np.float32)]),
        "Resize asks for",
    ),
    "resize-by-infinity": (
        model([node("Resize", "in", "", "s")], [constant("s", [1, np.inf, 1], np.float32)]),
        "Resize asks for",
    ),
    "huge-range": (
        model([node("Range", "a", "b", "c")],
              [constant("a", 0), constant("b", 1 << 50), constant("c", 1)]),
        "Range asks for",
    ),
    "huge-border": (
        model([node("Pad", "in", "s")], [constant("s", [0, 0, 0, 1 << 30])]), "Pad asks for",
    ),
    "huge-border-of-a-convolution": (
        model([node("Conv", "in", "w", pads=[1 << 40] * 4)], [weight(dims=[0])]), "pads is",
    ),
    "huge-input": (
        model(inputs=[helper.make_tensor_value_info("in", 1, [1 << 20, 1 << 20])]),
        "input or output in has the shape",
    ),
    "input-of-texts": (
        model(inputs=[helper.make_tensor_value_info("in", TensorProto.STRING, [1])]),
        "no tensor of numbers",
    ),
    "output-of-a-list": (
        model(outputs=[helper.make_tensor_sequence_value_info("out", 1, None)]), "is no tensor",
    ),
    "training": (learning(), "instructions for training"),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMFUL)
def test_harmful_network_is_refused(tmp_path, name):
    made, words = HARMFUL[name]
    if name == "location-without-the-flag":
        made.graph.initializer[0].ClearField("data_location")
    file = tmp_path / "net.onnx"
    file.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match=words) as caught:
        check_network_file(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert "\n" not in str(caught.value)


def test_too_many_empty_nodes_and_deep_graphs_are_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(protobuf, "MOST_FIELDS", 50_000)
    file = tmp_path / "net.onnx"
    empty = b"\x0a\x00" * (protobuf.MOST_FIELDS + 1)
    file.write_bytes(b"\x3a" + varint(len(empty)) + empty)
    with pytest.raises(ModelError, match="not an ONNX network"):
        check_network_file(file)
    inner = b""
    for _ in range(2000):  # a graph in an attribute in a node in a graph ...
        attribute = b"\x32" + varint(len(inner)) + inner
        one = b"\x2a" + varint(len(attribute)) + attribute
        inner = b"\x0a" + varint(len(one)) + one
    file.write_bytes(b"\x3a" + varint(len(inner)) + inner)
    with pytest.raises(ModelError, match="not an ONNX network"):
        check_network_file(file)


def test_large_files_pipes_and_devices_are_not_read(tmp_path):
    large = tmp_path / "large.onnx"
    with large.open("wb") as file:
        file.truncate(network_file.MOST_BYTES + 1)
    with pytest.raises(ModelError, match="networks above 1074 MB are not accepted"):
        check_network_file(large)
    os.mkfifo(tmp_path / "pipe.onnx")
    for odd in (tmp_path / "pipe.onnx", "/dev/zero"):
        with pytest.raises(ModelError, match="not an ordinary file"):
            check_network_file(type(large)(odd))


def test_yunet_files_are_checked_before_opencv_reads_them(tmp_path):
    file = tmp_path / "yunet.onnx"
    file.write_bytes(HARMFUL["terabytes-declared"][0].SerializeToString())
    with pytest.raises(ModelError, match="nothing so large"):
        YuNetDetector(file)
    with file.open("r+b") as stream:
        stream.truncate(17 << 20)
    with pytest.raises(ModelError, match="above 17 MB"):
        YuNetDetector(file)


DAMAGED = """
import sys
from pathlib import Path
import numpy as np
from emotion_perception.faces.yunet import YuNetDetector
from emotion_perception.faces.model_files import ModelError
whole = Path(sys.argv[1]).read_bytes()
file = Path(sys.argv[2])
rng = np.random.default_rng(int(sys.argv[3]))
refused = 0
for turn in range(20):
    data = bytearray(whole)
    for at in rng.integers(0, len(data), 1 + turn % 7):
        data[at] = rng.integers(256)
    if turn % 5 == 0:
        del data[int(rng.integers(len(data))):]
    file.write_bytes(data)
    try:
        YuNetDetector(file)
    except ModelError as error:
        assert str(error).startswith(str(file)) and "\\n" not in str(error), error
        refused += 1
print(refused)
"""


def test_damaged_networks_do_not_break_opencv(tmp_path):
    """Random damage of the smallest shipped network; some of it crashes OpenCV 4.14."""
    source = find_model("face-mtcnn") / "pnet.onnx"
    done = subprocess.run(
        [sys.executable, "-c", DAMAGED, str(source), str(tmp_path / "net.onnx"), "1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.returncode, done.stderr[-1500:], cv2.__version__)
    assert int(done.stdout) == 20  # it is no YuNet, whole or damaged


def varint(number):
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def test_size_that_is_only_calculated_ends_the_process_that_tries_it(tmp_path):
    """Two harmless constants, whose product is a tensor of 4 TB."""
    from emotion_perception.valence.emotion_import import card_of, import_network

    card = card_of("ferplus-8")
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Mul", ["a", "b"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Flatten", ["Input3"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        helper.make_node("Add", ["logits", "zero"], ["out"]),
    ]
    for factor, broken in ((1 << 20, True), (1, False)):
        graph = helper.make_graph(
            nodes, "net",
            [value("Input3", TensorProto.FLOAT, [1, 1, 64, 64])],
            [value("out", TensorProto.FLOAT, [1, 8])],
            [constant("a", [1 << 20]), constant("b", [factor]),
             constant("weights", np.eye(4096, 8), np.float32)],
        )  # fmt: skip
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        file = tmp_path / f"net{factor}.onnx"
        onnx.save(made, file)
        check_network_file(file)
        if not broken:
            assert import_network(card, file, tmp_path / "made").output == "logits"
            continue
        with pytest.raises(ModelError, match=r"net1048576\.onnx: ") as caught:
            import_network(card, file, tmp_path / "made")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "made").exists()

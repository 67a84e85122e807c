# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tiny ONNX networks with the signatures of other people's: what they say hangs on colours."""

import numpy as np

GAIN = 50.0


def save(
    path, weights, bias, shape, *, batch="N", layout="nchw", softmax=False, name="input",
    outputs=1, domain="", kind=None, more_inputs=(),
):  # fmt: skip
    """Write a network that takes the mean of each channel and puts it through one layer.

    Args:
        path: of the file.
        weights: (channels, classes).
        bias: (classes,).
        shape: of one input, (channels, height, width) or (height, width, channels).
        batch: a name, or the only size that it takes.
        layout: ``nchw`` or ``nhwc``.
        softmax: whether it ends with one.
        name: of the input.
        outputs: how many there are.
        domain: of an operator that nobody has.
        kind: of the input; default float32.
        more_inputs: names of inputs that nothing uses.
    """
    from onnx import TensorProto, checker, helper, numpy_helper
    from onnx import save as write

    axes = [2, 3] if layout == "nchw" else [1, 2]
    nodes = [
        helper.make_node("Cast", [name], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"]),
    ]
    last = "logits"
    if domain:
        nodes.append(helper.make_node("Odd", [last], ["odd"], domain=domain))
        last = "odd"
    nodes.append(
        helper.make_node("Softmax" if softmax else "Identity", [last], ["output0"], **(
            {"axis": 1} if softmax else {}
        ))
    )  # fmt: skip
    for index in range(1, outputs):
        nodes.append(helper.make_node("Identity", [last], [f"output{index}"]))
    classes = len(bias)
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info(name, kind or TensorProto.FLOAT, [batch, *shape])]
        + [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1]) for n in more_inputs],
        [
            helper.make_tensor_value_info(f"output{i}", TensorProto.FLOAT, [batch, classes])
            for i in range(outputs)
        ],
        [
            numpy_helper.from_array(np.asarray(weights, np.float32), "weights"),
            numpy_helper.from_array(np.asarray(bias, np.float32), "bias"),
        ],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8  # the oldest ONNX Runtime that is tested knows no newer one
    if not domain:
        checker.check_model(model)
    write(model, str(path))
    return path


def nearest(codes):
    """Weights and bias of a layer whose likeliest class is the nearest of codes (K, channels)."""
    codes = np.asarray(codes, np.float64)
    return 2 * GAIN * codes.T, -GAIN * (codes**2).sum(axis=1)


def smile_network(path, size=224, happy=4, sad=6, classes=8, **options):
    """Write a network with colour input that finds redness happy and blueness sad."""
    weights = np.zeros((3, classes))
    weights[:, happy], weights[:, sad] = (9, 0, -9), (-9, 0, 9)
    return save(path, weights, np.zeros(classes), (3, size, size), **options)

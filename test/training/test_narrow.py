# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import pytest

torch = pytest.importorskip("torch")

from emotion_perception.training.narrow import narrow
from emotion_perception.valence.network import ResidualBlock, ValenceNet

WIDE, SLIM = (12, 24, 40), (8, 16, 32)
DEPTHS = (1, 2)


def _silence(norms, count, generator):
    """Let ``count`` channels of each of these normalisations, the same ones, give zeros."""
    off = torch.randperm(len(norms[0].weight), generator=generator)[:count]
    for norm in norms:
        norm.weight[off] = 0
        norm.bias[off] = 0


def _wide():
    torch.manual_seed(0)
    net = ValenceNet(WIDE, DEPTHS, 0.0).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_()
                module.running_mean.normal_()
        _silence([net.features[1]], WIDE[0] - SLIM[0], generator)
        stages = [[net.features[3]], [net.features[4], net.features[5]]]
        for blocks, wide, slim in zip(stages, WIDE[1:], SLIM[1:], strict=True):
            outputs = []
            for block in blocks:
                _silence([block.body[1]], wide - slim, generator)
                outputs.append(block.body[4])
                if not isinstance(block.shortcut, torch.nn.Identity):
                    outputs.append(block.shortcut[2])
                gate = block.body[5].gate
                spare = len(gate[1].bias) - max(4, slim // 8)
                gate[3].weight[:, :spare] = 0
            _silence(outputs, wide - slim, generator)
    return net


def test_channels_that_say_nothing_are_the_ones_that_go():
    wide = _wide()
    state = {f"network.{name}": value for name, value in wide.state_dict().items()}
    state["emotions.weight"], state["emotions.bias"] = torch.randn(10, WIDE[-1]), torch.randn(10)
    slim = ValenceNet(SLIM, DEPTHS, 0.0).eval()
    cut = narrow(state, wide.arguments, slim)
    assert cut["emotions.weight"].shape == (10, SLIM[-1])
    own = {k.removeprefix("network."): v for k, v in cut.items() if k.startswith("network.")}
    slim.load_state_dict(own)
    x = torch.randn(3, 1, 48, 48)
    with torch.no_grad():
        torch.testing.assert_close(slim(x), wide(x), rtol=1e-4, atol=1e-4)
        assert wide(x).std() > 0.01
    assert sum(isinstance(layer, ResidualBlock) for layer in slim.features) == 3


def test_of_the_same_widths_nothing_changes():
    net = ValenceNet(SLIM, DEPTHS)
    state = {f"network.{name}": value for name, value in net.state_dict().items()}
    cut = narrow(state, net.arguments, net)
    assert all(torch.equal(cut[name], value) for name, value in state.items())


@pytest.mark.parametrize(
    ("widths", "depths"), [((8, 16, 48), DEPTHS), ((8, 16, 32), (1, 1)), ((8, 16), (1,))]
)
def test_wider_or_of_another_depth_is_refused(widths, depths):
    wide = ValenceNet(WIDE, DEPTHS)
    state = {f"network.{name}": value for name, value in wide.state_dict().items()}
    with pytest.raises(ValueError, match=r"widths \[12, 24, 40\]"):
        narrow(state, wide.arguments, ValenceNet(widths, depths))

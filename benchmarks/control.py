# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How fast the node answers parameters and services while it works, and what swaps cost.

    python -m benchmarks.control [--asks 500] [--swaps 1000] [--output JSON]

A camera sends 1280x720 at 30 Hz from a process of its own; a client in another asks for parameters,
changes one, and exchanges models of two patients (the shipped one under their names) and the base.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import children, machine
from benchmarks.children import Child
from benchmarks.reaction_node import NODE, PROBE, ROOT, _running
from benchmarks.samples import summary
from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.models import find_model
from emotion_perception.nodes.transports import free_domain, local_variables
from emotion_perception.training import registry
from emotion_perception.training.promotion import HELD_OUT_FILE, HeldOut, decide

FORMAT = 1
CONTROL = ROOT / "benchmarks" / "workers" / "control_probe.py"
MOST_MS = 20.0


def measure(asks: int, swaps: int) -> dict[str, Any]:
    """Run node, camera and client, and sum up."""
    variables = children.environment(
        ROS_DOMAIN_ID=str(free_domain()),
        **local_variables(640 * 480 * 3),
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "patients"
        for patient in ("P-1", "P-2"):
            _publish(root, patient)
        frames = Path(folder) / "frames.npy"
        span = DEMO_SPANS[0]
        np.save(frames, np.stack([
            cv2.resize(frame, (1280, 720)) for index, frame in enumerate(demo_frames(10.0))
            if span[0] <= index / 10 < span[1]
        ]))  # fmt: skip
        node = Child([*NODE, "-p", f"patients:={root}"], variables)
        camera = [sys.executable, PROBE, "camera", "--frames", frames, "--rate", "30"]
        try:
            with _running(camera, variables):
                client = [sys.executable, CONTROL, "--asks", str(asks), "--swaps", str(swaps),
                          "--pid", str(node.pid)]  # fmt: skip
                with _running(client, variables) as probe:
                    found = probe.answer(60.0 + asks * 0.5 + swaps * 2.0)
        finally:
            node.terminate()
    before, after = found["before"], found["after"]
    counted = {
        name: int(after[name]) - int(before[name])
        for name in ("images received", "images judged", "images dropped for a newer one",
                     "failed images", "bad images")
    }  # fmt: skip
    return {
        "ms": {name: summary(values) for name, values in found["times_ms"].items() if values},
        "swaps": swaps, "while_swapping": counted, "messages_while_swapping": found["messages"],
        "messages_that_name_another_model": found["wrong_model"],
        "memory_mb": found["memory_mb"],
        "latency_p99_ms": after["latency p99 (ms)"],
    }  # fmt: skip


def _publish(root: Path, patient: str) -> None:
    """Give a patient a promoted model: the shipped one, with answers that let it be promoted."""
    labels, others = np.arange(240) % 3, np.arange(1000) % 3
    rng = np.random.default_rng(0)
    wrong = np.where(rng.random(240) < 0.5, (labels + 1) % 3, labels)
    names = np.array([f"day {index % 12}" for index in range(240)])

    def logits(answers: Any) -> Any:
        return (2 * np.eye(3)[answers]).astype(np.float32)

    answers = HeldOut(
        labels=labels, recordings=names, persons=np.full(240, "P"),
        clusters=np.unique(names, return_inverse=True)[1].astype(np.int64), folds=labels,
        base=logits(wrong), tuned=logits(labels), other_labels=others,
        other_base=logits(others), other_tuned=logits(others),
    )  # fmt: skip
    staged = root / patient / ".new" / "version"
    staged.mkdir(parents=True)
    for name in ("card.json", "model.onnx", "model.safetensors"):
        shutil.copyfile(find_model("valence-base") / name, staged / name)
    answers.save(staged / HELD_OUT_FILE)
    card = json.loads((staged / "card.json").read_text(encoding="utf-8"))
    card.update(name=f"valence-{patient}", training={"patient": patient})
    card["figures"] = {"promotion": decide(answers).to_card()}
    (staged / "card.json").write_text(json.dumps(card), encoding="utf-8")
    registry.publish(root, patient, staged)
    registry.promote(root, patient, "0001")


def main() -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description="Answers of the node while it works.")
    parser.add_argument("--asks", type=int, default=500)
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    chosen = parser.parse_args()
    result = {
        "format": FORMAT, "source": machine.source(), "versions": machine.versions(),
        "machine": machine.machine(), **measure(chosen.asks, chosen.swaps),
    }  # fmt: skip
    slowest = max(result["ms"][name]["p99"] for name in ("get_parameters", "set_parameters"))
    result["targets"] = [
        {"what": "parameter calls, p99 ms", "target": f"at most {MOST_MS:g}", "measured": slowest,
         "met": slowest <= MOST_MS},
    ]  # fmt: skip
    text = json.dumps(result, indent=1)
    print(text)
    if chosen.output is not None:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

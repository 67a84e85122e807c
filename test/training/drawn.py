# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Drawn faces whose mouth tells the class, for tests of fine-tuning."""

import cv2
import numpy as np

from emotion_perception.training.faces import from_labels


def with_features(network):
    """Return a network that sees the mouths of drawn faces but has no idea what they mean."""
    import torch
    from torch.nn import functional

    from emotion_perception.training.augment import PRESETS
    from emotion_perception.training.module import standardise

    faces = drawn_faces(240, seed=99)
    images = torch.from_numpy(faces.images)[:, None].float()
    labels = torch.from_numpy(faces.labels)
    steps = 300
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    network.train()
    for _ in range(steps):
        some = torch.randperm(len(labels))[:48]
        # Bent as fine-tuning will bend them: features that break under it could not be learned on.
        bent = standardise(PRESETS["mild"](images[some]), 4.0)
        loss = functional.cross_entropy(network(bent), labels[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.nn.init.zeros_(network.classifier.weight)
    torch.nn.init.zeros_(network.classifier.bias)
    return network.eval()


def drawn_faces(count, *, seed=0, recordings=1, person="P-1", upside_down=False):
    """Return a FaceSet, the classes in turn; a patient's mouth may mean the opposite."""
    rng = np.random.default_rng(seed)
    images = np.empty((count, 48, 48), np.uint8)
    labels = np.arange(count) % 3
    for image, label in zip(images, labels, strict=True):
        tile = np.full((48, 48), 120, np.uint8)
        x, y = rng.integers(-2, 3, 2)
        for eye in (15, 33):
            cv2.circle(tile, (int(eye + x), int(18 + y)), 3, 30, -1)
        kind = 2 - label if upside_down else label
        if kind == 1:
            cv2.line(tile, (int(14 + x), int(36 + y)), (int(34 + x), int(36 + y)), 30, 2)
        else:
            start, end = (180, 360) if kind == 0 else (0, 180)
            cv2.ellipse(tile, (int(24 + x), int(36 + y)), (10, 6), 0, start, end, 30, 2)
        image[:] = np.clip(tile + rng.normal(0, 4, tile.shape), 0, 255)
    names = [f"day {index * recordings // count}" for index in range(count)] if recordings else None
    return from_labels(
        images, labels, files=[f"{person}_idx{index}.jpg" for index in range(count)],
        persons=[person] * count, recordings=names,
    )  # fmt: skip

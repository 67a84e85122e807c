# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Handing work from another thread to a node's executor."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from rclpy.node import Node


def run_in_executor(node: Node, call: Callable[..., Any], *arguments: Any) -> None:
    """Let the node's executor call this soon; never, if the node has none any more.

    May be called from any thread, also while the executor is being shut down.
    """
    executor = node.executor
    if executor is None:
        return
    # A shut down one has lost what rclpy would wake it with.
    with contextlib.suppress(AttributeError):
        executor.create_task(call, *arguments)

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A client that asks the reaction node for things while it works, and times the answers.

Prints one line of JSON when it is done.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor

from emotion_perception.msg import UserReaction
from emotion_perception.srv import LoadPatientModel

NODE = "reaction_node"


def main() -> None:
    """Ask, then swap models."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--asks", type=int, required=True)
    parser.add_argument("--swaps", type=int, required=True)
    parser.add_argument("--pid", type=int, required=True)
    chosen = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node("benchmark_control")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    messages: list[tuple[float, str, str]] = []
    status: dict[str, str] = {}

    def note(message: UserReaction) -> None:
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        messages.append((stamp, message.patient_id, message.model_id))

    def learn(message: DiagnosticArray) -> None:
        status.update({value.key: value.value for value in message.status[0].values})

    node.create_subscription(UserReaction, "user_reaction", note, 200)
    node.create_subscription(DiagnosticArray, "/diagnostics", learn, 10)
    get = node.create_client(GetParameters, f"{NODE}/get_parameters")
    change = node.create_client(SetParameters, f"{NODE}/set_parameters")
    load = node.create_client(LoadPatientModel, f"{NODE}/load_patient_model")
    for client in (get, change, load):
        assert client.wait_for_service(30.0)

    def ask(client: Any, request: Any) -> tuple[float, Any]:
        before = time.monotonic()
        future = client.call_async(request)
        while not future.done():
            executor.spin_once(timeout_sec=5.0)
        return 1e3 * (time.monotonic() - before), future.result()

    def rest(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)

    while len(messages) < 60:
        executor.spin_once(timeout_sec=5.0)
    times: dict[str, list[float]] = {"get_parameters": [], "set_parameters": [], "load": []}
    for number in range(chosen.asks):
        request = GetParameters.Request(names=["confidence_threshold", "partner"])
        times["get_parameters"].append(ask(get, request)[0])
        value = ParameterValue(
            type=ParameterType.PARAMETER_DOUBLE, double_value=0.5 + number % 2 / 5
        )
        parameter = Parameter(name="confidence_threshold", value=value)
        took, answer = ask(change, SetParameters.Request(parameters=[parameter]))
        assert answer.results[0].successful
        times["set_parameters"].append(took)
        rest(0.01)
    memory = [_memory(chosen.pid)]
    rest(1.5)
    before = dict(status)
    first = len(messages)
    for number in range(chosen.swaps):
        request = LoadPatientModel.Request(patient_id=("P-1", "P-2", "")[number % 3])
        took, answer = ask(load, request)
        assert answer.success, answer.message
        times["load"].append(took)
        if (number + 1) % max(1, chosen.swaps // 10) == 0:
            memory.append(_memory(chosen.pid))
    rest(2.5)
    swapped = messages[first:]
    wrong = sum(
        not model.startswith(f"valence-{patient or 'base'}-") for _, patient, model in swapped
    )
    print(json.dumps({
        "times_ms": times, "memory_mb": memory, "messages": len(swapped), "wrong_model": wrong,
        "before": before, "after": status,
    }), flush=True)  # fmt: skip
    rclpy.shutdown()


def _memory(pid: int) -> float:
    """Return the resident memory of a process, MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The one table of the reaction node's parameters.

Declaration, ranges, ``config/reaction.yaml``, the launch arguments and the README are all made
from this table or checked against it by a test.
"""

from __future__ import annotations

import difflib
import math
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import rclpy
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from emotion_perception.reaction.partner import STRATEGIES

Value = bool | int | float | str | list[float] | list[str]


class Change(Enum):
    """When a parameter may change."""

    START = "at start only"
    UNCONFIGURED = "while unconfigured"
    LIVE = "at any time"


@dataclass(frozen=True)
class Spec:
    """One parameter.

    Attributes:
        name: of the parameter, the YAML key and the launch argument.
        default: its type is the parameter's type.
        description: one sentence with the unit.
        change: when it may change.
        low: least value of a number.
        high: greatest value of a number.
        pattern: regular expression that a string, or each of several, must match as a whole.
        length: number of entries of a list.
    """

    name: str
    default: Value
    description: str
    change: Change = Change.UNCONFIGURED
    low: float | None = None
    high: float | None = None
    pattern: str | None = None
    length: int | None = None

    def problem(self, value: Any) -> str | None:
        """Say in one line what is wrong with a value, or return None."""
        numbers = value if isinstance(self.default, list) else [value]
        if self.length is not None and len(numbers) != self.length:
            return f"{self.name}: expected {self.length} numbers, got {len(numbers)}"
        if self.low is not None and self.high is not None:
            for number in numbers:
                if not (math.isfinite(number) and self.low <= number <= self.high):
                    return f"{self.name}: expected {self.low:g} to {self.high:g}, got {number}"
        for text in numbers if self.pattern is not None else []:
            assert self.pattern is not None
            if re.fullmatch(self.pattern, text):
                continue
            words = self.pattern.split("|")
            if len(words) > 1 and all(word.replace("_", "").isalnum() for word in words):
                return f"{self.name}: expected one of {', '.join(words)}, got {text!r}"
            return f"{self.name}: expected a match of {self.pattern}, got {text!r}"
        return None

    def descriptor(self) -> ParameterDescriptor:
        """Return the ROS descriptor."""
        result = ParameterDescriptor(
            description=f"{self.description} Changes {self.change.value}.",
            read_only=self.change is Change.START,
        )
        if self.low is not None and self.high is not None:
            if isinstance(self.default, int) and not isinstance(self.default, bool):
                result.integer_range = [
                    IntegerRange(from_value=int(self.low), to_value=int(self.high), step=0)
                ]
            else:
                result.floating_point_range = [
                    FloatingPointRange(from_value=self.low, to_value=self.high, step=0.0)
                ]
        if self.pattern is not None:
            result.additional_constraints = f"must match {self.pattern}"
        if self.length is not None:
            result.additional_constraints = f"{self.length} numbers"
        return result


PARAMETERS: tuple[Spec, ...] = (
    Spec("autostart", False, "Configure and activate without a lifecycle manager.", Change.START),
    Spec("camera_topics", [""], "Image topics of several cameras, such as [front/image_raw, "
         "back/image_raw]; what is told of each is under its name (front/user_reaction). Without "
         "any there is one camera, image_raw.", pattern=r"(~?/?[A-Za-z_][A-Za-z0-9_/]*)?"),
    Spec("image_transport", "raw", "Kind of image topic: raw or compressed.",
         pattern="raw|compressed"),
    Spec("decoder", "builtin", "What decodes images: builtin, or the distribution's cv_bridge.",
         pattern="builtin|cv_bridge"),
    Spec("qos_reliability", "auto", "Reliability asked of the image publisher; auto asks for "
         "reliable and falls back to best_effort when a publisher offers no more.",
         pattern="auto|best_effort|reliable|system_default"),
    Spec("qos_depth", 1, "Images that the middleware queues; only the newest is judged.",
         low=1, high=100),
    Spec("image_timeout", 5.0, "Seconds without an image before a warning.", Change.LIVE,
         low=0.1, high=3600.0),
    Spec("reaction_timeout", 0.5, "Seconds without an answer after which user_reaction says "
         "NOT_LOOKED; at least two and a half images or answers, so that a slow camera is not "
         "silence.", Change.LIVE, low=0.1, high=60.0),
    Spec("hang_timeout", 3.0, "Seconds that a frame may take before its worker is taken for hung "
         "and made anew, its first frame five times as long; 0 waits for ever.", Change.LIVE,
         low=0.0, high=600.0),
    Spec("max_frame_age", 0.0, "Seconds after its stamp at which an image is too old to be "
         "judged and is dropped; 0 judges all.", Change.LIVE, low=0.0, high=3600.0),
    Spec("device", "auto", "Where the networks run; falls back to the CPU.",
         pattern=r"auto|cpu|cuda(:\d+)?"),
    Spec("threads", 2, "Processor threads of the networks.", low=1, high=64),
    Spec("model", "", "Checkpoint folder of the valence network; empty means the shipped one."),
    Spec("confidence_threshold", -1.0, "Least probability that counts as an answer; -1 takes the "
         "one of the model's card.", Change.LIVE, low=-1.0, high=1.0),
    Spec("detector", "mtcnn", "Face detector: mtcnn or yunet.", pattern="mtcnn|yunet"),
    Spec("yunet_model", "", "ONNX file of YuNet; needed by the detector yunet."),
    Spec("min_face_size", 40, "Side in pixels of the smallest face that is looked for.",
         Change.LIVE, low=20, high=1000),
    Spec("detection_thresholds", [0.6, 0.7, 0.7], "Scores that the three stages of MTCNN ask for.",
         Change.LIVE, low=0.01, high=0.99, length=3),
    Spec("min_dwell", 0.5, "Seconds for which a reaction that has begun is told at least.",
         Change.LIVE, low=0.0, high=10.0),
    Spec("partner", "largest", "Whose reaction user_reaction tells: largest, centre, locked (stay "
         "with one until gone), face_id (partner_face_id) or enrolled (the patient).",
         Change.LIVE, pattern="|".join(STRATEGIES)),
    Spec("partner_face_id", "", "Whom the strategy face_id means.", Change.LIVE,
         pattern=r"[A-Za-z0-9_]{0,64}"),
    Spec("partner_patience", 3.0, "Seconds for which a locked partner may be out of sight.",
         Change.LIVE, low=0.0, high=60.0),
    Spec("ignore_pictures", True, "Whether a face that stays exactly as it is for half a minute is "
         "taken for a picture and not judged.", Change.LIVE),
    Spec("max_rate", 0.0, "Frames a second that are judged at most, to save power; 0 judges all.",
         Change.LIVE, low=0.0, high=1000.0),
    Spec("patient_id", "", "Pseudonym of the person served, copied into every message; their "
         "promoted model judges, if there is one.", Change.LIVE,
         pattern=r"[A-Za-z0-9_.-]{0,64}"),
    Spec("patients", "", "Folder of the patients' models; empty means the one that "
         "emotion-perception models uses."),
    Spec("enrolment_key_file", "", "File with the key of the patient's enrolment; needed by the "
         "partner enrolled."),
    Spec("observation_log", "", "File to which each observed action is appended as a line of JSON; "
         "empty writes nothing.", Change.LIVE),
    Spec("observation_log_days", 0, "Days after which lines of observation_log are dropped; 0 "
         "keeps them.", Change.LIVE, low=0, high=36500),
    Spec("ros4hri", False, "Whether faces are published on /humans/faces as ROS4HRI (REP-155) has "
         "it; needs hri_msgs."),
)  # fmt: skip


def help_text(node: str, purpose: str, table: Sequence[Spec] = PARAMETERS) -> str:
    """Return what ``--help`` prints for a node."""
    lines = [
        f"usage: ros2 run emotion_perception {node} [--ros-args -p NAME:=VALUE -r FROM:=TO ...]",
        "",
        purpose,
        "",
        "parameters:",
    ]
    for spec in table:
        bounds = "" if spec.low is None else f" ({spec.low:g} to {spec.high:g})"
        lines.append(f"  {spec.name} (default {spec.default!r})")
        lines.append(f"      {spec.description}{bounds} Changes {spec.change.value}.")
    return "\n".join(lines)


def start_ros(node: str, args: list[str] | None) -> bool:
    """Call rclpy.init; False, with the reason on standard error, where it can't read its arguments.

    Left to itself the error would look like that of a node that was told to stop. From here on
    SIGINT does what SIGTERM does: rclpy closes the context, and whoever waits for it is told.
    """
    # Not Python's own: its KeyboardInterrupt comes besides, at any line, that of cleaning up too.
    signal.signal(signal.SIGINT, lambda *_: None)
    try:
        rclpy.init(args=args)
    except RuntimeError as error:
        print(f"{node}: {error}", file=sys.stderr)
        return False
    return True


def unknown_overrides(node: Node, table: Sequence[Spec] = PARAMETERS) -> list[str]:
    """Return one line for each parameter given from outside that the node does not have."""
    names = [spec.name for spec in table]
    lines = []
    for name in node._parameter_overrides:  # rclpy tells of them nowhere else
        if node.has_parameter(name) or name in names or name.startswith("qos_overrides."):
            continue
        near = difflib.get_close_matches(name, names, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        lines.append(f"parameter {name}: unknown, and ignored{hint}")
    return lines


def declare_parameters(node: Node, table: Sequence[Spec] = PARAMETERS) -> list[str]:
    """Declare a table of parameters; a bad value from outside is replaced by its default.

    Returns:
        One line for each value that was refused.
    """
    refused = []
    for spec in table:
        try:
            value = _declare(node, spec)
            problem = spec.problem(value)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            why = str(error).rpartition("Reason: ")[2]
            problem = f"{spec.name}: {why.removeprefix(f'Parameter {spec.name} ')}"
        if problem is not None:
            if node.has_parameter(spec.name):
                # A read-only parameter can't be undeclared; none of those has a range or pattern.
                node.undeclare_parameter(spec.name)
            node.declare_parameter(spec.name, spec.default, spec.descriptor(), ignore_override=True)
            refused.append(f"parameter {problem}; using {spec.default!r}")
    return refused


def _declare(node: Node, spec: Spec) -> Any:
    """Declare a parameter; a whole number is a fine value of a float one, as YAML writes it."""
    given = node._parameter_overrides.get(spec.name)
    if isinstance(spec.default, float) and given is not None and type(given.value) is int:
        problem = spec.problem(given.value)
        if problem is None:
            descriptor = spec.descriptor()
            return node.declare_parameter(
                spec.name, float(given.value), descriptor, ignore_override=True
            ).value
    return node.declare_parameter(spec.name, spec.default, spec.descriptor()).value


def check_changes(
    parameters: Sequence[Parameter],
    unconfigured: Callable[[], bool],
    table: Sequence[Spec] = PARAMETERS,
) -> SetParametersResult:
    """Accept or refuse a set of changes, for Node.add_on_set_parameters_callback."""
    specs = {spec.name: spec for spec in table}
    for parameter in parameters:
        spec = specs.get(parameter.name)
        if spec is None:
            continue
        problem = spec.problem(parameter.value)
        if problem is None and spec.change is Change.UNCONFIGURED and not unconfigured():
            problem = (
                f"{spec.name}: changes while the node is unconfigured; deactivate and clean up "
                "first (ros2 lifecycle set ... deactivate, cleanup)"
            )
        if problem is not None:
            return SetParametersResult(successful=False, reason=problem)
    return SetParametersResult(successful=True)

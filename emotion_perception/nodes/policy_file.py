# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The text of ``security/policy.xml``, which says what each node may do on a secured ROS 2.

After a change of topics: ``python -m emotion_perception.nodes.policy_file > security/policy.xml``.
For a robot of its own: the same with options; ``--help`` lists them, docs/security.md explains.
"""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from emotion_perception.nodes.camera import camera_names

VERSION: Final = "0.2.0"
"""Of the policy's format, which sros2 reads."""

PREFIX: Final = "/emotion_perception"
"""What the names of the enclaves begin with."""

_PARAMETERS: Final = (
    "describe_parameters", "get_parameter_types", "get_parameters", "list_parameters",
    "set_parameters", "set_parameters_atomically",
)  # fmt: skip
_LIFECYCLE: Final = (
    "change_state", "get_state", "get_available_states", "get_available_transitions",
    "get_transition_graph",
)  # fmt: skip
_COMMAND_LINE: Final = "/_ros2cli_*/get_type_description"
"""A service of the nodes that `ros2 topic echo` and others make, which are named by a number."""


@dataclass(frozen=True)
class Deployment:
    """How the nodes are started, as far as the names of their topics go.

    Attributes:
        namespace: of all nodes.
        image_topic: what image_raw is remapped to, without ``/compressed``.
        camera_topics: the parameter of that name; empty for the only camera.
        compressed: whether image_transport is compressed.
        ros4hri: whether /humans/faces is published.
        sim_time: whether the nodes take their time from /clock.
    """

    namespace: str = "/"
    image_topic: str = "image_raw"
    camera_topics: tuple[str, ...] = ()
    compressed: bool = False
    ros4hri: bool = True
    sim_time: bool = False

    def images(self) -> list[str]:
        """Return the topics that the reaction node takes its images from."""
        topics = self.camera_topics or (self.image_topic,)
        return [topic + ("/compressed" if self.compressed else "") for topic in topics]

    def prefixes(self) -> list[str]:
        """Return what comes before the names of each camera's own topics."""
        return [f"{name}/" if name else "" for name in camera_names(self.camera_topics)]


@dataclass(frozen=True)
class Enclave:
    """What one process may do; names are relative, ``~/`` or absolute, as in ROS.

    Attributes:
        name: the enclave's, after PREFIX.
        node: name of its node.
        purpose: a line for the reader.
        publish, subscribe: topics.
        reply, request: services that it offers and that it calls.
        execute, call: actions that it offers and that it calls.
    """

    name: str
    node: str
    purpose: str
    publish: list[str] = field(default_factory=list)
    subscribe: list[str] = field(default_factory=list)
    reply: list[str] = field(default_factory=list)
    request: list[str] = field(default_factory=list)
    execute: list[str] = field(default_factory=list)
    call: list[str] = field(default_factory=list)


def enclaves(deployment: Deployment) -> Iterator[Enclave]:
    """Yield the enclaves of a deployment, each with what its node needs and nothing else."""
    prefixes = deployment.prefixes()
    own = [f"~/{prefix}" for prefix in prefixes]
    humans = ["tracked", "*/roi", "*/expression"] if deployment.ros4hri else []
    yield Enclave(
        "reaction_node", "reaction_node", "Judges the images.",
        publish=[
            "/diagnostics",
            "~/transition_event",
            *(f"{prefix}user_reaction" for prefix in prefixes),
            *(f"{prefix}{topic}" for prefix in own
              for topic in ("faces", "debug_image", "debug_image/compressed")),
            *(f"/humans/faces/{topic}" for topic in humans),
        ],
        subscribe=deployment.images(),
        reply=["~/load_patient_model", "~/enable", *(f"~/{name}" for name in _LIFECYCLE)],
        execute=[f"{prefix}observe_reaction" for prefix in own],
    )  # fmt: skip
    yield Enclave(
        "camera", "video_source_node", "The only one who may publish images.",
        publish=deployment.images(),
    )  # fmt: skip
    yield Enclave(
        "behaviour", "joke_behaviour", "Hears the reactions and has actions observed.",
        publish=["say"],
        subscribe=[f"{prefix}user_reaction" for prefix in prefixes],
        call=[f"reaction_node/{prefix}observe_reaction" for prefix in prefixes],
    )  # fmt: skip
    yield Enclave(
        "monitor", "monitor", "Sees how the nodes are, and nothing of the person.",
        subscribe=["/diagnostics", "/rosout", "reaction_node/transition_event"],
        reply=[_COMMAND_LINE],
        request=["reaction_node/get_state"],
    )  # fmt: skip
    yield Enclave(
        "operator", "operator",
        "Starts, stops and sets the reaction node, and says who is before it.",
        subscribe=["/diagnostics", "/rosout", "reaction_node/transition_event"],
        reply=[_COMMAND_LINE],
        request=[
            f"reaction_node/{name}"
            for name in ("load_patient_model", "enable", *_LIFECYCLE, *_PARAMETERS)
        ],
    )  # fmt: skip


def policy_file(deployment: Deployment | None = None) -> str:
    """Return the policy as XML."""
    deployment = deployment or Deployment()
    root = ET.Element("policy", version=VERSION)
    root.append(
        ET.Comment(
            " Written by `python -m emotion_perception.nodes.policy_file`; see docs/security.md. "
        )
    )
    listed = ET.SubElement(root, "enclaves")
    for enclave in enclaves(deployment):
        element = ET.SubElement(listed, "enclave", path=f"{PREFIX}/{enclave.name}")
        # Inside: sros2 takes every child of the list for an enclave.
        element.append(ET.Comment(f" {enclave.purpose} "))
        profiles = ET.SubElement(element, "profiles")
        profile = ET.SubElement(profiles, "profile", ns=deployment.namespace, node=enclave.node)
        for kind, verb, names in _rules(enclave, deployment):
            if names:
                rule = ET.SubElement(profile, f"{kind}s", {verb: "ALLOW"})
                for name in names:
                    ET.SubElement(rule, kind).text = name
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _rules(enclave: Enclave, deployment: Deployment) -> Iterator[tuple[str, str, list[str]]]:
    """Yield what an enclave may do, with what every node does."""
    clock = ["/clock"] if deployment.sim_time else []
    yield "topic", "publish", ["/rosout", "/parameter_events", *enclave.publish]
    yield "topic", "subscribe", [*clock, *enclave.subscribe]
    own = [f"~/{name}" for name in (*_PARAMETERS, "get_type_description")]
    yield "service", "reply", [*own, *enclave.reply]
    yield "service", "request", enclave.request
    yield "action", "execute", enclave.execute
    yield "action", "call", enclave.call


def main(arguments: list[str] | None = None) -> None:
    """Print the policy of a deployment."""
    parser = argparse.ArgumentParser(description="Print the sros2 policy of a deployment.")
    parser.add_argument("--namespace", default="/", help="of all nodes, such as /robot")
    parser.add_argument("--image-topic", default="image_raw", help="what image_raw is remapped to")
    parser.add_argument(
        "--camera-topics", default="", metavar="TOPIC,...", help="as the parameter camera_topics"
    )
    parser.add_argument("--compressed", action="store_true", help="image_transport is compressed")
    parser.add_argument("--no-ros4hri", action="store_true", help="without /humans/faces")
    parser.add_argument("--sim-time", action="store_true", help="nodes have use_sim_time")
    given = parser.parse_args(arguments)
    deployment = Deployment(
        namespace="/" + given.namespace.strip("/"),
        image_topic=given.image_topic,
        camera_topics=tuple(filter(None, given.camera_topics.split(","))),
        compressed=given.compressed,
        ros4hri=not given.no_ros4hri,
        sim_time=given.sim_time,
    )
    print(policy_file(deployment), end="")


if __name__ == "__main__":
    main()

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How images travel: what Fast DDS has to be told for them, and where nobody else travels.

Its shared memory takes 0.5 MB by default, half of a 640x480 image. What does not fit is sent again
and comes ten milliseconds late, and after some thousands of images a third of them or more is lost
(rmw_fastrtps issue 789 looks like the same); `benchmarks.transports` shows both, and neither with
room for whole images. Where `ROS_AUTOMATIC_DISCOVERY_RANGE` is LOCALHOST, rmw_fastrtps takes the
0.5 MB whatever it is told.

The room is `sockets_size` alone, images go through it in pieces. `max_msg_size` would send them in
one, no faster, and Fast DDS 2.14.5 then takes an image's own bytes for its statistics where the
60th from the end is 128: it cuts them off, and that image never arrives however often it is sent.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import random
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "FASTDDS_BUILTIN_TRANSPORTS"

HD: Final = 1280 * 720 * 3
"""Bytes of an image in colour."""

DEFAULT_ROOM: Final = 500_000
"""Bytes of a message above which the default is too small."""

LARGEST_PIECE: Final = 65_500
"""Bytes of the largest piece of a message that Fast DDS counts right."""

_UNITS: Final = {"": 1, "B": 1, "KB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


def network(size: int = HD) -> str:
    """Return the transports for nodes that other machines hear too.

    They are Fast DDS's usual ones, so that nodes without this setting hear them, and are heard.
    (With LARGE_DATA only nodes that have it too would.)

    Args:
        size: of the largest image, bytes.
    """
    return f"DEFAULT?{_room(size)}"


def local(size: int = HD) -> str:
    """Return shared memory alone: nothing leaves the machine, not even announcements."""
    return f"SHM?{_room(size)}"


def _room(size: int) -> str:
    return f"sockets_size={math.ceil(1.05 * size / 1e6)}MB"  # a little more than the image


def local_variables(size: int = HD, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that keep ROS nodes to this machine, with room for images.

    Args:
        size: of the largest image, bytes.
        environment: tells which middleware is used.
    """
    if is_fast_dds(environment):
        return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", VARIABLE: local(size)}
    return {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def advice(size: int, environment: Mapping[str, str] = os.environ) -> str:
    """Say what to set so that images of this size arrive in time and whole; empty if nothing.

    Args:
        size: of an image, bytes.
        environment: of this process.
    """
    if not is_fast_dds(environment):
        return ""
    if {"FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"} & environment.keys():
        return ""  # whoever wrote profiles knows
    ignored = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() == "LOCALHOST"
    setting = "" if ignored else environment.get(VARIABLE, "")
    better = f"{setting.partition('?')[0] or 'DEFAULT'}?{_room(size)}"
    if size > LARGEST_PIECE and _piece(setting) > LARGEST_PIECE:
        return (
            f"{VARIABLE} has max_msg_size: with Fast DDS 2.14.5 one image of some hundreds then "
            f"never arrives; set {VARIABLE}='{better}' for the camera's node and this one"
        )
    if size <= DEFAULT_ROOM or "sockets_size" in setting or setting.startswith("UDP"):
        return ""
    what = (
        f"ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET and {VARIABLE}='{local(size)}'" if ignored
        else f"{VARIABLE}='{better}'"
    )  # fmt: skip
    return (
        f"images of {size / 1e6:.1f} MB do not fit the shared memory of Fast DDS as it is set: on "
        "one machine they come late, and after some thousands many are lost; set "
        f"{what} for the camera's node and this one (see Troubleshooting in the README)"
    )


def _piece(setting: str) -> int:
    """Return the bytes of a message that is sent in one; 0 where nothing is said of it."""
    found = re.search(r"max_msg_size=(\d+)([KMG]?B)?", setting, re.IGNORECASE)
    return int(found[1]) * _UNITS[(found[2] or "").upper()] if found else 0


def free_domain() -> int:
    """Return a ROS domain in which no participant of this machine listens, as far as can be seen.

    Up to 101, because beyond it the ports belong to Linux's outgoing connections.
    """
    domains = random.sample(range(1, 102), 101)
    return next(filter(is_free, domains), domains[0])


def is_free(domain: int) -> bool:
    """Whether nobody on this machine is seen in a ROS domain."""
    shared_by_all = 7400 + 250 * domain
    if _is_listened_to(shared_by_all):
        return False
    for offset in (0, 10, 12, 14, 16):  # and those of the first four participants
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", shared_by_all + offset))
            except OSError:
                return False
    return True


def _is_listened_to(port: int) -> bool:
    """Whether a process has a port of Fast DDS's shared memory: it then holds a lock on a file."""
    for kind in ("sl", "el"):
        with (
            contextlib.suppress(FileNotFoundError),
            Path(f"/dev/shm/fastrtps_port{port}_{kind}").open("rb") as file,
        ):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
    return False


def is_fast_dds(environment: Mapping[str, str]) -> bool:
    """Whether ROS's middleware is Fast DDS: where nothing is said too, on Jazzy and Kilted."""
    return "fastrtps" in environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")

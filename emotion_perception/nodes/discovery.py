# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Being found by the other nodes at once, where Fast DDS would take three seconds more.

Two things keep others from finding a node that has just started. Both are Fast DDS's (seen in
2.14.5, the code of 3.6.2 is the same), and pass with the announcement of every third second.

A new participant gets the lowest ports that nobody alive has. Where a process was killed, they are
those of the dead one, with new files behind them; who wrote to the dead one goes on writing to
the old files until it notices.

A participant announces itself and listens some microseconds later. The others answer at once, and
only once: an answer that is faster is lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import rclpy
from rclpy.node import Node

from emotion_perception.nodes.transports import VARIABLE, is_fast_dds

PATIENCE_S: Final = 0.2
"""A participant that has not met all others after so long is made anew; most need 0.12 s."""

TRIES: Final = 4
"""So many participants are made at most."""

LAST_ID: Final = 15
"""Highest participant id that is surely found: with LOCALHOST others ask the first 32."""

PORTS: Final = 240
"""So many ports has each domain for its participants."""

GRAPH_PORTS: Final = range(7000, 7400)
"""Those by which participants of any domain tell each other of their nodes, one each."""

SHARED_MEMORY: Final = Path("/dev/shm")


@contextlib.contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Have a participant that met the others of this machine, for the nodes made meanwhile.

    To be used between ``rclpy.init`` and the first node. It takes a tenth of a second, at most
    three quarters of a second where somebody is not to be met.

    Args:
        environment: tells which middleware and transports are used.
    """
    # By LARGE_DATA it takes some seconds to meet anybody. By SHM alone a node that joined like this
    # hung one time in thirty, inside Fast DDS.
    others = environment.get(VARIABLE, "").startswith(("LARGE_DATA", "SHM"))
    if others or not is_fast_dds(environment):
        yield
        return
    domain = rclpy.get_default_context().get_domain_id()
    node = _participant(domain)
    try:
        for _ in range(TRIES - 1):
            if _meets_all(node, domain, PATIENCE_S):
                break
            node.destroy_node()  # the participant goes with its last node
            node = _participant(domain)
        yield
    finally:
        node.destroy_node()


def _participant(domain: int) -> Node:
    """Return a node that nobody sees, and that has no topics."""
    with away_from_the_dead(domain):
        return Node(
            "_joining", use_global_arguments=False, enable_rosout=False,
            start_parameter_services=False,
        )  # fmt: skip


def _meets_all(node: Node, domain: int, seconds: float) -> bool:
    """Wait until a node knows every participant of this machine; False if that takes too long."""
    end = time.monotonic() + seconds
    while True:
        # Each participant of ROS has this, and is known with its endpoints.
        met = len(node.get_publishers_info_by_topic("ros_discovery_info", no_mangle=True))
        if met >= len(participants(domain)):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.01)


def participants(domain: int, folder: Path = SHARED_MEMORY) -> set[int]:
    """Return the ids of a domain's living participants with shared memory on this machine."""
    ids = set()
    for port, lock in _ports(domain, folder):
        if 0 <= port < PORTS and lock.exists():
            with contextlib.ExitStack() as held:
                if not _take(lock, held):
                    ids.add(port // 2)
    return ids


@contextlib.contextmanager
def away_from_the_dead(domain: int, folder: Path = SHARED_MEMORY) -> Iterator[None]:
    """Give a participant that is made meanwhile ports which nobody has had before.

    A port counts as used while its lock is held, and here all are held that have left files.
    Nothing is removed: others may still write to them. What a writer has just made for nobody is
    held too: without that 8 of 224 nodes that were killed and started again did not answer. If the
    writer lets go of it at that moment, Fast DDS waits for itself, for two seconds.

    Args:
        domain: of ROS.
        folder: of the shared memory.
    """
    with contextlib.ExitStack() as held:
        used = set()
        for port, lock in _ports(domain, folder):
            if 0 <= port < PORTS:
                used.add(port // 2)
            _take(lock, held)
        if used.issuperset(range(LAST_ID + 1)):
            held.close()  # it would get an id so high that it might not be found at all
        yield


def _ports(domain: int, folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield the ports that have files, counted from the domain's first, and their locks."""
    first = 7410 + 250 * domain  # each participant has two
    names = {path.name.removesuffix("_el") for path in folder.glob("fast*_port*")}
    for name in sorted(names):
        found = re.fullmatch(r"fast(?:rtps|dds)_port(\d+)", name)
        port = int(found[1]) if found else -1
        if 0 <= port - first < PORTS or port in GRAPH_PORTS:
            yield port - first, folder / f"{name}_el"


def _take(lock: Path, held: contextlib.ExitStack) -> bool:
    """Lock a port until a stack is closed; False if its owner lives, or it can't be told."""
    made = not lock.exists()
    try:
        file = held.enter_context(lock.open("ab" if made else "rb"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    port = lock.with_name(lock.name.removesuffix("_el"))
    held.callback(_give_back, lock, port, None if made else _number(port))
    return True


def _give_back(lock: Path, port: Path, before: int | None) -> None:
    """Remove a lock that does not belong to what is in the port's file now.

    Whoever writes there makes the file anew when it notices the death. With the lock beside it, it
    would look dead, and be replaced, unnoticed by the writer.
    """
    if before is None or _number(port) != before:
        with contextlib.suppress(OSError):
            lock.unlink()


def _number(path: Path) -> int | None:
    """Return what tells a file from another one of its name."""
    with contextlib.suppress(OSError):
        return path.stat().st_ino
    return None

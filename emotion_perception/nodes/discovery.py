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
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import rclpy
from rclpy.node import Node

from emotion_perception.nodes.transports import VARIABLE, is_fast_dds

PATIENCE_S: Final = 0.2
"""A participant that has not met all others after so long is made anew; most need 0.12 s."""

TRIES: Final = 6
"""So many participants are made at most."""

LAST_ID: Final = 15
"""Highest participant id that is surely found: with LOCALHOST others ask the first 32."""

PORTS: Final = 240
"""So many ports has each domain for its participants."""

GRAPH_PORTS: Final = range(7000, 7400)
"""Those by which participants of any domain tell each other of their nodes, one each."""

SHARED_MEMORY: Final = Path("/dev/shm")
UDP_SOCKETS: Final = Path("/proc/net/udp")


@contextlib.contextmanager
def joined(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Have a participant that met the others of this machine, for the nodes made meanwhile.

    To be used between ``rclpy.init`` and the first node. It takes a tenth of a second, at most a
    second and a quarter where somebody is not to be met.

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


def participants(domain: int, sockets: Path = UDP_SOCKETS) -> set[int]:
    """Return the ids of a domain's participants on this machine.

    Args:
        domain: of ROS.
        sockets: what the kernel says of the UDP sockets; each participant has one to be met by.
    """
    first = _first_port(domain)
    with contextlib.suppress(OSError):
        lines = sockets.read_text(encoding="ascii").splitlines()[1:]
        ports = {int(line.split()[1].rpartition(":")[2], 16) - first for line in lines}
        return {port // 2 for port in ports if 0 <= port < PORTS and port % 2 == 0}
    return set()


@contextlib.contextmanager
def away_from_the_dead(domain: int, folder: Path = SHARED_MEMORY) -> Iterator[None]:
    """Give a participant that is made meanwhile no port whose old files others still write to.

    A port counts as used while its lock is held, and here those are held whose owner is dead, and
    which somebody has open. Nothing is removed.

    Args:
        domain: of ROS.
        folder: of the shared memory.
    """
    with contextlib.ExitStack() as held:
        used = set()
        for port, lock in _ports(domain, folder):
            # Where nobody has it open Fast DDS makes it anew, and rightly so.
            if _is_open(_file(lock)):
                _take(lock, held)
                used.add(port // 2)
        if used.issuperset(range(LAST_ID + 1)):
            held.close()  # it would get an id so high that it might not be found at all
        yield


def _first_port(domain: int) -> int:
    return 7410 + 250 * domain  # each participant has two


def _ports(domain: int, folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield the ports that have or had an owner, counted from the domain's first; their locks.

    Those without a lock are writers' own, made and removed from one message to the next: to hold
    them has Fast DDS wait for itself for two seconds.
    """
    first = _first_port(domain)
    for lock in sorted(folder.glob("fast*_port*_el")):
        found = re.fullmatch(r"fast(?:rtps|dds)_port(\d+)_el", lock.name)
        port = int(found[1]) if found else -1
        if 0 <= port - first < PORTS or port in GRAPH_PORTS:
            yield port - first, lock


def _take(lock: Path, held: contextlib.ExitStack) -> None:
    """Lock a port until a stack is closed, unless its owner lives."""
    with contextlib.suppress(OSError):
        file = held.enter_context(lock.open("rb"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.callback(_give_back, lock, _number(_file(lock)))


def _file(lock: Path) -> Path:
    """Return a port's file."""
    return lock.with_name(lock.name.removesuffix("_el"))


def _is_open(path: Path) -> bool:
    """Whether a process of this machine has a file open to write, or it can't be told."""
    try:
        with path.open("rb") as file:
            # A lease is for files that nobody has open, mapped ones too. Who opens it meanwhile
            # waits and has this process sent a signal: one that does nothing.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _give_back(lock: Path, before: int | None) -> None:
    """Remove a lock that does not belong to what is in the port's file now.

    Whoever writes there makes the file anew when it notices the death. With the lock beside it, it
    would look dead, and be replaced, unnoticed by the writer.
    """
    if _number(_file(lock)) != before:
        with contextlib.suppress(OSError):
            lock.unlink()


def _number(path: Path) -> int | None:
    """Return what tells a file from another one of its name."""
    with contextlib.suppress(OSError):
        return path.stat().st_ino
    return None

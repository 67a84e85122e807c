# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Nodes that start are found by the others, after a death too."""

import fcntl
import subprocess
import sys

import pytest

from emotion_perception.nodes.transports import VARIABLE

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from emotion_perception.nodes import discovery
from emotion_perception.nodes.discovery import away_from_the_dead, joined, participants

DOMAIN = 3
FIRST = 7410 + 250 * DOMAIN

PEER = """
import rclpy
import std_msgs.msg
rclpy.init()
node = rclpy.create_node("peer")
node.create_publisher(std_msgs.msg.String, "peer", 1)
print("here", flush=True)
rclpy.spin(node)
"""


@pytest.fixture
def port(tmp_path):
    """Make the files of a port; a living one's lock is held until the test ends."""
    held = []

    def make(number, living=False, maker="fastrtps"):
        lock = tmp_path / f"{maker}_port{number}_el"
        for path in (lock, tmp_path / f"{maker}_port{number}"):
            path.touch()
        if living:
            held.append(lock.open("rb"))
            fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)

    yield make
    for file in held:
        file.close()


def is_taken(lock):
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def names(folder):
    return {path.name for path in folder.iterdir()}


def locks(folder):
    return list(folder.glob("*_el"))


def test_ports_that_have_left_files_count_as_used(port, tmp_path):
    port(FIRST, living=True)
    for number in (FIRST + 1, 7002):
        port(number)
    port(FIRST + 3, maker="fastdds")
    left = tmp_path / f"fastrtps_port{FIRST + 4}"  # its owner said good-bye, others have it open
    left.touch()
    for number in (FIRST + 240, FIRST - 1, 6999):  # of another domain, and somebody else's
        port(number)
    for name in ("fastrtps_0123456789abcdef_el", "fastrtps_portfolio_el", "fastrtps_port_el"):
        (tmp_path / name).touch()
    held = {f"fastrtps_port{n}_el" for n in (FIRST, FIRST + 1, FIRST + 4, 7002)}
    held.add(f"fastdds_port{FIRST + 3}_el")
    before = names(tmp_path)
    with away_from_the_dead(DOMAIN, tmp_path):
        assert {path.name for path in locks(tmp_path) if is_taken(path)} == held
    assert names(tmp_path) == before
    assert [path.name for path in locks(tmp_path) if is_taken(path)] == [f"fastrtps_port{FIRST}_el"]


def test_a_file_that_is_made_anew_meanwhile_does_not_look_dead(port, tmp_path):
    for number in (FIRST, FIRST + 2):
        port(number)
    anew = tmp_path / f"fastrtps_port{FIRST}"
    with away_from_the_dead(DOMAIN, tmp_path):
        (tmp_path / "new").touch()
        (tmp_path / "new").rename(anew)
    assert [path.name for path in locks(tmp_path)] == [f"fastrtps_port{FIRST + 2}_el"]
    assert anew.exists()


def test_so_many_that_nobody_would_be_found_above_them(port, tmp_path):
    for number in range(discovery.LAST_ID):
        port(FIRST + 2 * number)
    with away_from_the_dead(DOMAIN, tmp_path):
        assert all(map(is_taken, locks(tmp_path)))
    port(FIRST + 2 * discovery.LAST_ID)
    with away_from_the_dead(DOMAIN, tmp_path):
        assert not any(map(is_taken, locks(tmp_path)))


def test_an_error_meanwhile_lets_the_ports_go(port, tmp_path):
    port(FIRST)
    with pytest.raises(ValueError, match="no node"), away_from_the_dead(DOMAIN, tmp_path):
        raise ValueError("no node")
    assert not any(map(is_taken, locks(tmp_path)))


def test_the_living_are_counted_by_id(port, tmp_path):
    for number in (0, 1, 7):
        port(FIRST + number, living=True)
    port(FIRST + 2)
    (tmp_path / f"fastrtps_port{FIRST + 8}").touch()
    port(FIRST + 240, living=True)
    port(7001, living=True)
    before = names(tmp_path)
    assert participants(DOMAIN, tmp_path) == {0, 3}
    assert names(tmp_path) == before
    assert participants(DOMAIN, tmp_path / "nowhere") == set()


@pytest.fixture
def ros(domain_id, monkeypatch):
    """The default context on a domain with Fast DDS's shared memory; its number."""
    if "fastrtps" not in rclpy.get_rmw_implementation_identifier():
        pytest.skip("another middleware")
    monkeypatch.setenv(VARIABLE, "DEFAULT?sockets_size=1MB")
    rclpy.init()
    yield domain_id
    rclpy.try_shutdown()


@pytest.fixture
def peer(ros):
    """A node in a process of its own."""
    process = subprocess.Popen([sys.executable, "-c", PEER], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "here\n"
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def made(monkeypatch):
    """The participants that are made to join."""
    found, real = [], discovery._participant
    monkeypatch.setattr(
        discovery, "_participant", lambda *given: found.append(real(*given)) or found[-1]
    )
    return found


def test_nodes_join_and_find_the_others(ros, peer, spin_until):
    assert len(participants(ros)) == 1
    with joined():
        node = rclpy.create_node("late")
    assert len(participants(ros)) == 2  # one of a process
    spin_until(node, lambda: node.count_publishers("/peer") == 1)
    spin_until(node, lambda: set(node.get_node_names()) == {"late", "peer"})
    node.destroy_node()
    assert len(participants(ros)) == 1


def test_whoever_meets_everybody_is_kept(ros, made):
    with joined():
        assert len(made) == len(participants(ros)) == 1  # nobody else is there


def test_somebody_who_is_never_met_is_not_waited_for(ros, made, monkeypatch):
    real = discovery.participants
    monkeypatch.setattr(discovery, "participants", lambda domain: real(domain) | {9})
    with joined():
        assert len(made) == discovery.TRIES
        assert len(real(ros)) == 1  # the others are gone
        node = rclpy.create_node("alone")
    assert node.get_node_names() == ["alone"]
    node.destroy_node()


def test_after_a_death_other_ports_are_taken(ros, peer):
    (its,) = participants(ros)
    peer.kill()
    peer.wait()
    assert participants(ros) == set()
    with joined():
        node = rclpy.create_node("next")
    (own,) = participants(ros)
    assert own != its
    node.destroy_node()


@pytest.mark.parametrize(
    "environment",
    [
        {VARIABLE: "LARGE_DATA?sockets_size=1MB"},
        {VARIABLE: "SHM"},
        {"RMW_IMPLEMENTATION": "rmw_zenoh_cpp"},
    ],
)
def test_where_it_does_not_help_nothing_is_done(ros, made, environment):
    with joined(environment):
        assert not made

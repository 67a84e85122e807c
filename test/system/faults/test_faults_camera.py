# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What goes wrong with the camera: whoever keeps the last answer never takes it for today's."""

import time

import pytest
from rig import judged, looked, not_looked, wait

from emotion_perception.msg import UserReaction


def smile_seen(rig, moment=0.0, seconds=30.0):
    return rig.first(moment, judged, seconds)


def stamp_of(message):
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def test_a_camera_that_dies_and_returns(rig, record_property):
    camera = rig.camera()
    rig.node()
    smile_seen(rig)
    died = time.monotonic()
    camera.kill()
    until_told = rig.first(died, not_looked, 3.0)
    record_property("camera dead: s until NOT_LOOKED", round(until_told, 2))
    # Nothing but that for as long as it is dead, and once a second.
    time.sleep(2.5)
    silence = [m for at, m in rig.after(died + until_told - 1e-3)]
    assert all(map(not_looked, silence))
    assert 2 <= len(silence) <= 5
    assert all(m.reaction == UserReaction.UNKNOWN and m.confidence == 0 for m in silence)
    stamps = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in silence]
    assert stamps == sorted(stamps)
    assert abs(stamps[-1] - time.time()) < 3.0
    back = time.monotonic()
    rig.camera()
    until_judged = smile_seen(rig, back)
    record_property("camera back (its start included): s until a reaction", round(until_judged, 2))


def test_before_the_first_image_there_is_nothing_to_take_back(rig):
    rig.node()
    assert wait(lambda: rig.statuses and rig.value("state") == "active", 20.0)
    time.sleep(2.0)
    assert rig.heard == []


def test_a_slow_camera_is_not_silence(rig):
    rig.camera(rate=1.0)
    rig.node()
    smile_seen(rig)
    time.sleep(6.0)  # its pauses tell how slow it is
    begin = time.monotonic()
    time.sleep(5.5)
    told = [m for _, m in rig.after(begin)]
    assert 4 <= len(told) <= 7
    assert all(map(looked, told))


def test_a_slow_pace_of_answers_is_not_silence_and_does_not_hide_it(rig):
    camera = rig.camera()
    rig.node("max_rate:=1.0")
    smile_seen(rig)
    begin = time.monotonic()
    time.sleep(5.5)
    told = [m for _, m in rig.after(begin)]
    assert 4 <= len(told) <= 7
    assert all(map(looked, told))
    camera.kill()
    # The images came at 30 Hz: nobody waits for two and a half seconds of them.
    assert rig.first(time.monotonic(), not_looked, 5.0) < 2.0


def test_bursts_at_120_hz_leave_nothing_waiting(rig, record_property):
    camera = rig.camera(rate=120.0)
    rig.node()
    smile_seen(rig)
    camera.tell(burst=60)
    time.sleep(2.0)
    camera.tell(burst=120)
    time.sleep(0.3)
    wall, changed = time.time(), time.monotonic()
    camera.tell(show="nobody")
    # The newest frame counts: what was sent before does not have to be worked off.
    until = rig.first(changed, lambda m: m.reason == UserReaction.REASON_NO_FACE, 10.0)
    record_property("120 Hz with bursts of 120: s until a face that left is told", round(until, 2))
    time.sleep(1.0)
    old = [m for _, m in rig.after(changed) if stamp_of(m) < wall]
    record_property("the same: answers about what was before", len(old))
    assert len(old) <= 10
    stamps = [stamp_of(m) for _, m in rig.after(0.0)]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    "change",
    [{"size": [320, 240]}, {"size": [1280, 720]}, {"encoding": "rgb8"}, {"encoding": "mono8"},
     {"encoding": "bgra8", "size": [800, 600]}],
    ids=lambda change: " ".join(str(value) for value in change.values()),
)  # fmt: skip
def test_another_size_or_encoding_in_mid_stream(rig, change, record_property):
    camera = rig.camera()
    rig.node()
    smile_seen(rig)
    before = rig.after(0.0)[-1][1].roi.width / 640
    camera.tell(**change)
    changed = time.monotonic()
    width = change.get("size", [640])[0]
    # The face has its share of the new width: the frames of the new kind are judged.
    seconds = rig.first(
        changed + 0.2, lambda m: judged(m) and abs(m.roi.width / width - before) < 0.1, 10.0
    )
    record_property(f"{change}: s until a reaction", round(seconds + 0.2, 2))
    told = len(rig.statuses)
    assert wait(lambda: len(rig.statuses) >= told + 2)  # the first may be of before
    assert rig.value("bad images") == "0"


@pytest.mark.parametrize("broken", ["step", "size", "encoding", "empty"])
def test_images_that_cannot_be_read(rig, broken, record_property):
    camera = rig.camera()
    node = rig.node()
    smile_seen(rig)
    camera.tell(broken=broken)
    began = time.monotonic()
    record_property(f"{broken}: s until NOT_LOOKED", round(rig.first(began, not_looked, 5.0), 2))
    assert wait(lambda: int(rig.value("bad images")) > 10)
    assert node.said("image skipped")
    camera.tell(broken=None)
    mended = time.monotonic()
    record_property(f"{broken} mended: s until a reaction", round(smile_seen(rig, mended), 2))


@pytest.mark.parametrize("offset", [3600.0, -3600.0, None], ids=["ahead", "back", "zero"])
def test_the_cameras_clock_jumps(rig, offset, record_property):
    camera = rig.camera()
    rig.node()
    smile_seen(rig)
    camera.tell(offset=offset)
    jumped = time.monotonic()
    expected = 0.0 if offset is None else time.time() + offset

    def of_new_clock(message):
        return judged(message) and abs(message.header.stamp.sec - expected) < 60

    record_property(f"jump {offset}: s until a reaction", round(rig.first(jumped, of_new_clock), 2))
    camera.tell(offset=0.0)
    again = time.monotonic()
    expected = time.time()
    rig.first(again, of_new_clock)
    # Silence speaks the camera's time.
    camera.tell(offset=-3600.0)
    rig.first(time.monotonic(), lambda m: m.header.stamp.sec < time.time() - 3000)
    camera.kill()
    died = time.monotonic()
    rig.first(died, not_looked)
    last = next(m for at, m in rig.after(died) if not_looked(m))
    assert abs(last.header.stamp.sec - (time.time() - 3600)) < 10


@pytest.mark.parametrize("stamp", [-5, 2**31 - 1], ids=["before time", "end of time"])
def test_stamps_that_no_clock_has(rig, stamp):
    camera = rig.camera()
    node = rig.node()
    smile_seen(rig)
    camera.tell(stamp=stamp)
    rig.first(time.monotonic() + 0.5, judged, 10.0)
    camera.kill()
    rig.first(time.monotonic(), not_looked)
    time.sleep(1.5)
    assert node.code is None
    rig.camera()
    smile_seen(rig, time.monotonic())

# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import shutil

import numpy as np
import pytest

pytest.importorskip("av", reason="pip install '.[sessions]'")
pytest.importorskip("pyarrow")
pygame = pytest.importorskip("pygame", reason="pip install '.[display]'")

from videos import number_in, write_video

from emotion_perception.sessions.overlay import Look
from emotion_perception.sessions.playback import open_playback
from emotion_perception.sessions.player import PlayClock, Player, fitted
from emotion_perception.window import Window, WindowError

PLAN = [(2, "neutral"), (2, "positive"), (4, "neutral"), (2, "negative"), (2, "neutral")]
FRAMES = 300


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("v") / "v.mp4", np.arange(FRAMES) / 25, gop=60)


@pytest.fixture
def player(video, make_session, tmp_path, monkeypatch, clock):
    """A session of 12 s in a real window of SDL's that needs no screen."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    make_session(PLAN, name="play", noise=0.01)
    shutil.copy(video, tmp_path / "play.mp4")
    playback = open_playback(tmp_path / "play.mp4")
    window = Window("test")
    made = Player(playback, window, Look(), clock=clock)
    pygame.event.clear()
    yield made
    window.close()
    playback.frames.close()


def press(*names, mod=0):
    for name in names:
        key = getattr(pygame, f"K_{name}")
        text = {"PLUS": "+", "MINUS": "-"}.get(name, "")
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, mod=mod, unicode=text))


def shown():
    """Return what is on the screen as uint8 BGR (H, W, 3)."""
    rgb = pygame.surfarray.array3d(pygame.display.get_surface())
    return rgb.transpose(1, 0, 2)[:, :, ::-1]


def number(player):
    assert player.turn()
    assert number_in(shown()) == player.frame.index
    return player.frame.index


def test_it_plays_by_the_clock_and_never_lags(player, clock):
    assert number(player) == 0
    for passed, expected in ((0.04, 1), (0.0, 1), (0.36, 10), (1.9, 57), (0.01, 57), (5.0, 182)):
        clock.now += passed  # of which a slow machine may need any part for a single frame
        assert number(player) == expected
    clock.now = 100 + 12 * 60 * 60
    assert number(player) == FRAMES - 1
    assert not player.clock.playing


def test_it_waits_for_the_next_frame_and_not_longer(player, clock):
    number(player)
    clock.now += 0.03
    number(player)
    assert player.wait() == pytest.approx(0.01, abs=1e-6)
    press("SPACE")
    number(player)
    assert 0 < player.wait() <= 0.05


def test_space_pauses_and_goes_on(player, clock):
    clock.now += 1.0
    assert number(player) == 25
    press("SPACE")
    assert number(player) == 25
    clock.now += 3.0
    assert number(player) == 25
    press("SPACE")
    number(player)
    clock.now += 0.2
    assert number(player) == 30
    press("END")
    number(player)
    press("SPACE")  # from the end: once more from the beginning
    assert number(player) == 0


@pytest.mark.parametrize(
    ("keys", "mod", "expected"),
    [
        (["RIGHT"], 0, 225),
        (["LEFT"], 0, 0),
        (["LEFT", "RIGHT"], 0, 125),
        (["RIGHT", "RIGHT", "RIGHT"], 0, FRAMES - 1),
        (["RIGHT"], pygame.KMOD_LSHIFT, 101),
        (["LEFT", "LEFT"], pygame.KMOD_RSHIFT, 98),
        (["PERIOD", "PERIOD", "PERIOD"], 0, 103),
        (["COMMA"], 0, 99),
        (["COMMA"] * 20, 0, 80),
        (["COMMA", "PERIOD"], 0, 100),
        (["HOME"], 0, 0),
        (["HOME", "COMMA"], 0, 0),
        (["END"], 0, FRAMES - 1),
        (["END", "PERIOD", "COMMA"], 0, FRAMES - 2),
    ],
)
def test_keys_that_move(player, keys, mod, expected):
    player.clock.seek(4.0)
    press("SPACE")
    assert number(player) == 100
    press(*keys, mod=mod)
    assert number(player) == expected


def test_up_and_down_go_from_event_to_event(player, clock):
    onsets = [event.onset for event in player._playback.events]
    frames = [round(onset * 25) for onset in onsets]
    assert len(onsets) == 2
    for key, expected in (
        ("UP", frames[0]), ("UP", frames[1]), ("UP", frames[1]), ("DOWN", frames[0]),
        ("DOWN", frames[0]),
    ):  # fmt: skip
        press(key)
        assert number(player) == expected
    # Down while an event goes on is to its beginning; just behind that, to the one before.
    player.clock.seek(onsets[1] + 1.0)
    press("DOWN")
    assert number(player) == frames[1]
    clock.now += 0.3
    press("DOWN")
    assert number(player) == frames[0]


def test_plus_and_minus_change_the_speed(player, clock):
    press("PLUS")
    number(player)
    clock.now += 1.0
    assert number(player) == 50
    press("MINUS", "MINUS")
    number(player)
    clock.now += 1.0
    assert number(player) == 62
    press(*["MINUS"] * 20, *["KP_PLUS"] * 30)
    number(player)
    assert player.clock.speed == 8.0


def test_a_click_on_the_strip_goes_there(player):
    press("SPACE")
    number(player)
    strip, top = player._overlay.strip, player._overlay.strip_top
    x = strip.place(6.0)
    pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=(x, top + 30)))
    assert abs(number(player) - 150) <= 1
    column = shown()[top + 30 : top + 56, x - 4 : x + 5].min(axis=(0, 2))
    assert column.max() > 200  # the cursor
    pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=(x // 2, 100)))
    assert abs(number(player) - 150) <= 1  # into the picture: nothing
    drag = pygame.event.Event(
        pygame.MOUSEMOTION, pos=(strip.place(3.0), top + 5), buttons=(1, 0, 0), rel=(0, 0)
    )
    pygame.event.post(drag)
    assert abs(number(player) - 75) <= 1


def test_h_shows_the_keys(player):
    number(player)
    before = shown()
    press("h")
    assert player.turn()
    helped = shown()
    assert helped.mean() < before.mean() / 2
    assert (helped > 200).any()
    press("h")
    number(player)
    assert (shown() == before).all()


@pytest.mark.parametrize("how", ["q", "ESCAPE", "closed"])
def test_quitting(player, how):
    assert player.turn()
    if how == "closed":
        pygame.event.post(pygame.event.Event(pygame.QUIT))
    else:
        press(how)
    assert not player.turn()


def test_it_stops_at_the_end_asked_for_and_goes_on_from_there(player, clock):
    part = Player(player._playback, player._window, Look(), start=2.0, end=3.0, clock=clock)
    assert number(part) == 50
    clock.now += 1.01
    number(part)
    assert not part.clock.playing
    press("SPACE")
    number(part)
    clock.now += 1.0
    assert number(part) == 100


def test_the_command_plays_until_q(make_session, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from emotion_perception.cli import app

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    make_session([(0.4, "positive")], name="c")
    write_video(tmp_path / "c.mp4", np.arange(10) / 25)
    pygame.display.init()
    press("END", "q")
    result = CliRunner().invoke(app, ["playback", str(tmp_path / "c.mp4"), "--start", "0:00.2"])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.mp4", "c.parquet"]


def test_without_a_screen_the_remedy_is_told(make_session, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from emotion_perception.cli import app

    make_session([(0.4, "positive")], name="c")
    write_video(tmp_path / "c.mp4", np.arange(10) / 25)
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "nonsense")
    result = CliRunner().invoke(app, ["playback", str(tmp_path / "c.mp4")])
    assert isinstance(result.exception, WindowError)
    assert str(result.exception).endswith("use --render OUT.mp4")


def test_the_clock_does_not_drift_however_it_is_asked():
    clock = Clock()
    play = PlayClock(1e6, clock)
    for _ in range(10_000):
        clock.now += 0.037
        assert play.place >= 0
    assert play.place == pytest.approx(370, abs=1e-6)


@pytest.mark.parametrize(
    ("size", "look", "expected"),
    [
        ((640, 480), Look(), (640, 480)),
        ((320, 240), Look(), (640, 480)),  # so that the letters are legible
        ((1920, 1080), Look(), (1024, 576)),  # fits on the screen, with the strip
        ((1920, 1080), Look(max_side=500), (500, 282)),
        ((320, 240), Look(scale=0.5), (160, 120)),
    ],
)
def test_pictures_fit_the_screen(size, look, expected):
    assert fitted(look, size, (1280, 768)).size(*size) == expected

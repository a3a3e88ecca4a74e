"""Runs are sent while they train, by a thread that no run waits for."""

import threading
import time

import pytest
from etils import epath

from tests.helpers import recorder
from tests.helpers.begun_work import unpacked
from tests.helpers.messages import assert_states
from trainer import config, tracking
from trainer.tracking import follow
from trainer.tracking.sender import Sender

SENT = (
    'tracking.tracker="tests.helpers.recorder:recorder"',
    'tracking.options.project="digits"',
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A run that goes on, and a tracker for it that has nothing yet."""
    monkeypatch.setattr(recorder, "OWN", recorder.Recorder())
    monkeypatch.setattr(follow, "_EVERY_SECS", 0.02)
    return unpacked("run", tmp_path)


def settings_of(place, *overrides):
    return config.load(str(place / "run.toml"), overrides)


def following(place, *overrides):
    settings = settings_of(place, *overrides)
    return tracking.following(settings, epath.Path(place / "workdir"))


def wait_for(condition):
    ended_at = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ended_at
        time.sleep(0.01)


def test_what_is_there_is_sent_meanwhile_and_the_last_at_the_end(place):
    with following(place, *SENT) as own:
        own.begin()
        own.begin()  # as a run of several commands does
        wait_for(lambda: len(recorder.OWN.runs) == 3)
        (place / "workdir" / "results.json.new").write_text("no file of a run")
        (place / "workdir" / "crossval.json").write_text("{}")
    [whole] = [x for x in recorder.OWN.runs.values() if not x.run.parent]
    assert whole.files["crossval.json"] == b"{}"
    assert "results.json.new" not in whole.files
    assert "tracking" not in [each.name for each in threading.enumerate()]


def test_nothing_is_sent_where_the_config_asks_for_none_or_nothing_has_begun(place):
    with following(place) as own:
        own.begin()
    with following(place, *SENT):
        pass
    assert recorder.OWN.num_calls == 0
    assert not (place / "workdir" / "tracking.json").exists()


def test_a_tracker_that_is_down_is_told_once_and_the_run_goes_on(place, capsys):
    recorder.OWN.is_down = True
    with following(place, *SENT) as own:
        own.begin()
        wait_for(lambda: recorder.OWN.num_calls > 2)
    [line] = capsys.readouterr().err.splitlines()
    workdir = f"--workdir={place / 'workdir'}"
    assert_states(line, "Connection refused", "python -m trainer track", workdir)
    recorder.OWN.is_down = False
    settings = settings_of(place, *SENT)
    opened = tracking.opening(settings.tracking, settings.name)
    Sender(settings, epath.Path(place / "workdir"), opened).send()
    assert len(recorder.OWN.runs) == 3


def test_a_tracker_that_comes_back_gets_what_it_missed(place):
    recorder.OWN.is_down = True
    with following(place, *SENT) as own:
        own.begin()
        wait_for(lambda: recorder.OWN.num_calls > 1)
        recorder.OWN.is_down = False
        wait_for(lambda: len(recorder.OWN.runs) == 3)


def test_a_tracker_that_hangs_does_not_hold_the_end(place, capsys, monkeypatch):
    hanging, released = threading.Event(), threading.Event()

    def hang():
        hanging.set()
        released.wait(60)

    monkeypatch.setattr(recorder.OWN, "_answer", hang)
    monkeypatch.setattr(follow, "_PATIENCE_SECS", 0.2)
    started = time.monotonic()
    with following(place, *SENT) as own:
        own.begin()
        assert hanging.wait(60)
    assert time.monotonic() - started < 50
    assert_states(capsys.readouterr().err, "0.2 s", "python -m trainer track")
    released.set()


def test_a_run_that_is_stopped_does_not_wait(place, monkeypatch):
    monkeypatch.setattr(follow, "_EVERY_SECS", 60.0)

    def stopped():
        with following(place, *SENT) as own:
            own.begin()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    wait_for(lambda: "tracking" not in [each.name for each in threading.enumerate()])
    assert recorder.OWN.num_calls == 0

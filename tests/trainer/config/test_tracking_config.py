"""What the tracking section refuses, and what it keeps."""

import pytest

from tests.helpers.configs import RUN
from tests.helpers.messages import refusal, refused
from trainer import config
from trainer.config import ConfigError

OWN = 'tracking.tracker="package.module:function"'


def load(folder, *overrides):
    file = folder / "run.toml"
    file.write_text(RUN)
    return config.load(str(file), overrides)


def mlflow(*options):
    return ('tracking.tracker="mlflow"', *(f"tracking.options.{x}" for x in options))


@pytest.mark.parametrize(
    ("overrides", "facts"),
    [
        (mlflow(), ["tracking.options.uri"]),
        (mlflow('uri=""'), ["tracking.options.uri", "''"]),
        (mlflow('uri="http://h"', "project=1"), ["tracking.options.project", "uri"]),
        (('tracking.tracker="mlfow"',), ["tracking.tracker", "'mlfow'", "'mlflow'"]),
        (('tracking.models=["pupil"]',), ["tracking.models", "'pupil'", "'student'"]),
        (
            (*mlflow('uri="http://h"', 'register_as="m"'), "tracking.models=[]"),
            ["tracking.models", "'student'", "tracking.options.register_as"],
        ),
    ],
)
def test_what_cannot_be_sent_to_is_refused(tmp_path, overrides, facts):
    with refused(ConfigError, *facts):
        load(tmp_path, *overrides)


@pytest.mark.parametrize(
    "uri", ["http://me:secret@host:5000", "postgresql://me:secret@host/runs"]
)
def test_a_password_is_neither_kept_nor_shown(tmp_path, uri):
    told = refusal(lambda: load(tmp_path, *mlflow(f'uri="{uri}"')), ConfigError)
    assert "tracking.options.uri" in told
    assert "secret" not in told


def test_a_run_is_the_same_wherever_it_is_sent(tmp_path):
    plain = config.resolve(load(tmp_path))
    sent = load(tmp_path, OWN, 'tracking.options.project="digits"')
    kept = config.resolve(sent)
    assert kept["tracking"]["options"] == {"project": "digits"}
    assert not config.differences(plain, kept)
    assert config.from_resolved(kept, (), kept_in=tmp_path) == sent
    # As earlier versions kept it.
    del plain["tracking"]
    assert config.from_resolved(plain, (), kept_in=tmp_path) == load(tmp_path)

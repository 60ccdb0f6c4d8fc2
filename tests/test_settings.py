"""Settings: one order of sources, one clear line for a wrong one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inception_loop.errors import ConfigurationError
from inception_loop.settings import Settings, s3_environment


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("INCEPTION_LOOP_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_by_default_the_store_is_a_folder_here(clean: Path) -> None:
    settings = Settings()
    assert settings.store == f"file://{clean}/.inception-loop"
    assert (settings.device, settings.threads, settings.verify_hashes) == ("cpu", 1, True)


def test_arguments_beat_the_environment_beats_dotenv_beats_toml(
    clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clean / "inception-loop.toml").write_text('threads = 2\ndevice = "toml"\nstore = "memory://toml"\n')
    (clean / ".env").write_text("INCEPTION_LOOP_THREADS=3\nINCEPTION_LOOP_DEVICE=dotenv\nAWS_PROFILE=other\n")
    monkeypatch.setenv("INCEPTION_LOOP_THREADS", "4")
    settings = Settings(lease_ttl_s=5)
    assert (settings.lease_ttl_s, settings.threads, settings.device) == (5, 4, "dotenv")
    assert settings.store == "memory://toml"
    assert Settings(threads=6).threads == 6


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        (
            "INCEPTION_LOOP_THREADS",
            "0",
            "setting 'threads' is '0': .* greater than or equal to 1; correct INCEPTION",
        ),
        ("INCEPTION_LOOP_THREADS", "many", "setting 'threads' is 'many': .* integer"),
        ("INCEPTION_LOOP_LEASE_TTL_S", "-1", "setting 'lease_ttl_s'"),
        ("INCEPTION_LOOP_PUBLIC_S3", "s3:9000", "setting 'public_s3' is 's3:9000': .*expected http://host"),
        (
            "INCEPTION_LOOP_STROE",
            "x",
            r"INCEPTION_LOOP_STROE is no setting; expected one of \['cluster', 'device',",
        ),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=text) as caught:
        Settings()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("stroe = 1", "'stroe' in inception-loop.toml is no setting"),
        ("threads = ", "inception-loop.toml is not TOML"),
        ('threads = "x"', "setting 'threads' is 'x'"),
    ],
)
def test_a_wrong_file_is_named(clean: Path, text: str, reason: str) -> None:
    (clean / "inception-loop.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        Settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().threads = 3  # type: ignore[misc]


def test_a_client_is_shared_only_while_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    before = s3_environment()
    assert "hush" not in before
    assert s3_environment() == before
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush!")
    assert s3_environment() != before

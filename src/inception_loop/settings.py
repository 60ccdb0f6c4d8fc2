"""Settings of a run: where things are kept and on what they are computed, never what is computed.

The one place that reads the environment (the ecosystem's own ``AWS_*`` variables are read by its client).
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from inception_loop.credentials import holds_credentials
from inception_loop.errors import ConfigurationError

HEARTBEATS_PER_TTL = 12
PREFIX = "INCEPTION_LOOP_"
TOML = "inception-loop.toml"
SECRET = {"notify"}
"""Settings whose values stand in no message."""
LOCAL_CLUSTER = "local:"
_ADDRESS = re.compile(r"https?://[^\s/@?#]+/?")
_CLUSTER = re.compile(r"local:[1-9][0-9]*|(tcp|tls)://[^\s/]+:[0-9]+")


class Settings(BaseSettings):
    """Everything that may differ between two machines that compute the same artifact.

    Read from, the first that has it: arguments, environment variables ``INCEPTION_LOOP_<NAME>``, ``.env``
    and ``inception-loop.toml`` in the working directory.

    Raises
    ------
    ConfigurationError
        If a value has the wrong type or is out of its bounds, or a name is not one of these.

    Examples
    --------
    >>> Settings(store="memory://notebook", threads=2).threads
    2
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_ignore_empty=True,
        toml_file=TOML,
        extra="ignore",  # .env may hold what other programs read; misspelt names of ours: see __init__
        frozen=True,
        validate_default=True,
        hide_input_in_errors=True,  # one may be a secret
    )

    store: str = Field(
        default_factory=lambda: f"file://{Path.cwd() / '.inception-loop'}",
        description="Root of the artifact store: file:///folder, s3://bucket/prefix or memory://name.",
    )
    device: str = Field(
        default="cpu", description="Torch device that trains and synthesises: cpu, cuda, cuda:1."
    )
    threads: int = Field(default=1, ge=1, description="Threads that one computation may use.")
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="Steps of one stage that run at a time; each uses `threads`.",
    )
    cluster: str = Field(
        default="",
        description="Who computes the steps: empty, threads of the run's process; local:4, as many processes "
        "of its own; tcp://host:8786 or tls://host:8786, the workers of a Dask scheduler.",
    )
    verify_hashes: bool = Field(
        default=True,
        description="Check the SHA-256 of every payload that is loaded; sizes are always checked.",
    )
    lease_ttl_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds without a heartbeat after which another worker takes a computation over.",
    )
    public_s3: str = Field(
        default="",
        description="Address of the S3 server as browsers reach it, which links are signed for: "
        "http://host:9000; empty: that of AWS_ENDPOINT_URL.",
    )
    notify: SecretStr = Field(
        default=SecretStr(""),
        description="Addresses of web hooks that are told how a run ended, divided by blanks; secret.",
    )

    @field_validator("public_s3")
    @classmethod
    def _known_address(cls, value: str) -> str:
        if value and not _ADDRESS.fullmatch(value):
            raise ValueError("expected http://host, https://host, with or without a port, or nothing")
        return value.rstrip("/")

    @field_validator("store", "device", "cluster")
    @classmethod
    def _without_credentials(cls, value: str) -> str:
        if holds_credentials(value):
            raise ValueError("it holds credentials; expected none in it")
        return value

    @field_validator("cluster")
    @classmethod
    def _known_cluster(cls, value: str) -> str:
        if value and not _CLUSTER.fullmatch(value):
            raise ValueError("expected local:N with N ≥ 1, tcp://host:port or tls://host:port, or nothing")
        return value

    def __init__(self, **values: Any) -> None:
        try:
            _refuse_unknown(set(type(self).model_fields))
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            hidden = name in SECRET or holds_credentials(str(first["input"]))
            shown = "not shown" if hidden else repr(first["input"])
            raise ConfigurationError(
                f"setting '{name}' is {shown}: {first['msg']}; "
                f"correct {PREFIX}{name.upper()} or the entry in {TOML}"
            ) from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(
                f"{TOML} is not TOML: {error}; expected lines like threads = 2"
            ) from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the TOML file last."""
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)


def s3_environment() -> str:
    """Return a fingerprint of the ``AWS_*`` variables: as long as it stays, a client may be shared."""
    variables = sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_"))
    return hashlib.sha256(repr(variables).encode()).hexdigest()


def _refuse_unknown(known: set[str]) -> None:
    """Refuse names that look like settings but are none: a misspelt one would silently change nothing."""
    given = {name: name.removeprefix(PREFIX).lower() for name in os.environ if name.startswith(PREFIX)}
    if Path(TOML).is_file():
        given |= {
            f"'{name}' in {TOML}": name for name in tomllib.loads(Path(TOML).read_text(encoding="utf-8"))
        }
    for where, name in given.items():
        if name not in known:
            raise ConfigurationError(
                f"{where} is no setting; expected one of {sorted(known)}; correct its name"
            )

"""Settings of a run: where things are kept and on what they are computed, never what is computed.

The one place that reads the environment (the ecosystem's own ``AWS_*`` variables are read by its client).
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from inception_loop.errors import ConfigurationError

HEARTBEATS_PER_TTL = 12


class Settings(BaseSettings):
    """Everything that may differ between two machines that compute the same artifact.

    Read from, the first that has it: arguments, environment variables ``INCEPTION_LOOP_<NAME>``, ``.env``
    and ``inception-loop.toml`` in the working directory.

    Examples
    --------
    >>> Settings(store="memory://notebook", threads=2).threads
    2
    """

    model_config = SettingsConfigDict(
        env_prefix="INCEPTION_LOOP_",
        env_file=".env",
        env_ignore_empty=True,
        toml_file="inception-loop.toml",
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    store: str = Field(
        default_factory=lambda: (Path.cwd() / ".inception-loop").as_uri(),
        description="Root of the artifact store: file:///folder, s3://bucket/prefix or memory://name.",
    )
    device: str = Field(
        default="cpu", description="Torch device that trains and synthesises: cpu, cuda, cuda:1."
    )
    threads: int = Field(default=1, ge=1, description="Threads that one computation may use.")
    verify_hashes: bool = Field(
        default=True,
        description="Check the SHA-256 of every payload that is loaded; sizes are always checked.",
    )
    lease_ttl_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds without a heartbeat after which another worker takes a computation over.",
    )

    @property
    def heartbeat_s(self) -> float:
        """Seconds between two heartbeats of a lease: a twelfth of its time to live."""
        return self.lease_ttl_s / HEARTBEATS_PER_TTL

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


def load_settings(**overrides: object) -> Settings:
    """Read the settings; a wrong one is a single clear line.

    Raises
    ------
    ConfigurationError
        If a value has the wrong type or is out of its bounds.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"setting '{name}' is {first.get('input')!r}: {first['msg']}; "
            f"correct INCEPTION_LOOP_{name.upper()} or the entry in inception-loop.toml"
        ) from error

"""What flows pass around: the name and address of an artifact, never its content."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from inception_loop.artifacts.forms import as_form


class ArtifactRef(BaseModel):
    """A reference to one artifact of one store.

    Examples
    --------
    >>> ref = ArtifactRef(kind="frame", digest="0" * 64, uri="memory://s/frame/" + "0" * 64)
    >>> str(ref)
    'frame/000000000000'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=as_form)

    kind: str = Field(description="The artifact kind in snake_case.")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the question it answers.")
    uri: str = Field(description="The folder that holds its manifest.")

    def __str__(self) -> str:
        return f"{self.kind}/{self.digest[:12]}"

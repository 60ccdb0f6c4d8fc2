"""References to artifacts in parameters: given whole, or by name as a person writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.errors import ArtifactNotFoundError

Meant = Callable[[str], ArtifactRef]
"""Returns the one artifact that a name means; `inception_loop.artifacts.listing.resolve` of a store."""

FAULT = "reference"
"""Type of the fault of a reference that means no artifact, several, or one of another kind."""

_looked_up: ContextVar[Meant | None] = ContextVar("looked_up", default=None)


@contextmanager
def looked_up(meant: Meant) -> Iterator[None]:
    """Resolve names in whatever is validated meanwhile, where a validation context cannot be given."""
    token = _looked_up.set(meant)
    try:
        yield
    finally:
        _looked_up.reset(token)


@dataclass(frozen=True)
class Of:
    """Annotates a reference: its artifact is of this kind, and it may be a name where names are resolved.

    Names (``static_multi_dataset/0123abcd``) are resolved by the `Meant` in the validation context
    (``{"meant": …}``) or that of `looked_up`; without one only whole references are valid.

    Examples
    --------
    >>> from typing import Annotated
    >>> from pydantic import TypeAdapter
    >>> frame = TypeAdapter(Annotated[ArtifactRef, Of("frame")])
    >>> ref = ArtifactRef(kind="frame", digest="0" * 64, uri="memory://x/frame/" + "0" * 64)
    >>> frame.validate_python("frame/0000", context={"meant": lambda name: ref}) == ref
    True
    """

    kind: str | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wrap the validation of the reference."""
        return core_schema.with_info_wrap_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Offer the name first: a form has a line for it."""
        kind = self.kind or "kind"
        name = {
            "type": "string",
            "title": "name",
            "description": f"{kind}/ and the beginning of a digest, as `store ls` prints them.",
            "pattern": f"^{self.kind or '[a-z_0-9]+'}/[0-9a-f]+$",
            "examples": [f"{kind}/0123abcd"],
        }
        return {"anyOf": [name, handler(schema)]}

    def _read(self, value: Any, whole: ValidatorFunctionWrapHandler, info: ValidationInfo) -> ArtifactRef:
        meant: Meant | None = (info.context or {}).get("meant") or _looked_up.get()
        if isinstance(value, str) and meant is not None:
            value = self._named(value, meant)
        ref: ArtifactRef = whole(value)
        if self.kind is not None and ref.kind != self.kind:
            raise _fault(f"expected a {self.kind}, got a {ref.kind} ({ref})")
        return ref

    def _named(self, name: str, meant: Meant) -> ArtifactRef:
        try:
            return meant(name)
        except ArtifactNotFoundError as error:
            what = str(error)
        raise _fault(what)


def _fault(what: str) -> PydanticCustomError:
    return PydanticCustomError(FAULT, "{what}", {"what": what})

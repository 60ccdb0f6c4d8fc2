"""Parameters as a form, a schedule or an automation gives them: artifacts by name, faults in one line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from flows._stage import configured_store
from inception_loop.artifacts.listing import resolve
from inception_loop.credentials import holds_credentials, refuse_credentials
from inception_loop.errors import ConfigurationError
from inception_loop.faults import in_words
from inception_loop.references import looked_up

P = TypeVar("P")


def _read(values: Any, whole: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(values, Mapping):
        return whole(values)
    try:
        refuse_credentials(values)
        with looked_up(lambda name: resolve(configured_store(), name)):
            return whole(values)
    except ConfigurationError as error:
        raise PydanticCustomError("asked", "{what}", {"what": str(error)}) from error
    except ValidationError as error:
        what = in_words(error, values=values).removeprefix(f"{error.title}: ")
        raise PydanticCustomError("asked", "{what}", {"what": what}) from error


Asked = Annotated[P, WrapValidator(_read)]
"""The parameters of a flow that is deployed."""


def _without_credentials(record: logging.LogRecord) -> bool:
    """Keep an address with a key out of the log line in which Prefect repeats parameters that it refuses."""
    if holds_credentials(record.getMessage()):
        record.msg, record.args = "Parameters that hold credentials were refused.", ()
    return True


logging.getLogger("prefect.flows").addFilter(_without_credentials)

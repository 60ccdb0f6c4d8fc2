"""Every error of the project is a builtin, too, and one line."""

import copy

import pytest

from inception_loop import errors
from inception_loop.errors import DataError, Refusal, RefusedUnitsError

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, Exception) and kind is not RefusedUnitsError
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_is_one_line_whatever_it_names(kind) -> None:
    assert str(kind("file 'a\nb\u2028c' is bad; remove it")) == "file 'a b c' is bad; remove it"


def test_refusals_of_several_batches_name_every_unit_once_beside_its_reason() -> None:
    flat, dark = Refusal("flat", {"a/1": "", "a/2": "0"}, "expected more"), Refusal("dark", {"a/2": ""}, "no")
    refused = RefusedUnitsError(flat, dark, flat._replace(units={"b\n/1": ""}))
    assert isinstance(refused, DataError)
    assert str(refused) == "flat: a/1, a/2 (0), b /1; expected more; and dark: a/2; no"
    assert refused.units == ("a/1", "a/2", "b\n/1")
    assert str(copy.copy(refused)) == str(refused)  # as it is when it leaves its process

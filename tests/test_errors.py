"""Every error of the project is a builtin, too, and one line."""

import pytest

from inception_loop import errors


@pytest.mark.parametrize(
    "kind", [kind for kind in vars(errors).values() if isinstance(kind, type)], ids=lambda kind: kind.__name__
)
def test_an_error_is_one_line_whatever_it_names(kind) -> None:
    assert str(kind("file 'a\nb\u2028c' is bad; remove it")) == "file 'a b c' is bad; remove it"

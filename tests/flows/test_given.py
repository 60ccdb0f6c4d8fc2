"""What a file says and what is set beside it come together; what is neither is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.given import given
from inception_loop.errors import ConfigurationError


def test_what_is_set_goes_over_what_the_file_says_and_leaves_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "mei.toml"
    file.write_text("seed = 1\n[rules]\nleave_out = [3]\nname = 'kept'\n")
    changes = ["seed = 2", "rules.leave_out=[5, 7]", "dataset=dataset/0123abcd", "a.b.c=true"]
    assert given("mei", file, changes) == {
        "seed": 2,
        "rules": {"leave_out": [5, 7], "name": "kept"},
        "dataset": "dataset/0123abcd",
        "a": {"b": {"c": True}},
    }


@pytest.mark.parametrize(
    ("text", "changes", "said"),
    [
        (None, None, "run mei got no --config"),
        ("seed = ", None, "is no TOML"),
        ("seed = 1", ["seed"], "expected KEY=VALUE"),
        ("seed = 1", ["seed.of=2"], "seed is 1; expected a table, with of in it"),
        ("a" + "[" * 9_000, None, "is no TOML"),
    ],
)
def test_what_is_no_parameter_is_refused(text, changes, said, tmp_path: Path) -> None:
    file = None if text is None else tmp_path / "mei.toml"
    if file is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        given("mei", file, changes)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*gone\.toml: No such file"):
        given("mei", tmp_path / "gone.toml", None)

"""Digests: frozen for ever, equal for equal questions, different for different ones."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.artifacts.identity import Config, IntroducedAs, canonical, canonical_json, digest
from inception_loop.errors import ConfigurationError

scalars = (
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


class Colour(Enum):
    RED = "red"


class Core(Config):
    type: Literal["core"] = "core"
    channels: int = 32
    kernels: tuple[int, ...] = (15, 7)


class Train(Config):
    core: Core = Core()
    rate: float = 0.005
    seed: int


class TrainLater(Config):
    """The same configuration after a year: an option was added, a default was changed."""

    core: Core = Core()
    rate: Annotated[float, IntroducedAs(0.005)] = 0.001
    seed: int
    warm_up: int = 0
    colour: Colour = Colour.RED


class TestFrozen:
    """Changing one of these orphans every artifact that anybody has: never do."""

    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            (("static_scan", 1, {}, {}), "3e027c1c2d1bc1088085bcdc0e78ae7bfc4948dd7ffa1d76642bec1013057402"),
            (("static_scan", 2, {}, {}), "066af3c33dd3ea2ce2367274344b659fb35fb5601b1fa899da15d15b4cb16a53"),
            (
                ("model", 1, Train(seed=1), {"dataset": ["a" * 64]}),
                "11d88ce775bebf35f218ceea83ee9203139ccb210601c016c3068bac3481a87c",
            ),
            (
                ("model", 1, Train(seed=1, rate=0.01), {"dataset": ["a" * 64]}),
                "dacda8bff0415a0d1357073a7c9596da55db4f7c6e43dd1a93845ae52f429f59",
            ),
            (
                ("model", 1, Train(seed=1, core=Core(kernels=(9,))), {"dataset": ["a" * 64, "b" * 64]}),
                "413031a2e093cf4bda1aa846dba5ad77f7e63adf68f3256629d6cc08cfd6cd78",
            ),
            (
                ("mei", 3, {"größe": [1.5, -0.0, 1e-7, 10**20, True, None]}, {}),
                "ed7d78b7460fd13db65eb051d9e5003cb85ed613fbeaa67af93d022d20caa48e",
            ),
        ],
    )
    def test_digests_stay(self, question: Any, expected: str) -> None:
        assert digest(*question) == expected

    @pytest.mark.parametrize("changes", [{}, {"core": Core(channels=16)}])
    def test_an_added_or_changed_default_changes_no_digest(self, changes: dict[str, Any]) -> None:
        before = digest("model", 1, Train(seed=1, **changes), {})
        assert digest("model", 1, TrainLater(seed=1, rate=0.005, **changes), {}) == before
        assert digest("model", 1, TrainLater(seed=1, **changes), {}) != before  # the rate is another now
        assert digest("model", 1, TrainLater(seed=1, rate=0.005, warm_up=3, **changes), {}) != before


@given(values)
def test_canonical_json_is_json_of_the_same_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value
    assert canonical(canonical(value)) == canonical(value)


@given(st.dictionaries(st.text(), values, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(mapping: dict[str, Any], random: Any) -> None:
    keys = list(mapping)
    random.shuffle(keys)
    assert digest("k", 1, {key: mapping[key] for key in keys}, {}) == digest("k", 1, mapping, {})


@given(values, values)
def test_digests_are_equal_only_for_equal_questions(one: Any, other: Any) -> None:
    same = canonical_json(one) == canonical_json(other)
    assert (digest("k", 1, {"v": one}, {}) == digest("k", 1, {"v": other}, {})) == same


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_keeps_its_value(number: float) -> None:
    assert json.loads(canonical_json(number)) == number


def test_zero_has_one_sign_and_whole_floats_stay_floats() -> None:
    assert canonical_json(-0.0) == canonical_json(0.0) == "0.0"
    assert canonical_json(1.0) != canonical_json(1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_what_is_not_finite_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected a finite number"):
        canonical(value)


@pytest.mark.parametrize("value", [b"bytes", object(), {"a": 1j}])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected text, numbers, lists or mappings"):
        canonical(value)


def test_sets_and_enums_have_one_form() -> None:
    assert canonical({"b", "a"}) == canonical(frozenset({"a", "b"})) == ["a", "b"]
    assert canonical(Colour.RED) == "red"


def test_the_tag_of_a_union_stays_although_it_is_a_default() -> None:
    assert canonical_json(Core()) == '{"type":"core"}'


def test_inputs_kind_and_version_are_part_of_the_question() -> None:
    questions = [
        digest("a", 1, {}, {}),
        digest("b", 1, {}, {}),
        digest("a", 2, {}, {}),
        digest("a", 1, {}, {"x": ["1"]}),
        digest("a", 1, {}, {"y": ["1"]}),
        digest("a", 1, {}, {"x": ["1", "2"]}),
        digest("a", 1, {}, {"x": ["2", "1"]}),
    ]
    assert len(set(questions)) == len(questions)


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Train(seed=1, sede=2)  # type: ignore[call-arg]

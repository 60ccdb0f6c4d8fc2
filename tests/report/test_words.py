import pytest

from inception_loop.report import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 %"),
        (1, "100 %"),
        (0.999, "99.9 %"),
        (0.999645, "99.96 %"),
        (0.0004, "0.04 %"),
        (-0.0004, "−0.04 %"),
        (0.5, "50 %"),
        (0.994, "99 %"),
    ],
)
def test_a_share_rounds_to_100_or_0_only_if_it_is_that(value, text):
    assert words.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.000"),
        (0.001, "0.001"),
        (9.99e-4, "1.0 × 10⁻³"),
        (1e-5, "1.0 × 10⁻⁵"),
        (3.26e-12, "3.3 × 10⁻¹²"),
    ],
)
def test_small_p_values_are_powers_of_ten(value, text):
    assert words.p_value(value) == text


def test_numbers_have_a_true_minus_and_no_negative_zero():
    assert words.number(-1.25, 1) == "−1.2"
    assert words.number(-0.0001) == "0.00"


def test_counts_bend_their_noun():
    assert words.count(1, "match", "matches") == "1 match"
    assert words.count(0, "match", "matches") == "0 matches"

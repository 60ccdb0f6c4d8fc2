import pytest

from inception_loop.report.answer import answer


def evidence(p, best):
    return {"diagonal_p_value": {"value": p}, "own_image_is_best_share": {"value": best}}


@pytest.mark.parametrize(
    ("p", "best", "tone"),
    [
        (1e-5, 0.51, "yes"),
        (1e-5, 0.5, "partly"),
        (9e-4, 0.1, "partly"),
        (1e-3, 0.9, "no"),
        (0.4, 0.0, "no"),
        (None, None, "open"),
    ],
)
def test_the_headline_follows_its_rule(p, best, tone):
    assert answer(evidence(p, best)).tone == tone


def test_evidence_without_these_numbers_is_open():
    assert answer({}).tone == "open"

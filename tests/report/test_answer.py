import pytest

from inception_loop.report.answer import answer, statements


def share(count, n=20):
    return {"value": count / n, "count": count, "n": n, "lower": 0.0, "upper": 1.0}


def evidence(p=1e-5, best=18, rf=15, natural=19):
    return {
        "diagonal_p_value": {"value": p, "n": 20},
        "own_image_is_best_share": share(best),
        "own_mei_over_own_rf_share": share(rf),
        "own_mei_over_best_natural_share": share(natural),
    }


SHOWN, CLEARLY = (0.5, 0.01), (0.9, 1e-4)


def rows_of(linear=SHOWN, natural=CLEARLY):
    rows = {"linear": linear, "natural": natural}
    return {
        f"cnn_{control}_sign_flip": {"value": value, "p_value": q / 2, "q_value": q}
        for control, (value, q) in rows.items()
    }


@pytest.mark.parametrize(
    ("p", "linear", "tone"),
    [
        (1e-5, (0.5, 0.05), "yes"),
        (1e-5, (0.5, 0.051), "partly"),
        (9e-4, (-0.5, 0.01), "partly"),
        (1e-3, (0.5, 0.01), "no"),
        (None, (0.5, 0.01), "open"),
    ],
)
def test_the_headline_follows_its_rule(p, linear, tone):
    assert answer(evidence(p), rows_of(linear)).tone == tone


def test_each_comparison_is_answered_by_its_own_test():
    asked = evidence(rf=6)
    assert answer(asked, rows_of((-0.2, 0.4))).headline == (
        "Yes against the MEIs of other cells and best natural images; not shown against linear RF images."
    )
    assert answer(asked, rows_of((-0.9, 0.01), (-0.1, 0.01))).headline == (
        "Yes against the MEIs of other cells; the opposite against linear RF images and best natural images."
    )
    assert answer(asked, rows_of()).headline == (
        "Yes against the MEIs of other cells, linear RF images and best natural images."
    )


def test_images_that_are_not_for_their_cells_may_still_beat_a_control_and_it_says_both():
    found = answer(evidence(p=0.4), rows_of((0.1, 0.9)))
    assert (found.tone, found.headline) == (
        "no",
        "Yes against best natural images; not shown against the MEIs of other cells and linear RF images.",
    )
    nothing = answer(evidence(p=0.4), rows_of((0.1, 0.9), (-0.1, 0.9)))
    assert nothing.headline == "This loop has not shown it."


def test_how_many_cells_go_along_is_said_whatever_the_mean_says():
    for linear in ((0.9, 1e-4), (-0.9, 1e-4), (0.1, 0.9)):
        assert answer(evidence(rf=6), rows_of(linear)).cells == (
            "Of 20 cells 18 answer more to their own MEI than to that of any other cell, 6 than to "
            "their linear RF image and 19 than to their best natural image."
        )


def test_a_comparison_without_a_test_is_not_asked_and_claims_nothing():
    found = {one.key: one.verdict for one in statements(evidence(), {})}
    assert found["own_mei_over_own_rf_share"] == "not asked"
    headline = answer(evidence(), {})
    assert (headline.tone, headline.headline) == (
        "partly",
        "Yes against the MEIs of other cells; not tested against linear RF images and best natural images.",
    )


def test_a_comparison_of_fewer_cells_has_its_own_n():
    asked = evidence() | {"own_mei_over_best_natural_share": share(5, 5)}
    assert answer(asked, rows_of()).cells == (
        "Of 20 cells 18 answer more to their own MEI than to that of any other cell, 15 than to "
        "their linear RF image and 5 of 5 than to their best natural image."
    )


def test_evidence_without_these_numbers_is_open():
    assert answer({}).tone == "open"

import polars as pl

from inception_loop.report.closed_loop.loop_tests import NO_UNIT_TESTS, loop_tests, own_unit_tests


def test_every_comparison_is_tested_over_units_and_unit_by_unit(data):
    keys = set(data.tests["key"])
    for comparison in ("cnn_linear", "cnn_natural"):
        ends = ("interval", "sign_flip", "wilcoxon", "share", "per_unit")
        assert {f"{comparison}_{end}" for end in ends} <= keys
    assert {"cnn_diagonal", "cnn_own_over_others", "panel_complex_cnn_linear_sign_flip"} <= keys


def test_shares_of_tests_and_evidence_agree(data):
    evidence = dict(data.evidence.select("key", "value").rows())
    tests = dict(data.tests.select("key", "value").rows())
    assert tests["cnn_linear_share"] == evidence["own_mei_over_own_rf_share"]
    assert tests["cnn_natural_share"] == evidence["own_mei_over_best_natural_share"]
    assert tests["panel_complex_cnn_linear_share"] == evidence["panel_complex_mei_over_rf_share"]
    assert tests["cnn_diagonal"] == evidence["diagonal_mean"]


def test_unit_tests_are_of_the_units_asked_and_of_images_both_shown(data):
    some = data.selected[:4]
    found = own_unit_tests(data.own_responses, some)
    assert set(found["control"]) == {"linear", "natural"}
    assert sorted(found.filter(control="linear")["source_unit_id"]) == sorted(some)
    assert own_unit_tests(data.own_responses.filter(pl.col("model_type") != "cnn"), some).equals(
        NO_UNIT_TESTS
    )


def test_a_loop_without_trials_has_its_tests_over_units(data):
    nothing = data.own_responses[:0]
    found = loop_tests(
        data.z_summary, data.z_diagonals, data.selected, [], nothing, NO_UNIT_TESTS, n_permutations=99
    )
    assert "cnn_linear_sign_flip" in found["key"].to_list()
    assert not found["key"].str.ends_with("per_unit").any()


def test_a_loop_without_matched_units_has_no_test(data):
    found = loop_tests(data.z_summary[:0], {}, [], [], data.own_responses[:0], NO_UNIT_TESTS)
    assert found.height == 0

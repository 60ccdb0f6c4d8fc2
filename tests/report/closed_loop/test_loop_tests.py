from inception_loop.report.closed_loop.loop_tests import LoopTests, collect_tests, next_loops


def test_shares_of_tests_and_evidence_agree(data):
    evidence = dict(data.evidence.select("key", "value").rows())
    tests = dict(data.tests.select("key", "value").rows())
    assert tests["cnn_linear_share"] == evidence["own_mei_over_own_rf_share"]
    assert tests["cnn_natural_share"] == evidence["own_mei_over_best_natural_share"]
    assert tests["panel_complex_cnn_linear_share"] == evidence["panel_complex_mei_over_rf_share"]
    assert tests["cnn_diagonal"] == evidence["diagonal_mean"]


def test_the_next_loop_needs_no_more_units_with_more_repeats(data):
    found = {one.control: one for one in next_loops(data.power)}
    assert set(found) == {"linear", "natural"}
    for one in found.values():
        units = [n for n in one.units.values() if n is not None]
        assert units == sorted(units, reverse=True)
        assert list(one.units) == sorted(one.units)
    tests = dict(data.tests.select("key", "value").rows())
    assert found["linear"].effect == tests["cnn_linear_interval"]


def test_a_loop_made_without_statistics_has_empty_tables(store):
    found = collect_tests(store, {})
    for name in ("tests", "unit_tests", "power"):
        assert getattr(found, name).equals(getattr(LoopTests(), name))
        assert getattr(found, name).height == 0

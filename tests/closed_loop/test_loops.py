"""Several loops in one analysis, from their evidence in a store."""

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.store import open_store
from inception_loop.closed_loop.loop_units import read_loop
from inception_loop.closed_loop.loops import (
    LoopsEvidenceConfig,
    evidence_of_loop,
    make_loops_evidence,
)
from inception_loop.errors import ArtifactNotFoundError, ConfigurationError, DataError

CONFIG = LoopsEvidenceConfig(n_permutations=999)


@pytest.fixture
def store(request):
    return open_store(f"memory://loops-{request.node.name}")


def made(store, refs, config=CONFIG):
    ref = make_loops_evidence(store, config, evidences=refs).ref
    return {name: store.table(ref, name) for name in ("loops", "loops_evidence", "units")}


def test_every_loop_is_a_row_a_comparison_with_the_numbers_of_its_diagonal(store, loops):
    refs = [loops.make_loop(store, group, animal_id=group + 20) for group in (0, 1, 2)]
    found = made(store, refs)
    assert found["loops"]["loop"].to_list() == ["0", "1", "2"]
    assert found["loops"]["animal"].to_list() == ["20", "21", "22"]
    assert found["loops"].row(0, named=True) | {"own_image_is_best": 0, "evidence": ""} == {
        "loop": "0", "loop_group": 0, "animal": "20", "source_scan": "20-1-1", "n_later_scans": 1,
        "n_selected": 8, "n_units": 8, "own_image_is_best": 0, "diagonal_p_value": 0.01, "evidence": "",
    }  # fmt: skip
    rows = {row["key"]: row for row in found["loops_evidence"].iter_rows(named=True)}
    assert found["loops_evidence"]["comparison"].unique(maintain_order=True).to_list() == [
        "cnn_others", "cnn_linear", "cnn_natural"
    ]  # fmt: skip
    (linear,) = [
        ref for ref in store.inputs(refs[1])["diagonals"] if "linear" in str(store.manifest(ref).config)
    ]
    entry = store.table(linear, linear.kind)
    row = rows["cnn_linear_loop_1"]
    assert row["value"] == pytest.approx(entry["diff_resp"].mean(), abs=1e-14)
    assert (row["n"], row["n_above"]) == (8, (entry["diff_resp"] > 0).sum())
    assert row["lower"] < row["value"] < row["upper"]
    assert row["p_value"] <= 0.05
    assert rows["cnn_linear_pooled_units"]["n"] == 24
    assert "there are 3 animals; expected at least 5" in rows["cnn_linear_animals_mixed"]["words"]
    pooled = rows["cnn_others_pooled_diagonal"]
    assert (pooled["n"], pooled["p_value"]) == (24, 0.001)
    assert "images shuffled within loops over 24 units" in pooled["words"]
    assert pooled["value"] == pytest.approx(rows["cnn_others_pooled_units"]["value"], abs=0.2)
    assert "cnn_linear_pooled_diagonal" not in rows
    assert found["units"].height == 3 * 3 * 8
    summary = store.table(store.inputs(refs[0])["z_summary_confusion"][0], "z_summary_confusion")
    mine = summary.filter(model_type="cnn", source_unit_id=3)
    others = found["units"].filter(comparison="cnn_others", loop="0", source_unit_id=3).row(0, named=True)
    assert others["own"] == mine.filter(image_unit_id=3)["mu_resp"].item()
    assert others["control"] == pytest.approx(mine.filter(pl.col("image_unit_id") != 3)["mu_resp"].mean())


def test_the_order_of_the_loops_does_not_matter_and_a_second_run_finds_it_there(store, loops):
    refs = [loops.make_loop(store, group, animal_id=1 + group) for group in (0, 1)]
    first = make_loops_evidence(store, CONFIG, evidences=refs)
    again = make_loops_evidence(store, CONFIG, evidences=refs[::-1])
    assert (again.ref, again.cached) == (first.ref, True)
    assert store.inputs(first.ref)["evidence"] == refs
    assert store.manifest(first.ref).findings == {"n_loops": 2, "n_animals": 2}


def test_five_animals_allow_statements_over_animals(store, loops):
    refs = [loops.make_loop(store, 0, animal_id=animal, seed=animal) for animal in range(1, 6)]
    found = made(store, refs)
    assert found["loops"]["loop"].to_list() == [f"0 of {animal}-1-1" for animal in range(1, 6)]
    rows = {row["key"]: row for row in found["loops_evidence"].iter_rows(named=True)}
    over = rows["cnn_linear_animals_interval"]
    assert (over["n"], over["n_of"], over["loop"]) == (5, "animals", None)
    assert over["lower"] < over["value"] < over["upper"]
    assert rows["cnn_linear_animals_sign_flip"]["p_value"] == 2 / 2**5
    assert np.isfinite(rows["cnn_linear_animals_mixed"]["p_value"])


def test_units_of_one_animal_are_not_animals(store, loops):
    refs = [loops.make_loop(store, group, animal_id=1, session=2 * group + 1) for group in range(5)]
    rows = {row["key"]: row["words"] for row in made(store, refs)["loops_evidence"].iter_rows(named=True)}
    assert "there are 1 animals; expected at least 5" in rows["cnn_linear_animals_interval"]
    assert "5 loops of animal 1 count as one animal" in rows["cnn_linear_animals_interval"]


def test_loops_of_different_comparisons_share_what_they_share_or_are_refused(store, loops):
    both = loops.make_loop(store, 0, 1)
    masked = loops.make_loop(store, 1, 2, models=("cnn", "natural", "masked_cnn", "masked_natural"))
    found = made(store, [both, masked])
    rows = {row["key"]: row for row in found["loops_evidence"].iter_rows(named=True)}
    assert rows["cnn_natural_pooled_units"]["n"] == 16
    assert "; without loop 1, which does not compare these" in rows["cnn_linear_pooled_units"]["words"]
    assert rows["cnn_linear_loop_1"]["value"] is None
    assert "masked_cnn_masked_natural_loop_1" in rows
    with pytest.raises(DataError, match="loop 1 does not compare cnn_linear; it has cnn_natural, mas"):
        made(store, [both, masked], LoopsEvidenceConfig(controls=("linear",)))
    only = made(store, [both, masked], LoopsEvidenceConfig(controls=("natural",), n_permutations=999))
    asked = only["loops_evidence"]["comparison"].unique(maintain_order=True).to_list()
    assert asked == ["cnn_others", "cnn_natural", "masked_cnn_others"]
    linear = loops.make_loop(store, 2, 3, models=("cnn", "linear"))
    gabor = loops.make_loop(store, 3, 4, models=("cnn", "gabor"))
    said = r"no two of 2 loops compare the same images \(loop 2: cnn_linear; loop 3: cnn_gabor\); expected"
    with pytest.raises(DataError, match=said):
        made(store, [linear, gabor])


def test_a_loop_given_twice_or_cells_in_two_loops_are_refused(store, loops):
    one, other = loops.make_loop(store, 0, 1), loops.make_loop(store, 1, 2)
    with pytest.raises(ConfigurationError, match="1 loops are given; expected at least two"):
        made(store, [one])
    with pytest.raises(ConfigurationError, match=r"evidence/.* is given twice; expected each loop once"):
        made(store, [one, other, one])
    again = loops.make_loop(store, 0, 1, seed=1)
    with pytest.raises(DataError, match=r"loop 0 of scan 1-1-1 is given twice \(evidence/.*, evidence/"):
        made(store, [one, again])
    same_cells = loops.make_loop(store, 4, 1, seed=2)
    with pytest.raises(DataError, match="8 units are in a comparison twice, first unit 1-1-1/0 of an"):
        made(store, [one, same_cells])


def test_a_loop_is_found_by_its_number_if_it_has_one_evidence(store, loops):
    one = loops.make_loop(store, 1, 1)
    loops.make_loop(store, 10, 2)
    assert evidence_of_loop(store, 1) == one
    with pytest.raises(ArtifactNotFoundError, match="no evidence of loop 2; run stage closed"):
        evidence_of_loop(store, 2)
    loops.make_loop(store, 1, 1, seed=5)
    with pytest.raises(ConfigurationError, match=r"loop 1 has 2 evidences in .* \(evidence/.*\); expected"):
        evidence_of_loop(store, 1)


def test_a_loop_brings_the_units_that_its_claim_is_about(store, loops):
    found = read_loop(store, loops.make_loop(store, 3, 9, n_units=6))
    assert (found.n_units, found.n_selected, found.animal, found.source_scan) == (6, 6, "9", "9-1-1")
    assert set(found.units) == {"cnn_others", "cnn_linear", "cnn_natural"}


def test_units_that_share_a_cell_are_said_in_the_rows_of_their_loop_and_of_all(store, loops):
    refs = [loops.make_loop(store, 0, 1, one_cell=3), loops.make_loop(store, 1, 2)]
    rows = {row["key"]: row["words"] for row in made(store, refs)["loops_evidence"].iter_rows(named=True)}
    note = "3 of 8 units share a cell with another and its noise"
    for key in ("cnn_linear", "cnn_others"):
        assert rows[f"{key}_loop_0"].endswith(f"; {note}")
        assert "share a cell" not in rows[f"{key}_loop_1"]
        assert f"; in loop 0 {note}: the mean over" in rows[f"{key}_pooled_units"]

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inception_loop.artifacts.kind import upgraded
from inception_loop.errors import DataError
from inception_loop.selection.config import ModelChoice
from inception_loop.selection.families import core_types
from inception_loop.selection.model_group import CANDIDATES, MODEL_GROUP, choose_models, configuration_key

CORES = {"cnn": ("GaussianLaplace", "Stacked2d"), "linear": ("ModLinear", "DepthSeparable")}


def random_candidates(seed):
    """Up to five configurations a family of one to four seeds, with ties, in any order."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "model": f"{family}{c}{s}",
            "family": family,
            "core": CORES[family][c % 2],
            "readout": "Pooled2d",
            "configuration": f"{family}-{c}",
            "seed": s,
            "val_corr": round(rng.random(), 1),
        }
        for family in CORES
        for c in range(int(rng.integers(1, 6)))
        for s in rng.permutation(9)[: rng.integers(1, 5)].tolist()
    ]
    return pl.DataFrame(rows, schema=CANDIDATES).sample(fraction=1, shuffle=True, seed=seed)


def kept_mean(rows, held):
    """Mean over the seeds of a configuration but the last ones that are held out."""
    kept = sorted(rows, key=lambda row: row["seed"])[: len(rows) - held]
    return sum(sorted(row["val_corr"] for row in kept)) / len(kept) if kept else None


def slow(candidates, choice):
    """Model by model: → (place, role); None where there is nobody to judge."""
    roles = {}
    for family in CORES:
        seeds = {}
        for row in candidates.filter(family=family).rows(named=True):
            if row["core"] in choice.cores(family):
                seeds.setdefault(row["configuration"], []).append(row)
        held = choice.held_out if family == "cnn" and choice.validator == "held_out_seeds" else 0
        mean = {c: kept_mean(rows, held) for c, rows in seeds.items()}
        order = sorted(seeds, key=lambda c: (mean[c] is None, -round(mean[c] or 0.0, 12), c))
        if not order:
            return None
        for place, configuration in enumerate(order):
            for row in seeds[configuration]:
                roles[row["model"]] = (place, "ensemble" if place == 0 else "")
        if family == "cnn" and choice.validator == "held_out_seeds":
            best = sorted(seeds[order[0]], key=lambda row: row["seed"])
            if len(best) <= choice.held_out:
                return None
            roles |= {row["model"]: (0, "validator") for row in best[-choice.held_out :]}
        if family == "cnn" and choice.validator in ("runner_up", "auto"):
            if len(order) < 2 and choice.validator == "runner_up":
                return None
            roles |= {row["model"]: (1, "validator") for c in order[1:2] for row in seeds[c]}
    return roles


def nearly_tied(candidates, held_out):
    """Whether two configurations of a family have means that differ by rounding only."""
    for held in (0, held_out):
        for _, family in candidates.group_by("family"):
            means = [kept_mean(rows.rows(named=True), held) for _, rows in family.group_by("configuration")]
            gaps = np.diff(np.sort([mean for mean in means if mean is not None]))
            if ((gaps > 0) & (gaps < 1e-9)).any():
                return True
    return False


@settings(max_examples=40)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["auto", "none", "held_out_seeds", "runner_up"]),
    st.integers(1, 3),
    st.sampled_from([None, ("GaussianLaplace",), ("Stacked2d",)]),
    st.sampled_from([None, ("DepthSeparable",)]),
)
def test_places_and_roles_equal_the_slow_ones(seed, validator, held_out, cnn_cores, linear_cores):
    candidates = random_candidates(seed)
    if nearly_tied(candidates, held_out):
        return
    choice = ModelChoice(
        cnn_cores=cnn_cores, linear_cores=linear_cores, validator=validator, held_out=held_out
    )
    want = slow(candidates, choice)
    if want is None:
        with pytest.raises(DataError, match="expected"):
            choose_models(candidates, choice)
        return
    table = choose_models(candidates, choice)
    assert {row["model"]: (row["place"], row["role"]) for row in table.rows(named=True)} == want
    assert (table["chosen"] == (table["role"] == "ensemble")).all()
    of = {row["model"]: row for row in candidates.rows(named=True)}
    for row in table.rows(named=True):
        same = candidates.filter(family=row["family"], configuration=row["configuration"])
        assert row["n_seeds"] == same.height
        held = held_out if row["family"] == "cnn" and validator == "held_out_seeds" else 0
        assert row["mean_val_corr"] == pytest.approx(kept_mean(same.rows(named=True), held))
        assert {name: row[name] for name in CANDIDATES} == of[row["model"]]
    for _, rows in table.group_by("configuration"):
        assert rows["seed"].is_sorted()


def candidates(**columns):
    rows = {"readout": "Pooled2d", "seed": [1, 1, 1], "val_corr": [0.5, 0.5, 0.1]}
    rows |= {"model": ["a", "b", "c"], "family": ["cnn", "cnn", "linear"], "configuration": ["y", "x", "z"]}
    rows |= {"core": ["Stacked2d", "GaussianLaplace", "ModLinear"]}
    return pl.DataFrame({**rows, **columns})


def test_a_tie_goes_to_the_lower_digest():
    table = choose_models(candidates(), ModelChoice())
    assert table.filter("chosen", family="cnn")["model"].to_list() == ["b"]


def test_a_seed_that_judges_has_no_say_in_which_configuration_makes_the_images():
    rows = (
        [("x", seed, 0.30) for seed in range(4)] + [("y", seed, 0.28) for seed in range(3)] + [("y", 3, 0.5)]
    )
    cnn = pl.DataFrame(rows, schema=["configuration", "seed", "val_corr"], orient="row").with_columns(
        family=pl.lit("cnn"), core=pl.lit("Stacked2d"), readout=pl.lit("Pooled2d"),
        model=pl.format("{}{}", "configuration", "seed"),
    )  # fmt: skip
    table = pl.concat([cnn, candidates().filter(family="linear")], how="diagonal_relaxed")
    for validator, best in (("held_out_seeds", "x"), ("none", "y")):
        chosen = choose_models(table, ModelChoice(validator=validator)).filter("chosen", family="cnn")
        assert chosen["configuration"].unique().to_list() == [best]


def test_a_family_without_models_is_an_error_that_names_the_cores_there_are():
    with pytest.raises(DataError, match=r"'linear' among 2 \(cores: GaussianLaplace, Stacked2d\).*ModLinear"):
        choose_models(candidates()[:2], ModelChoice())
    with pytest.raises(DataError, match=r"'cnn' among 3 .*with a core of SigmoidLaplace; train it"):
        choose_models(candidates(), ModelChoice(cnn_cores=("SigmoidLaplace",)))


def test_too_few_seeds_or_configurations_for_a_validator_are_one_clear_line():
    with pytest.raises(DataError, match="has 1 seeds; expected at least 3 to hold 2 out as validator"):
        choose_models(candidates(), ModelChoice(validator="held_out_seeds", held_out=2))
    with pytest.raises(DataError, match="1 CNN configuration among 2 models; expected a second one"):
        choose_models(candidates()[1:], ModelChoice(validator="runner_up"))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_model_without_a_validation_correlation_is_refused_not_the_best(value):
    with pytest.raises(DataError, match="model a has the validation correlation"):
        choose_models(candidates(val_corr=[value, 0.5, 0.1]), ModelChoice())


def test_a_core_of_the_other_family_is_refused_with_those_there_are():
    with pytest.raises(
        ValidationError, match="'ModLinear' is no core of the family cnn; expected some of Depth"
    ):
        ModelChoice(cnn_cores=("ModLinear",))
    with pytest.raises(ValidationError, match="no core of the family linear"):
        ModelChoice(linear_cores=("Gabor",))
    assert ModelChoice(cnn_cores=("Stacked2d", "GaussianLaplace", "Stacked2d")).cores("cnn") == (
        "GaussianLaplace", "Stacked2d",
    )  # fmt: skip
    assert ModelChoice().cores("linear") == core_types("linear")


def test_a_group_of_version_1_has_the_published_cores_and_nobody_who_judges():
    declared = MODEL_GROUP.payloads["model_group"]
    new = choose_models(
        candidates(core=["GaussianLaplace"] * 2 + ["StackedLinearGaussianLaplace"]),
        ModelChoice(validator="none"),
    )
    old = new.drop("core", "readout", "role").to_arrow()
    lifted = pl.DataFrame(pl.from_arrow(upgraded(old, declared, 1, "here")))
    assert lifted.select(new.columns).drop("readout").equals(new.drop("readout"))
    assert lifted["readout"].null_count() == 3
    assert set(lifted.columns) == set(declared.columns)
    assert isinstance(old, pa.Table)


def test_the_seed_is_no_part_of_a_configuration_but_all_else_is():
    config = {"network": {"core": {"type": "GaussianLaplace"}}, "seed": 1}
    assert configuration_key(config) == configuration_key({**config, "seed": 2})
    assert configuration_key(config) != configuration_key({**config, "network": {}})

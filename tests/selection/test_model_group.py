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

READOUTS = ("Pooled2d", "PointPooled2d", "Gaussian2d")
CORES = {"cnn": ("GaussianLaplace", "Stacked2d"), "linear": ("ModLinear", "DepthSeparable")}


def random_candidates(seed):
    """Up to five configurations a family of one to four seeds, with ties, in any order."""
    rng = np.random.default_rng(seed)
    rows = [
        {
            "model": f"{family}{c}{s}",
            "family": family,
            "core": CORES[family][c % 2],
            "readout": READOUTS[c // 2],
            "configuration": f"{family}-{c}",
            "seed": s,
            "val_corr": round(rng.random(), 1),
        }
        for family in CORES
        for c in range(int(rng.integers(1, 6)))
        for s in rng.permutation(5)[: rng.integers(1, 5)].tolist()
    ]
    return pl.DataFrame(rows, schema=CANDIDATES).sample(fraction=1, shuffle=True, seed=seed)


def kept_of(rows, choice):
    """Rows of a CNN configuration without the seeds that would be held out."""
    rows = sorted(rows, key=lambda row: row["seed"])
    hold = choice.validator == "held_out_seeds" or (
        choice.validator == "auto" and len(rows) > choice.held_out
    )
    return rows[: max(0, len(rows) - choice.held_out)] if hold else rows


def mean_of(rows):
    return sum(sorted(row["val_corr"] for row in rows)) / len(rows) if rows else None


def in_order(kept):
    """Configurations, the best first."""
    mean = {c: mean_of(rows) for c, rows in kept.items()}
    return sorted(kept, key=lambda c: (mean[c] is None, -round(mean[c] or 0.0, 12), c))


def slow(candidates, choice):
    """Model by model: → (place, role), and by configuration the rows that count; None: nobody may judge."""
    of = {family: {} for family in CORES}
    for row in candidates.rows(named=True):
        if row["core"] in choice.cores(row["family"]):
            of[row["family"]].setdefault(row["configuration"], []).append(row)
    if not all(of.values()):
        return None
    kept = {c: kept_of(rows, choice) for c, rows in of["cnn"].items()}
    best, *others = in_order(kept)
    judges = [row for row in of["cnn"][best] if row not in kept[best]]
    if choice.validator == "held_out_seeds" and not kept[best]:
        return None
    held = {row["seed"] for row in judges}
    if choice.validator in ("auto", "runner_up") and not judges:
        own = {(row["seed"], row["readout"]) for row in kept[best]}
        for c in others:
            judges = judges or [row for row in of["cnn"][c] if (row["seed"], row["readout"]) not in own]
        if choice.validator == "runner_up" and not judges:
            return None
    for c, rows in of["linear"].items():
        kept[c] = [row for row in rows if row["seed"] not in held] or rows
    roles = {}
    for configurations in of.values():
        for place, c in enumerate(in_order({c: kept[c] for c in configurations})):
            for row in configurations[c]:
                role = "ensemble" if place == 0 and row in kept[c] else ""
                roles[row["model"]] = (place, "validator" if row in judges else role)
    return roles, kept


def nearly_tied(candidates, kept):
    """Whether two configurations of a family have means that differ by rounding only."""
    for _, family in candidates.group_by("family"):
        means = [mean_of(kept[c]) for c in family["configuration"].unique() if c in kept]
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
    choice = ModelChoice(
        cnn_cores=cnn_cores, linear_cores=linear_cores, validator=validator, held_out=held_out
    )
    found = slow(candidates, choice)
    if found is None:
        with pytest.raises(DataError, match="expected"):
            choose_models(candidates, choice)
        return
    want, kept = found
    if nearly_tied(candidates, kept):
        return
    table = choose_models(candidates, choice)
    assert {row["model"]: (row["place"], row["role"]) for row in table.rows(named=True)} == want
    assert (table["chosen"] == (table["role"] == "ensemble")).all()
    of = {row["model"]: row for row in candidates.rows(named=True)}
    for row in table.rows(named=True):
        same = candidates.filter(family=row["family"], configuration=row["configuration"])
        assert row["n_seeds"] == same.height
        assert row["mean_val_corr"] == pytest.approx(mean_of(kept[row["configuration"]]))
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


def networks(*rows):
    """A table of ``model, family, configuration, seed, readout, val_corr``."""
    names = ["model", "family", "configuration", "seed", "readout", "val_corr"]
    table = pl.DataFrame(rows, schema=names, orient="row")
    cores = {"cnn": "Stacked2d", "linear": "ModLinear"}
    return table.with_columns(core=pl.col("family").replace_strict(cores))


def roles(table, **choice):
    return dict(choose_models(table, ModelChoice(**choice)).select("model", "role").rows())


def test_a_network_of_the_same_seed_and_readout_never_judges():
    linear, best = ("l", "linear", "z", 1, "A", 0.1), ("b", "cnn", "x", 1, "A", 0.5)
    alone = networks(linear, best, ("s", "cnn", "y", 1, "A", 0.4))
    assert roles(alone) == {"b": "ensemble", "s": "", "l": "ensemble"}
    with pytest.raises(
        DataError, match=r"none of 2 CNN networks may judge .*its seeds \(1\) and its readout"
    ):
        roles(alone, validator="runner_up")
    for other in (("o", "cnn", "w", 2, "A", 0.3), ("o", "cnn", "w", 1, "B", 0.3)):
        found = roles(networks(*alone.select(pl.exclude("core")).rows(), other))
        assert found == {"b": "ensemble", "s": "", "o": "validator", "l": "ensemble"}


def test_by_default_the_last_seed_judges_and_makes_no_image_of_either_family():
    rows = [(f"{c}{seed}", family, c, seed, "A", value) for family, c, value in
            (("cnn", "x", 0.5), ("cnn", "y", 0.4), ("linear", "z", 0.1)) for seed in (1, 2, 3)]  # fmt: skip
    makers = {"x1": "ensemble", "x2": "ensemble", "z1": "ensemble", "z2": "ensemble"}
    assert roles(networks(*rows)) == dict.fromkeys(("y1", "y2", "y3", "z3"), "") | makers | {
        "x3": "validator"
    }
    assert roles(networks(*rows)) == roles(networks(*rows), validator="held_out_seeds")
    one = roles(networks(*(row for row in rows if row[1] == "cnn" or row[3] == 3)))
    assert (one["x3"], one["z3"]) == ("validator", "ensemble")  # there is no other


def test_a_family_without_models_is_an_error_that_names_the_cores_there_are():
    with pytest.raises(DataError, match=r"'linear' among 2 \(cores: GaussianLaplace, Stacked2d\).*ModLinear"):
        choose_models(candidates()[:2], ModelChoice())
    with pytest.raises(DataError, match=r"'cnn' among 3 .*with a core of SigmoidLaplace; train it"):
        choose_models(candidates(), ModelChoice(cnn_cores=("SigmoidLaplace",)))


def test_too_few_seeds_or_configurations_for_a_validator_are_one_clear_line():
    with pytest.raises(DataError, match="has 1 seeds; expected at least 3 to hold 2 out as validator"):
        choose_models(candidates(), ModelChoice(validator="held_out_seeds", held_out=2))
    with pytest.raises(
        DataError, match=r"none of 1 CNN networks .*expected a second configuration of another"
    ):
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

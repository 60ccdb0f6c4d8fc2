"""Stage *select*: oracle, ranking, the best models, and the units that images are made for."""

from __future__ import annotations

from prefect import flow

from flows._asked import Asked
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.observing import say
from flows.telling.findings import tell_selection
from flows.telling.runs import watched
from inception_loop.parameters import SelectParameters
from inception_loop.report.words import count
from inception_loop.selection.high_units import (
    CorrectedHighUnitSelectionConfig,
    make_corrected_high_unit_selection,
)
from inception_loop.selection.model_group import ModelGroupConfig, ensemble_models, make_model_group
from inception_loop.selection.oracle import OracleConfig, make_oracle
from inception_loop.selection.ranking import OracleRankedUnitConfig, make_oracle_ranked_unit
from inception_loop.selection.target_dataset import TargetDatasetConfig, make_target_dataset
from inception_loop.selection.target_model import TargetModelConfig, make_target_model
from inception_loop.selection.truth_panel import TruthPanelConfig, make_truth_panel
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores


@flow(
    name="select",
    task_runner=runner(),
    **watched(lambda p: f"select group {p.group_id} · {count(len(p.models), 'model')}"),
)
def select(parameters: Asked[SelectParameters]) -> StageResult:
    """Rank the units by their oracle, choose the best ensembles and select the units."""
    store, stage = configured_store(), Stage("select")
    p, rules, group = parameters, parameters.selection, parameters.group_id
    oracle = stage.submit(
        make_oracle,
        OracleConfig(group_id=group, data=p.data, min_repeats=rules.min_repeats),
        dataset=p.dataset,
    )
    ranked = stage.submit(make_oracle_ranked_unit, OracleRankedUnitConfig(group_id=group), oracle=oracle)
    if p.truths:
        stage.submit(
            make_truth_panel,
            TruthPanelConfig(
                group_id=group,
                n_simple=rules.panel_simple,
                n_complex=rules.panel_complex,
                least=rules.panel_least,
            ),
            dataset=p.dataset,
            oracle_ranked_unit=ranked,
            truths=p.truths,
        )
    stage.submit(make_target_dataset, TargetDatasetConfig(group_id=group, data=p.data), dataset=p.dataset)
    choice = ModelGroupConfig(group_id=group, data=p.data, **dict(rules.choice))
    models = stage.wait(stage.submit(make_model_group, choice, models=p.models))
    stage.submit(make_target_model, TargetModelConfig(group_id=group), model_group=models)
    cnn, linear = (
        stage.submit(
            make_unit_test_scores,
            UnitTestScoresConfig(group_id=group),
            model=ensemble_models(store, models, family),
            dataset=p.dataset,
            label=f"{family} ensemble",
        )
        for family in ("cnn", "linear")
    )
    stage.submit(
        make_corrected_high_unit_selection,
        CorrectedHighUnitSelectionConfig(
            group_id=group,
            rules=rules.rules,
            min_units=rules.min_units,
            no_positions=rules.no_positions,
        ),
        dataset=p.dataset,
        oracle_ranked_unit=ranked,
        cnn_scores=[cnn],
        linear_scores=[linear],
    )
    result = stage.result()
    tell_selection(store, result)
    for line in store.manifest(models).findings["warnings"]:
        say(stage.name, f"  warning: {line}")
    return result

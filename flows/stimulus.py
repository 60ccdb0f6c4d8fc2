"""Stage *stimulus*: images become bytes, fills, and the stimulus set of a later day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from prefect import flow

from flows._asked import Asked
from flows._images import Judged, with_ensembles
from flows._member import member_shown
from flows._monitor import ShownBy, shown_by, submit_monitor
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.observing import say
from flows.telling.findings import tell_stimulus
from flows.telling.runs import watched
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Run
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError
from inception_loop.images.monitor.processed_image import ProcessedImageConfig, make_processed_image
from inception_loop.images.monitor.shown_target import LuminanceTarget
from inception_loop.parameters import StimulusParameters
from inception_loop.stimuli.fills import Fill
from inception_loop.stimuli.stimulus_fill import StimulusFillConfig, make_stimulus_fill
from inception_loop.stimuli.stimulus_set import StimulusSetConfig, make_stimulus_set
from inception_loop.stimuli.target_group import (
    TargetStaticGroupIdConfig,
    make_target_static_group_id,
    number_of,
)


@flow(
    name="stimulus",
    task_runner=runner(),
    **watched(lambda p: f"stimulus loop {p.loop_group} · group {p.group_id}"),
)
def stimulus(parameters: Asked[StimulusParameters]) -> StageResult:
    """Show every image at one mean and contrast, and put all of them into one seeded, blocked session."""
    store, stage = configured_store(), Stage("stimulus")
    p = with_gallery(store, parameters)
    by = shown_by(p, store)
    fills = [fill for _, fill in submit_fills(p, store, stage.submit, by)]
    made = stage.wait(submit_set(p, stage.submit, fills))
    found = store.manifest(made).findings
    said = f"{found['n_images']} images, {found['n_trials']} trials, {found['minutes']:.1f} min"
    if p.name_target:
        number = number_of(store, p.loop_group, made)
        config = TargetStaticGroupIdConfig(loop_group=p.loop_group, number=number)
        stage.submit(make_target_static_group_id, config, stimulus_set=made)
        said += f"; shown next in loop {p.loop_group} (number {number})"
    else:
        said += f"; not named as what loop {p.loop_group} shows next"
    result = stage.result()
    warnings = [*([by.words] if by.lost else []), *found.get("warnings", [])]
    tell_stimulus(store, result, by.words, warnings)
    say(stage.name, f"{made.kind}/{made.digest[:12]}: {said}")
    say(stage.name, f"  {by.words}{_moments(store, result.refs['processed_image'][0])}")
    for line in warnings:
        say(stage.name, f"  warning: {line}")
    return result


def with_gallery(store: ArtifactStore, p: StimulusParameters) -> StimulusParameters:
    """Return parameters with what they leave to the gallery: images that fills take, selection, panel."""
    if p.gallery is None:
        return p
    shown = store.inputs(p.gallery)
    kinds = {"mei"} | {taken.kind for fill in p.rules.fills for taken in fill.takes}  # targets are like MEIs
    images = tuple(dict.fromkeys(ref for refs in shown.values() for ref in refs if ref.kind in kinds))
    update = {
        "images": p.images or images,
        "selection": p.selection or shown["selection"][0],
        "panel": p.panel or next(iter(shown.get("panel", ())), None),
    }
    return p.model_copy(update=update)


def submit_fills(
    p: StimulusParameters, store: ArtifactStore, run: Run, by: ShownBy
) -> list[tuple[Fill, Any]]:
    """Submit the bytes of the images and the fills that take them; each fill with what stands for it."""
    wanted = p.rules.leaving_out(p.rules.leave_out).fills
    _check(p, store, wanted, by)
    name = member(p, store)
    shown = _process(p, store, run, by, name)
    return [(fill, _fill(p, run, fill, shown, name)) for fill in wanted]


def member(p: StimulusParameters, store: ArtifactStore) -> str | None:
    """Return the readout key of the source scan; None where the selection is of one scan anyway."""
    selection = store.table(cast(ArtifactRef, p.selection), "corrected_high_unit_selection")
    return member_shown(store, p.group_id, p.recording, selection)


def submit_set(p: StimulusParameters, run: Run, fills: Sequence[Any]) -> Any:
    """Submit the session that shows some fills."""
    session = StimulusSetConfig(loop_group=p.loop_group, session=p.rules.session)
    return run(make_stimulus_set, session, recording=p.recording, fills=fills, before=p.before)


def _check(p: StimulusParameters, store: ArtifactStore, fills: Sequence[Fill], by: ShownBy) -> None:
    """Refuse what cannot become a session before any image is processed."""
    given = {ref.kind for ref in p.images if excites(store, ref)}
    for fill in fills:
        lacking = [taken.kind for taken in fill.takes if taken.kind not in given]
        if lacking:
            raise ConfigurationError(
                f"{fill.name} takes images of kind {lacking[0]}, which are not given; "
                f"expected {' and '.join(t.kind for t in fill.takes)}; make them, or drop the fill"
            )
    if isinstance(by.target, LuminanceTarget) and not by.calibrations:
        raise ConfigurationError(
            f"a target in cd/m² has no monitor: {len(p.calibrations)} calibrations given, none of them "
            "measured; expected one; give monitor_calibration artifacts or a grey target"
        )


def _zoom(p: StimulusParameters, store: ArtifactStore, image: ArtifactRef) -> int:
    """Return how much larger the rig's images are, by default as large as the source recording's."""
    if p.rules.zoom is not None:
        return p.rules.zoom
    shown, made = (store.block(ref, "images", "images").shape[1:] for ref in (p.recording, image))
    zoom = int(shown[0] // made[0])
    if (zoom * made[0], zoom * made[1]) != tuple(shown):
        raise ConfigurationError(
            f"the source scan showed {shown[0]}×{shown[1]} px, the networks see {made[0]}×{made[1]}; "
            "expected a multiple, as its images are shown again; set rules.zoom and session.max_oracle = 0"
        )
    return zoom


def _process(
    p: StimulusParameters, store: ArtifactStore, run: Run, by: ShownBy, name: str | None
) -> Mapping[str, list[Any]]:
    """Submit the bytes of every image that a fill takes; return them by kind of image."""
    monitor, models = submit_monitor(p, store, run, by), Judged.of(store, p.target_model)
    images = [ref for ref in p.images if excites(store, ref) and _of(store, ref, name)]
    meis = sorted((ref for ref in images if ref.kind == "mei"), key=lambda ref: ref.digest)
    shown: dict[str, list[Any]] = {}
    for ref in images:
        shifts, units = _shifts(p, ref.kind), _units(store, ref)
        left_out = tuple(unit for unit in units if unit in p.rules.leave_out)
        if not shifts or len(left_out) == len(units):
            continue
        config = ProcessedImageConfig(
            group_id=p.group_id,
            target=by.target,
            zoom=_zoom(p, store, ref),
            zoom_rule=p.rules.zoom_rule,
            shifts=shifts,
            leave_out=left_out,
        )
        step = run(
            with_ensembles(make_processed_image),
            config,
            label=f"{ref.kind} {ref.digest[:8]}",
            image=ref,
            calibration=monitor,
            like=meis,
            **(models.for_linear() if ref.kind == "grad_rf" else models.for_cnn()),
        )
        shown.setdefault(ref.kind, []).append(step)
    return shown


def _of(store: ArtifactStore, ref: ArtifactRef, name: str | None) -> bool:
    """Whether an artifact holds images of a scan's units; any will do if ``name`` is None."""
    return name is None or store.manifest(ref).config["name"] == name


def _units(store: ArtifactStore, ref: ArtifactRef) -> list[str]:
    """Return the units that an artifact holds images of, as errors name them."""
    config = store.manifest(ref).config
    return [f"{config['name']}/{unit['unit_id']}" for unit in config["units"]]


def excites(store: ArtifactStore, ref: ArtifactRef) -> bool:
    """Whether an artifact holds images that no fill takes for what they are not: inhibiting ones are MEIs."""
    return bool(store.manifest(ref).config.get("objective", "exciting") == "exciting")


def _shifts(p: StimulusParameters, kind: str) -> tuple[tuple[int, int], ...]:
    """Return all displacements that the fills want of a kind of image; none if no fill takes it."""
    wanted = [fill.shifts for fill in p.rules.fills if kind in {taken.kind for taken in fill.takes}]
    return tuple(dict.fromkeys(shift for shifts in wanted for shift in shifts))


def _fill(
    p: StimulusParameters, run: Run, fill: Fill, shown: Mapping[str, list[Any]], name: str | None
) -> Any:
    return run(
        make_stimulus_fill,
        StimulusFillConfig(loop_group=p.loop_group, fill=fill, name=name),
        label=fill.type,
        processed_images=[step for taken in fill.takes for step in shown.get(taken.kind, ())],
        corrected_high_unit_selection=p.selection,
        truth_panel=p.panel,
    )


def _moments(store: ArtifactStore, shown: ArtifactRef) -> str:
    """Say which mean and contrast images were brought to."""
    manifest = store.manifest(shown)
    target, found = manifest.config["target"]["type"], manifest.findings
    if target == "as_made":
        return ""
    unit = "cd/m²" if target == "luminance" else "grey levels"
    return f": mean {found['mean']:.4g}, RMS contrast {found['contrast']:.3g} {unit}"

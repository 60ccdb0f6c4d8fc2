"""Stage *stimulus*: images become bytes, fills, and the stimulus set of a later day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import flow

from flows._asked import Asked
from flows._images import Judged, with_ensembles
from flows._stage import Stage, StageResult, configured_store
from flows.cluster.runner import runner
from flows.observing import say
from flows.telling.findings import tell_stimulus
from flows.telling.runs import watched
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.steps import Run
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError
from inception_loop.images.monitor.calibration import (
    ProcessedMonitorCalibrationConfig,
    make_processed_monitor_calibration,
)
from inception_loop.images.monitor.closest import ClosestCalibrationConfig, make_closest_calibration
from inception_loop.images.monitor.processed_image import ProcessedImageConfig, make_processed_image
from inception_loop.images.monitor.shown_target import BestKnown, LuminanceTarget, ShownTarget
from inception_loop.parameters import StimulusParameters
from inception_loop.recordings.recording import ScanKey
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
    fills = [fill for _, fill in submit_fills(p, store, stage.submit)]
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
    tell_stimulus(store, result)
    say(stage.name, f"{made.kind}/{made.digest[:12]}: {said}")
    say(stage.name, f"  {_shown_at(p, store, result.refs['processed_image'][0])}")
    for line in found.get("warnings", []):
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


def submit_fills(p: StimulusParameters, store: ArtifactStore, run: Run) -> list[tuple[Fill, Any]]:
    """Submit the bytes of the images and the fills that take them; each fill with what stands for it."""
    wanted = p.rules.leaving_out(p.rules.leave_out).fills
    _check(p, store, wanted)
    shown = _process(p, store, run)
    return [(fill, _fill(p, run, fill, shown)) for fill in wanted]


def submit_set(p: StimulusParameters, run: Run, fills: Sequence[Any]) -> Any:
    """Submit the session that shows some fills."""
    session = StimulusSetConfig(loop_group=p.loop_group, session=p.rules.session)
    return run(make_stimulus_set, session, recording=p.recording, fills=fills, before=p.before)


def _check(p: StimulusParameters, store: ArtifactStore, fills: Sequence[Fill]) -> None:
    """Refuse what cannot become a session before any image is processed."""
    given = {ref.kind for ref in p.images if excites(store, ref)}
    for fill in fills:
        lacking = [taken.kind for taken in fill.takes if taken.kind not in given]
        if lacking:
            raise ConfigurationError(
                f"{fill.name} takes images of kind {lacking[0]}, which are not given; "
                f"expected {' and '.join(t.kind for t in fill.takes)}; make them, or drop the fill"
            )
    if isinstance(p.rules.target, LuminanceTarget) and not _measured(p, store):
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


def _process(p: StimulusParameters, store: ArtifactStore, run: Run) -> Mapping[str, list[Any]]:
    """Submit the bytes of every image that a fill takes; return them by kind of image."""
    monitor, models = _monitor(p, store, run), Judged.of(store, p.target_model)
    target = _target(p, monitor is not None)
    images = [ref for ref in p.images if excites(store, ref)]
    meis = sorted((ref for ref in images if ref.kind == "mei"), key=lambda ref: ref.digest)
    shown: dict[str, list[Any]] = {}
    for ref in images:
        shifts = _shifts(p, ref.kind)
        if not shifts:
            continue
        config = ProcessedImageConfig(
            group_id=p.group_id,
            target=target,
            zoom=_zoom(p, store, ref),
            zoom_rule=p.rules.zoom_rule,
            shifts=shifts,
        )
        step = run(
            with_ensembles(make_processed_image),
            config,
            label=f"{ref.kind} {ref.digest[:8]}",
            image=ref,
            calibration=monitor,
            like=meis,
            **models.for_cnn(),
        )
        shown.setdefault(ref.kind, []).append(step)
    return shown


def excites(store: ArtifactStore, ref: ArtifactRef) -> bool:
    """Whether an artifact holds images that no fill takes for what they are not: inhibiting ones are MEIs."""
    return bool(store.manifest(ref).config.get("objective", "exciting") == "exciting")


def _shifts(p: StimulusParameters, kind: str) -> tuple[tuple[int, int], ...]:
    """Return all displacements that the fills want of a kind of image; none if no fill takes it."""
    wanted = [fill.shifts for fill in p.rules.fills if kind in {taken.kind for taken in fill.takes}]
    return tuple(dict.fromkeys(shift for shifts in wanted for shift in shifts))


def _fill(p: StimulusParameters, run: Run, fill: Fill, shown: Mapping[str, list[Any]]) -> Any:
    return run(
        make_stimulus_fill,
        StimulusFillConfig(loop_group=p.loop_group, fill=fill),
        label=fill.type,
        processed_images=[step for taken in fill.takes for step in shown[taken.kind]],
        corrected_high_unit_selection=p.selection,
        truth_panel=p.panel,
    )


def _shown_at(p: StimulusParameters, store: ArtifactStore, shown: ArtifactRef) -> str:
    """Say which mean and contrast the images were brought to, and why it is not light if it is not."""
    manifest = store.manifest(shown)
    target, found = manifest.config["target"]["type"], manifest.findings
    if target == "as_made":
        return "images are shown as they were made"
    moments = f"mean {found['mean']:.4g}, RMS contrast {found['contrast']:.3g}"
    if target == "luminance":
        return f"all images are alike in light: {moments} cd/m²"
    why = "no calibration of the monitor is given"
    if p.calibrations:
        why = (
            "grey was asked for" if _measured(p, store) else "no calibration given is measured and has a time"
        )
    return f"all images are alike in grey levels, not in light ({why}): {moments}"


def _target(p: StimulusParameters, measured: bool) -> ShownTarget:
    """Return the target that is asked for, on a monitor that was measured or on another one."""
    asked = p.rules.target
    return asked.resolved(measured) if isinstance(asked, BestKnown) else asked


def _measured(p: StimulusParameters, store: ArtifactStore) -> list[ArtifactRef]:
    """Return the calibrations that count; one without a time does only where cd/m² are asked for."""
    measured = [ref for ref in p.calibrations if store.manifest(ref).findings.get("measured")]
    if isinstance(p.rules.target, LuminanceTarget):
        return measured  # one without a time is refused with what to do
    return [ref for ref in measured if store.table(ref, ref.kind)["timestamp"][0]]


def _monitor(p: StimulusParameters, store: ArtifactStore, run: Run) -> Any:
    """Submit the calibration of the rig nearest to the source scan; None if none was measured."""
    measured = _measured(p, store)
    if not measured:
        return None
    rules = p.rules.monitor
    read = {"rig": rules.rig, "curve": rules.curve, "noise": rules.noise}
    processed = [
        run(
            make_processed_monitor_calibration,
            ProcessedMonitorCalibrationConfig(scan=_scan(store, ref), **read),
            calibration=ref,
        )
        for ref in measured
    ]
    config = ClosestCalibrationConfig(
        scan=_scan(store, p.recording),
        rig=rules.rig,
        time=rules.time,
        timezone=rules.timezone,
        max_hours=rules.max_hours,
    )
    return run(make_closest_calibration, config, calibrations=processed)


def _scan(store: ArtifactStore, ref: ArtifactRef) -> ScanKey:
    return ScanKey(**store.manifest(ref).config["scan"])

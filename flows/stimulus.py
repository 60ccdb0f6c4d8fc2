"""Stage *stimulus*: images become bytes, fills, and the stimulus set of a later day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefect import flow

from flows._images import Judged, with_ensembles
from flows._stage import Stage, StageResult, configured_store, runner, say
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError
from inception_loop.images.monitor.calibration import (
    ProcessedMonitorCalibrationConfig,
    make_processed_monitor_calibration,
)
from inception_loop.images.monitor.closest import ClosestCalibrationConfig, make_closest_calibration
from inception_loop.images.monitor.processed_image import ProcessedImageConfig, make_processed_image
from inception_loop.images.monitor.shown_target import LuminanceTarget
from inception_loop.parameters import StimulusParameters
from inception_loop.recordings.recording import ScanKey
from inception_loop.stimuli.fills import Fill
from inception_loop.stimuli.stimulus_fill import StimulusFillConfig, make_stimulus_fill
from inception_loop.stimuli.stimulus_set import StimulusSetConfig, make_stimulus_set
from inception_loop.stimuli.target_group import (
    TargetStaticGroupIdConfig,
    make_target_static_group_id,
    next_number,
    targets,
)


@flow(name="stimulus", task_runner=runner())
def stimulus(parameters: StimulusParameters) -> StageResult:
    """Show every image at one mean and contrast, and put all of them into one seeded, blocked session."""
    p, store, stage = parameters, configured_store(), Stage("stimulus")
    wanted = p.rules.leaving_out(p.rules.leave_out).fills
    _check(p, store, wanted)
    shown = _process(p, store, stage)
    fills = [_fill(p, stage, fill, shown) for fill in wanted]
    session = StimulusSetConfig(loop_group=p.loop_group, session=p.rules.session)
    made = stage.wait(
        stage.submit(make_stimulus_set, session, recording=p.recording, fills=fills, before=p.before)
    )
    number = _name_target(p, store, stage, made)
    result = stage.result()
    found = store.manifest(made).findings
    say(
        stage.name,
        f"{made.kind}/{made.digest[:12]}: {found['n_images']} images, {found['n_trials']} trials, "
        f"{found['minutes']:.1f} min; shown next in loop {p.loop_group} (number {number})",
    )
    for line in found.get("warnings", []):
        say(stage.name, f"  warning: {line}")
    say(stage.name, f"  take it to the rig: inception-loop export --loop-group {p.loop_group} --output rig")
    return result


def _check(p: StimulusParameters, store: ArtifactStore, fills: Sequence[Fill]) -> None:
    """Refuse what cannot become a session before any image is processed."""
    given = {ref.kind for ref in p.images if _excites(store, ref)}
    for fill in fills:
        lacking = [taken.kind for taken in fill.takes if taken.kind not in given]
        if lacking:
            raise ConfigurationError(
                f"{fill.name} takes images of kind {lacking[0]}, which are not given; "
                f"expected {' and '.join(t.kind for t in fill.takes)}; make them, or drop the fill"
            )
    target = p.rules.target
    if isinstance(target, LuminanceTarget) and not _measured(p, store):
        raise ConfigurationError(
            f"a target of {target.mean:g} cd/m² has no monitor: {len(p.calibrations)} calibrations given, "
            "none of them measured; expected one; give monitor_calibration artifacts or a grey target"
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


def _process(p: StimulusParameters, store: ArtifactStore, stage: Stage) -> Mapping[str, list[Any]]:
    """Submit the bytes of every image that a fill takes; return them by kind of image."""
    monitor, models = _monitor(p, store, stage), Judged.of(store, p.target_model)
    images = [ref for ref in p.images if _excites(store, ref)]
    meis = [ref for ref in images if ref.kind == "mei"]
    shown: dict[str, list[Any]] = {}
    for ref in images:
        shifts = _shifts(p, ref.kind)
        if not shifts:
            continue
        config = ProcessedImageConfig(
            group_id=p.group_id,
            target=p.rules.target,
            zoom=_zoom(p, store, ref),
            zoom_rule=p.rules.zoom_rule,
            shifts=shifts,
        )
        step = stage.submit(
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


def _excites(store: ArtifactStore, ref: ArtifactRef) -> bool:
    """Whether an artifact holds images that no fill takes for what they are not: inhibiting ones are MEIs."""
    return bool(store.manifest(ref).config.get("objective", "exciting") == "exciting")


def _shifts(p: StimulusParameters, kind: str) -> tuple[tuple[int, int], ...]:
    """Return all displacements that the fills want of a kind of image; none if no fill takes it."""
    wanted = [fill.shifts for fill in p.rules.fills if kind in {taken.kind for taken in fill.takes}]
    return tuple(dict.fromkeys(shift for shifts in wanted for shift in shifts))


def _fill(p: StimulusParameters, stage: Stage, fill: Fill, shown: Mapping[str, list[Any]]) -> Any:
    return stage.submit(
        make_stimulus_fill,
        StimulusFillConfig(loop_group=p.loop_group, fill=fill),
        label=fill.type,
        processed_images=[step for taken in fill.takes for step in shown[taken.kind]],
        corrected_high_unit_selection=p.selection,
        truth_panel=p.panel,
    )


def _measured(p: StimulusParameters, store: ArtifactStore) -> list[ArtifactRef]:
    """Return the calibrations that count; by a grey target, one without a time does not."""
    measured = [ref for ref in p.calibrations if store.manifest(ref).findings.get("measured")]
    if isinstance(p.rules.target, LuminanceTarget):
        return measured  # one without a time is refused with what to do
    return [ref for ref in measured if store.table(ref, ref.kind)["timestamp"][0]]


def _monitor(p: StimulusParameters, store: ArtifactStore, stage: Stage) -> Any:
    """Submit the calibration of the rig nearest to the source scan; None if none was measured."""
    measured = _measured(p, store)
    if not measured:
        return None
    rules = p.rules.monitor
    read = {"rig": rules.rig, "curve": rules.curve, "noise": rules.noise}
    processed = [
        stage.submit(
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
    return stage.submit(make_closest_calibration, config, calibrations=processed)


def _scan(store: ArtifactStore, ref: ArtifactRef) -> ScanKey:
    return ScanKey(**store.manifest(ref).config["scan"])


def _name_target(p: StimulusParameters, store: ArtifactStore, stage: Stage, made: ArtifactRef) -> int:
    """Name the set as what the rig shows next; named already, it keeps its number."""
    standing = targets(store, p.loop_group)
    named = standing[-1].number if standing and standing[-1].stimulus_set == made else None
    number = next_number(store, p.loop_group) if named is None else named
    config = TargetStaticGroupIdConfig(loop_group=p.loop_group, number=number)
    stage.submit(make_target_static_group_id, config, stimulus_set=made)
    return number

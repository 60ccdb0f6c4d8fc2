"""NWB files written with pynwb, read back: every value is known."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynwb import NWBHDF5IO, H5DataIO, NWBFile, TimeSeries
from pynwb.base import ImageReferences, Images
from pynwb.behavior import BehavioralTimeSeries, EyeTracking, PupilTracking, SpatialSeries
from pynwb.epoch import TimeIntervals
from pynwb.image import GrayscaleImage, ImageSeries, IndexSeries, RGBImage
from pynwb.ophys import (
    DfOverF,
    Fluorescence,
    ImageSegmentation,
    OpticalChannel,
    PlaneSegmentation,
    RoiResponseSeries,
)

from inception_loop.errors import RecordingError
from inception_loop.recordings import nwb
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.nwb.file import NwbFile
from inception_loop.recordings.nwb.rows import JoinedRows, TimeRows
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import EyeTrace, Recording, ScanKey, Traces, TreadmillTrace

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pynwb says what is odd about bad files

SCAN = ScanKey(animal_id=26, session=3, scan_idx=1)
RNG = np.random.default_rng(7)
FRAMES, RATE, START = 60, 10.0, 2.5
IMAGES = RNG.integers(0, 256, (4, 6, 8), dtype=np.uint8)
TRACES = RNG.random((FRAMES, 3), dtype=np.float32)
SHOWN = [2, 0, 1, 2, 0]
ONSETS = 3.0 + np.arange(5) * 1.0


class Draft:
    """A file in the making, with pynwb's own objects."""

    def __init__(self) -> None:
        self.file = NWBFile(
            session_description="images shown to a mouse",
            identifier="id",
            session_start_time=datetime(2024, 5, 1, tzinfo=UTC),
        )
        self.ophys = self.file.create_processing_module(name="ophys", description="imaging")
        self.behavior = self.file.create_processing_module(name="behavior", description="it")
        self.microscope = self.file.create_device(name="microscope")
        self.segmentation = ImageSegmentation()
        self.ophys.add(self.segmentation)

    def plane(self, name: str = "plane", location: str = "VISp", **options: Any) -> Any:
        return self.file.create_imaging_plane(
            name=name,
            optical_channel=OpticalChannel(name="green", description="it", emission_lambda=520.0),
            description=options.pop("description", "a plane"),
            device=self.microscope,
            excitation_lambda=920.0,
            indicator="GCaMP6s",
            location=location,
            imaging_rate=RATE,
            **options,
        )

    def masks(
        self, plane: Any, ids: list[int], name: str = "masks", columns: dict[str, list[Any]] | None = None
    ) -> PlaneSegmentation:
        """Roi i of three pixels: centre of weight at (10 i + 0.75, 5 i + 0.25)."""
        table = self.segmentation.create_plane_segmentation(
            description="cells", imaging_plane=plane, name=name
        )
        columns = {"iscell": [True] * len(ids)} if columns is None else columns
        for column in columns:
            table.add_column(name=column, description="told by a person")
        for row, roi in enumerate(ids):
            x, y = 10 * roi, 5 * roi
            pixels = [(x, y, 1.0), (x + 1, y, 2.0), (x + 1, y + 1, 1.0)]
            table.add_roi(id=roi, pixel_mask=pixels, **{k: v[row] for k, v in columns.items()})
        return table

    def traces(
        self,
        table: PlaneSegmentation,
        data: Any,
        name: str = "traces",
        rows: list[int] | None = None,
        **clock: Any,
    ) -> RoiResponseSeries:
        rows = list(range(len(table.id))) if rows is None else rows
        region = table.create_roi_table_region(description="all", region=rows)
        return RoiResponseSeries(
            name=name,
            data=data,
            unit="a.u.",
            rois=region,
            **(clock or {"rate": RATE, "starting_time": START}),
        )

    def write(self, path: Path) -> Path:
        with NWBHDF5IO(path, "w") as io:
            io.write(self.file)
        return path


def stack(draft: Draft, images: Any = IMAGES, name: str = "scenes", **options: Any) -> ImageSeries:
    series = ImageSeries(name=name, data=images, unit="n.a.", rate=1.0, **options)
    draft.file.add_stimulus_template(series)
    return series


def shows(
    draft: Draft, numbers: list[int], onsets: Any = ONSETS, name: str = "shown", **images: Any
) -> IndexSeries:
    series = IndexSeries(
        name=name, data=np.array(numbers), unit="N/A", timestamps=np.asarray(onsets), **images
    )
    draft.file.add_stimulus(series)
    return series


def intervals(
    draft: Draft, columns: dict[str, list[Any]], onsets: Any = ONSETS, on: Any = 0.5, name: str = "trials"
) -> TimeIntervals:
    table = TimeIntervals(name=name, description="what was shown")
    for column in columns:
        table.add_column(name=column, description="of the trial")
    for row, onset in enumerate(onsets):
        off = onset + np.broadcast_to(on, len(onsets))[row]
        table.add_row(start_time=onset, stop_time=off, **{k: v[row] for k, v in columns.items()})
    draft.file.add_time_intervals(table)
    return table


def simple(**parts: Any) -> Draft:
    """The least: three cells, deconvolved, and a table of trials; parts override."""
    draft = Draft()
    table = draft.masks(draft.plane(), parts.get("ids", [4, 2, 9]), columns=parts.get("columns"))
    series = draft.traces(table, parts.get("traces", TRACES), "deconvolved", **parts.get("clock", {}))
    draft.ophys.add(Fluorescence(roi_response_series=[series]))
    if parts.get("images") is not False:
        stack(draft, parts.get("images", IMAGES))
    table_of = parts.get("trials", {"image_index": SHOWN})
    if table_of is not None:
        intervals(draft, table_of, parts.get("onsets", ONSETS), parts.get("on", 0.5))
    return draft


def read(path: Path, **options: Any) -> Recording:
    return nwb.read(path, SCAN, ReadOptions(**options))


def values(recording: Recording) -> Any:
    assert isinstance(recording.activity, Traces)
    return recording.activity.values[0 : recording.units.height]


def index_a_stack(file: h5py.File, numbers: list[int], name: str) -> None:
    """Add an IndexSeries over an ImageSeries: pynwb reads such a file, but no longer writes it."""
    group = file.create_group("stimulus/presentation/shown")
    group.attrs.update({"neurodata_type": "IndexSeries", "namespace": "core"})
    group["data"] = np.array(numbers, np.uint32)
    group["timestamps"] = ONSETS
    group["indexed_timeseries"] = h5py.SoftLink(f"/stimulus/templates/{name}")


def edit(path: Path, change: Callable[[h5py.File], None]) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


# -------------------------------------------------- an index series over images, as DANDI 000728


def indexed(path: Path) -> Path:
    draft = Draft()
    plane = draft.plane(
        location="V1, layer 2/3",
        origin_coords=[0.001, 0.002, 0.0003],
        origin_coords_unit="meters",
        grid_spacing=[2.0, 3.0],
        grid_spacing_unit="microns",
        reference_frame="bregma",
    )
    table = draft.masks(plane, [4, 2, 9])
    clock = {"timestamps": START + np.arange(FRAMES) / RATE}
    fluorescence = [draft.traces(table, TRACES + 9, "Corrected", timestamps=START + np.arange(FRAMES) / RATE)]
    clock = {"timestamps": fluorescence[0]}  # the others link to its clock
    fluorescence.append(draft.traces(table, TRACES + 9, "Neuropil", **clock))
    dff = [
        draft.traces(table, TRACES + 1, "DfOverF", **clock),
        draft.traces(table, TRACES, "DfOverFEvents", **clock),
    ]
    draft.ophys.add(Fluorescence(roi_response_series=fluorescence))
    draft.ophys.add(DfOverF(roi_response_series=dff))
    pictures = [GrayscaleImage(name=f"NaturalScene{k}", data=IMAGES[k]) for k in range(4)]
    order = ImageReferences(name="order_of_images", data=[pictures[k] for k in (3, 1, 0, 2)])
    images = Images(name="natural_scenes_template", images=pictures, order_of_images=order)
    draft.file.add_stimulus_template(images)
    shows(draft, [2, 0, 1, 2, 0], indexed_images=images)
    times = 90.0 + np.arange(50) / 20
    area = np.pi * np.arange(50.0) ** 2
    gaze = RNG.random((50, 2))
    draft.behavior.add(
        PupilTracking(time_series=TimeSeries(name="pupil_area", data=area, unit="px", timestamps=times))
    )
    draft.behavior.add(
        EyeTracking(
            spatial_series=SpatialSeries(
                name="gaze", data=gaze, reference_frame="camera", unit="px", conversion=2.0, timestamps=times
            )
        )
    )
    speed = TimeSeries(name="running_speed", data=np.arange(9.0), unit="m/s", rate=2.0, starting_time=1.0)
    draft.behavior.add(BehavioralTimeSeries(time_series=[speed]))
    return draft.write(path)


@pytest.fixture
def indexed_file(tmp_path: Path) -> Path:
    return indexed(tmp_path / "anything")


def test_an_index_series_over_ordered_images_comes_out_as_written(indexed_file: Path) -> None:
    recording = read(indexed_file, shown_s=0.25)
    assert recording.scan == SCAN
    assert recording.trace_kind == "deconvolved"
    np.testing.assert_array_equal(values(recording), TRACES.T)
    clock = START + np.arange(FRAMES) / RATE
    np.testing.assert_array_equal(recording.activity.frame_times, clock)  # type: ignore[union-attr]
    np.testing.assert_array_equal(recording.activity.behavior_frame_times, clock)  # type: ignore[union-attr]
    ordered = IMAGES[[3, 1, 0, 2]]
    hashes = [condition_hash(ordered[k], 0.25) for k in (2, 0, 1, 2, 0)]
    assert recording.trials["condition_hash"].to_list() == hashes
    assert recording.trials["trial_idx"].to_list() == [0, 1, 2, 3, 4]
    assert recording.trials["onset_flip"].to_list() == ONSETS.tolist()
    assert recording.trials["offset_flip"].is_nan().all()
    assert recording.trials["clear_flip"].is_nan().all()
    np.testing.assert_array_equal(recording.images, ordered[:3])
    assert recording.images.dtype == np.uint8
    shown = {row["condition_hash"]: row["image_row"] for row in recording.conditions.to_dicts()}
    assert {h: shown[h] for h in hashes} == {condition_hash(ordered[k], 0.25): k for k in (0, 1, 2)}
    assert set(recording.conditions["image_class"]) == {"natural"}


def test_images_without_an_order_are_counted_by_the_numbers_of_their_names(indexed_file: Path) -> None:
    def unorder(file: h5py.File) -> None:
        del file["stimulus/templates/natural_scenes_template/order_of_images"]

    recording = read(edit(indexed_file, unorder), shown_s=0.25)
    np.testing.assert_array_equal(recording.images, IMAGES[:3])


def test_masks_and_planes_come_out_in_pixels_and_micrometres(indexed_file: Path) -> None:
    recording = read(indexed_file, shown_s=0.25)
    ids = np.array([4, 2, 9])
    units = recording.units
    assert units["unit_id"].to_list() == ids.tolist()
    np.testing.assert_allclose(units["px_x"], 10 * ids + 0.75)
    np.testing.assert_allclose(units["px_y"], 5 * ids + 0.25)
    np.testing.assert_allclose(units["um_x"], 1000 + 2 * (10 * ids + 0.75), rtol=1e-6)
    np.testing.assert_allclose(units["um_y"], 2000 + 3 * (5 * ids + 0.25), rtol=1e-6)
    np.testing.assert_allclose(units["um_z"], 300, rtol=1e-6)
    assert units["brain_area"].to_list() == ["V1"] * 3
    assert units["layer"].to_list() == ["L2/3"] * 3
    assert units["mask_type"].to_list() == ["soma"] * 3
    assert units["ms_delay"].to_list() == [0.0] * 3
    assert recording.fields["field"].to_list() == [1]
    assert recording.fields.select("px_height", "um_width", "x").to_numpy().tolist()[0][0] != 0
    assert np.isnan(recording.fields["px_height"][0])  # pixel lists do not tell how large the field is


def test_eye_and_running_come_out_in_their_units(indexed_file: Path) -> None:
    recording = read(indexed_file, shown_s=0.25)
    eye, treadmill = recording.eye, recording.treadmill
    assert isinstance(eye, EyeTrace)
    assert isinstance(treadmill, TreadmillTrace)
    with h5py.File(indexed_file) as file:
        gaze = file["processing/behavior/EyeTracking/gaze/data"][()]
    np.testing.assert_allclose(eye.pupil_radius, np.arange(50.0))
    np.testing.assert_array_equal(eye.time, 90.0 + np.arange(50) / 20)
    np.testing.assert_array_equal(eye.center_x, 2 * gaze[:, 0])
    np.testing.assert_array_equal(eye.center_y, 2 * gaze[:, 1])
    np.testing.assert_array_equal(treadmill.velocity, 100 * np.arange(9.0))
    np.testing.assert_array_equal(treadmill.time, 1.0 + np.arange(9) / 2)


def test_the_trace_kind_asked_for_is_taken(indexed_file: Path) -> None:
    recording = read(indexed_file, shown_s=0.25, trace_kind="dff")
    assert recording.trace_kind == "dff"
    np.testing.assert_array_equal(values(recording), TRACES.T + 1)


def test_a_named_series_is_what_one_says_it_is(indexed_file: Path) -> None:
    names = {"traces": "/processing/ophys/Fluorescence/Corrected"}
    recording = read(indexed_file, shown_s=0.25, trace_kind="spikes", names=names)
    assert recording.trace_kind == "spikes"
    np.testing.assert_array_equal(values(recording), TRACES.T + 9)
    with pytest.raises(RecordingError, match=r"does not say what .*Corrected .*set trace_kind"):
        read(indexed_file, shown_s=0.25, names=names)
    with pytest.raises(RecordingError, match=r"no activity at '/nowhere'.*DfOverFEvents"):
        read(indexed_file, shown_s=0.25, names={"traces": "/nowhere"})


def test_images_that_follow_faster_than_they_are_shown_are_refused(indexed_file: Path) -> None:
    with pytest.raises(RecordingError, match=r"trial 1 .* before trial 0 ends .* 1.5 s; .*set shown_s"):
        read(indexed_file, shown_s=1.5)


# -------------------------------------------------- a table of presentations, as the Allen Institute


NAMES = ["im000", "im031", "im035", "im045"]


def allen(path: Path) -> Path:
    draft = Draft()
    plane = draft.plane(description="(512, 512) field of view in VISl at depth 175 um", location="VISl")
    table = draft.segmentation.create_plane_segmentation(
        description="cells", imaging_plane=plane, name="cell_specimen_table"
    )
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 2:4, 5:9], masks[1, 10, 3], masks[2, 7:10, 20:23] = True, True, True
    for column in ("cell_specimen_id", "valid_roi"):
        table.add_column(name=column, description="of the cell")
    for row in range(3):
        table.add_roi(id=70 + row, image_mask=masks[row], cell_specimen_id=10**9 + row, valid_roi=row != 1)
    clock = {"timestamps": START + np.arange(FRAMES) / RATE}
    draft.ophys.add(DfOverF(name="dff", roi_response_series=[draft.traces(table, TRACES, "traces", **clock)]))
    float_images = IMAGES.astype(np.float32)  # whole grey levels, stored as float
    stack(
        draft, float_images, "natural_images", control=np.arange(4, dtype=np.uint8), control_description=NAMES
    )
    rows = [NAMES[k] for k in SHOWN]
    rows[1] = "omitted"
    index: list[float] = [float(k) for k in SHOWN]
    index[1] = float("nan")
    columns = {"image_name": rows, "image_index": index, "omitted": [name == "omitted" for name in rows]}
    intervals(draft, columns, on=[0.25, 0.25, 0.267, 0.25, 0.249], name="natural_images_presentations")
    draft.file.add_invalid_time_interval(start_time=5.9, stop_time=6.1, tags=["motion"])
    times = 1.0 + np.arange(40) / 30
    blink = TimeSeries(name="likely_blink", data=np.arange(40) % 7 == 0, unit="N/A", timestamps=times)
    ellipses = [
        SpatialSeries(
            name=name, data=RNG.random((40, 2)), reference_frame="camera", unit="px", timestamps=times
        )
        for name in ("eye_tracking", "pupil_tracking", "corneal_reflection_tracking")
    ]
    tracking = EyeTracking(spatial_series=ellipses)
    draft.file.add_acquisition(tracking)
    draft.file.create_processing_module(name="running", description="it").add(
        TimeSeries(name="speed", data=np.linspace(-3, 30, 80), unit="cm/s", rate=20.0)
    )
    draft.behavior.add(blink)
    draft.write(path)

    def extend(file: h5py.File) -> None:  # what the ndx-ellipse-eye-tracking extension adds
        for k, series in enumerate(ellipses):
            group = file["acquisition/EyeTracking"][series.name]
            group.attrs["neurodata_type"] = "EllipseSeries"
            group["area"] = np.pi * (np.arange(40.0) + k) ** 2
            group["width"] = group["height"] = np.ones(40)
        index_a_stack(file, SHOWN, "natural_images")
        file.move("processing/behavior/likely_blink", "acquisition/EyeTracking/likely_blink")

    return edit(path, extend)


@pytest.fixture
def allen_file(tmp_path: Path) -> Path:
    return allen(tmp_path / "session.nwb")


def test_a_table_of_presentations_comes_out_as_written(allen_file: Path) -> None:
    recording = read(allen_file)
    assert recording.trace_kind == "dff"
    np.testing.assert_array_equal(values(recording), TRACES.T)
    hashes = [condition_hash(IMAGES[k], 0.25) for k in (2, 1, 2, 0)]
    assert recording.trials["trial_idx"].to_list() == [0, 2, 3, 4]
    assert recording.trials["condition_hash"].to_list() == hashes
    assert recording.trials["onset_flip"].to_list() == ONSETS[[0, 2, 3, 4]].tolist()
    np.testing.assert_allclose(
        recording.trials["offset_flip"], ONSETS[[0, 2, 3, 4]] + [0.25, 0.267, 0.25, 0.249]
    )
    np.testing.assert_array_equal(recording.images, IMAGES[:3])
    assert recording.images.dtype == np.uint8


def test_rows_without_an_image_are_no_trials_and_invalid_times_are_excluded(allen_file: Path) -> None:
    recording = read(allen_file)
    assert recording.trials["trial_idx"].to_list() == [0, 2, 3, 4]
    assert recording.excluded_trials.rows() == [(3, "lies in invalid_times of the file")]


def test_image_masks_tell_centre_and_field(allen_file: Path) -> None:
    recording = read(allen_file)
    units = recording.units
    assert units["unit_id"].to_list() == [70, 71, 72]
    assert units["px_x"].to_list() == [6.5, 3.0, 21.0]
    assert units["px_y"].to_list() == [2.5, 10.0, 8.0]
    assert units["um_x"].is_nan().all()
    assert units["um_z"].to_list() == [175.0] * 3
    assert units["brain_area"].to_list() == ["LM"] * 3
    assert units["mask_type"].to_list() == ["soma", "artifact", "soma"]
    assert recording.fields.select("field", "px_height", "px_width", "z").rows() == [(1, 20.0, 30.0, 175.0)]
    assert read(allen_file, names={"unit_id": "cell_specimen_id"}).units["unit_id"][0] == 10**9


def test_a_pupil_ellipse_is_its_area_outside_blinks(allen_file: Path) -> None:
    eye, treadmill = read(allen_file).eye, read(allen_file).treadmill
    with h5py.File(allen_file) as file:
        centre = file["acquisition/EyeTracking/pupil_tracking/data"][()]
    shut = np.arange(40) % 7 == 0
    assert isinstance(eye, EyeTrace)
    np.testing.assert_allclose(eye.pupil_radius, np.where(shut, np.nan, np.arange(40.0) + 1))
    np.testing.assert_array_equal(eye.center_x, np.where(shut, np.nan, centre[:, 0]))
    assert isinstance(treadmill, TreadmillTrace)
    np.testing.assert_array_equal(treadmill.velocity, np.linspace(-3, 30, 80))


def test_the_index_series_beside_a_table_can_be_chosen(allen_file: Path) -> None:
    recording = read(allen_file, names={"trials": "/stimulus/presentation/shown"})
    assert recording.trials.height == 5
    with pytest.raises(
        RecordingError, match=r"neither a table .* at '/intervals/no'.*natural_images_presentations"
    ):
        read(allen_file, names={"trials": "/intervals/no"})


def test_left_out_parts_are_none(allen_file: Path) -> None:
    recording = read(allen_file, names={"pupil": "none", "gaze": "none", "treadmill": "none"})
    assert recording.eye is None
    assert recording.treadmill is None


# -------------------------------------------------- several planes, compressed


def planes(path: Path, delays: tuple[float, ...] = (0.0, 0.03, 0.06), same_ids: bool = False) -> Path:
    draft = Draft()
    series = []
    for k, delay in enumerate(delays):
        plane = draft.plane(
            f"plane{k + 8}",
            "unknown",
            origin_coords=[0.0, 0.0, 100.0 + 50 * k],
            origin_coords_unit="um",
            grid_spacing=[0.001, 0.001],
            grid_spacing_unit="millimeters",
        )
        ids = [4, 2, 9] if same_ids else [10 * k + 1, 10 * k + 2, 10 * k + 3]
        kinds = ["soma", "Dendrite", ""]
        columns = {
            "mask_type": kinds,
            "brain_area": ["LM", "", "RL"],
            "layer": ["2/3", "L4", ""],
            "delay": [0.0, 0.001, 0.002],
        }
        table = draft.masks(plane, ids, f"masks{k + 8}", columns)
        data = H5DataIO(
            data=TRACES[: FRAMES - (k == 1)] + k, compression="gzip", chunks=(16, 2), shuffle=True
        )
        clock = START + delay + np.arange(FRAMES - (k == 1)) / RATE
        series.append(draft.traces(table, data, f"plane{k + 8}", timestamps=clock))
    draft.ophys.add(Fluorescence(name="Deconvolved", roi_response_series=series))
    colours = np.repeat(IMAGES[..., None], 3, axis=-1)
    colours[3, ..., 0] = 0
    pictures = [RGBImage(name=name, data=colours[k]) for k, name in enumerate(NAMES)]
    draft.file.add_stimulus_template(Images(name="pictures", images=pictures))
    columns = {
        "image_name": [NAMES[k] for k in (3, 0, 1, 3)],
        "tier": ["test", "train", "val", "test"],
        "source_id": ["a", "b", "b", "a"],
        "image_class": ["imagenet"] * 4,
        "trial_number": [11, 12, 14, 15],
        "clear_flip": [2.9, 3.9, 4.9, 5.9],
    }
    intervals(draft, columns, ONSETS[:4])
    return draft.write(path)


def test_planes_scanned_in_turn_are_fields_with_delays(tmp_path: Path) -> None:
    recording = read(planes(tmp_path / "a.nwb"))
    units = recording.units
    assert units["unit_id"].to_list() == [1, 2, 3, 11, 12, 13, 21, 22, 23]
    assert units["field"].to_list() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    np.testing.assert_allclose(units["ms_delay"], [0, 1, 2, 30, 31, 32, 60, 61, 62], atol=1e-6)
    assert units["um_z"].to_list() == [100.0] * 3 + [150.0] * 3 + [200.0] * 3
    np.testing.assert_allclose(units["um_x"], units["px_x"], rtol=1e-6)
    assert units["mask_type"].to_list() == ["soma", "dendrite", "unknown"] * 3
    assert units["brain_area"].to_list() == ["LM", None, "RL"] * 3
    assert units["layer"].to_list() == ["L2/3", "L4", None] * 3
    assert recording.fields["z"].to_list() == [100.0, 150.0, 200.0]
    frames = FRAMES - 1
    np.testing.assert_array_equal(
        values(recording), np.concatenate([TRACES[:frames].T + k for k in range(3)])
    )
    np.testing.assert_allclose(
        recording.activity.frame_times,
        START + np.arange(frames) / RATE,  # type: ignore[union-attr]
    )


def test_tiers_sources_classes_and_numbers_of_trials_are_kept(tmp_path: Path) -> None:
    recording = read(planes(tmp_path / "a.nwb"))
    assert recording.trials["trial_idx"].to_list() == [11, 12, 14, 15]
    assert recording.trials["clear_flip"].to_list() == [2.9, 3.9, 4.9, 5.9]
    shown = recording.trials.join(recording.conditions, on="condition_hash", maintain_order="left")
    assert shown["tier"].to_list() == ["test", "train", "validation", "test"]
    assert shown["source_id"].to_list() == ["a", "b", "b", "a"]
    assert set(shown["image_class"]) == {"imagenet"}
    red = np.rint(0.587 * IMAGES[3] + 0.114 * IMAGES[3].astype(float)).astype(np.uint8)  # no red in it
    np.testing.assert_array_equal(
        recording.images[shown["image_row"].to_numpy()], [red, IMAGES[0], IMAGES[1], red]
    )


def test_an_area_and_layer_told_by_options_fill_what_the_file_leaves_open(tmp_path: Path) -> None:
    units = read(planes(tmp_path / "a.nwb"), brain_area="AL", layer="L5", masks="soma").units
    assert units["brain_area"].to_list() == ["LM", "AL", "RL"] * 3
    assert units["layer"].to_list() == ["L2/3", "L4", "L5"] * 3
    assert units["mask_type"].to_list() == ["soma", "dendrite", "soma"] * 3


def test_ids_that_repeat_over_planes_are_told_apart_by_the_field(tmp_path: Path) -> None:
    units = read(planes(tmp_path / "a.nwb", same_ids=True)).units
    assert units["unit_id"].to_list() == [f * 1_000_000 + i for f in (1, 2, 3) for i in (4, 2, 9)]


@pytest.mark.parametrize("delays", [(0.0, 0.03, 0.11), (0.0, 7.0, 0.0)])
def test_planes_on_different_clocks_are_refused(tmp_path: Path, delays: tuple[float, ...]) -> None:
    with pytest.raises(
        RecordingError, match=r"plane.* run on different clocks .*one by one with names.traces"
    ):
        read(planes(tmp_path / "a.nwb", delays))
    one = read(planes(tmp_path / "b.nwb", delays), names={"traces": "/processing/ophys/Deconvolved/plane9"})
    assert one.units["unit_id"].to_list() == [11, 12, 13]


def test_planes_of_another_rate_are_refused(tmp_path: Path) -> None:
    path = planes(tmp_path / "a.nwb")

    def faster(file: h5py.File) -> None:
        clock = file["processing/ophys/Deconvolved/plane9/timestamps"]
        clock[...] = START + 0.03 + np.arange(len(clock)) / (RATE * 1.01)

    with pytest.raises(RecordingError, match="different clocks"):
        read(edit(path, faster))


# -------------------------------------------------- images


def test_shares_of_one_become_grey_levels(tmp_path: Path) -> None:
    images = IMAGES / 255
    recording = read(simple(images=images).write(tmp_path / "a.nwb"))
    assert recording.images.dtype == np.float32
    np.testing.assert_allclose(recording.images, IMAGES[:3], atol=1e-4)


def test_images_with_the_same_pixels_are_one_condition(tmp_path: Path) -> None:
    images = IMAGES.copy()
    images[2] = images[0]
    recording = read(simple(images=images).write(tmp_path / "a.nwb"))
    assert recording.conditions.height == 2
    np.testing.assert_array_equal(recording.images, IMAGES[:2])
    assert recording.trials["condition_hash"].n_unique() == 2


def test_minus_one_written_unsigned_is_no_image(tmp_path: Path) -> None:
    path = simple(trials=None).write(tmp_path / "a.nwb")
    recording = read(edit(path, lambda file: index_a_stack(file, [2, 2**32 - 1, 1, 2, 0], "scenes")))
    assert recording.trials["trial_idx"].to_list() == [0, 2, 3, 4]
    assert recording.excluded_trials.height == 0


def test_images_in_other_files_are_refused_by_what_is_wrong_with_them(tmp_path: Path) -> None:
    for name, words in (
        ("gone.tif", "'gone.tif', which is missing"),
        ("../out.tif", "'../out.tif', outside the folder"),
        ("here.tif", "'here.tif'; external images are not decoded"),
    ):
        draft = simple(images=False)
        series = ImageSeries(
            name="scenes", external_file=[name], format="external", timestamps=[0.0], unit="n.a."
        )
        draft.file.add_stimulus_template(series)
        (tmp_path / "here.tif").touch()
        with pytest.raises(RecordingError, match=words):
            read(draft.write(tmp_path / "a.nwb"))


def test_unordered_images_are_shown_by_name_only(tmp_path: Path) -> None:
    draft = simple(images=False)
    draft.file.add_stimulus_template(
        Images(name="p", images=[GrayscaleImage(name=n, data=IMAGES[0]) for n in ("cat", "dog")])
    )
    with pytest.raises(RecordingError, match="no order_of_images"):
        read(draft.write(tmp_path / "a.nwb"))


# -------------------------------------------------- bad files


def refused(path: Path, words: str, **options: Any) -> None:
    with pytest.raises(RecordingError, match=words) as caught:
        read(path, **options)
    assert "\n" not in str(caught.value)


def test_what_is_no_nwb_is_not_recognised(tmp_path: Path) -> None:
    assert nwb.recognises(simple().write(tmp_path / "no_suffix"))
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["x"] = 1
    (tmp_path / "text.nwb").write_text("neurodata")
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    for name in ("other.nwb", "text.nwb", "dangling", "gone", "."):
        assert not nwb.recognises(tmp_path / name)
    refused(tmp_path / "other.nwb", "expected NWB 2")
    refused(tmp_path / "text.nwb", "cannot be opened as HDF5")
    refused(tmp_path / "gone", "gone:? cannot be (opened|read)")


def test_truncated_files_are_refused_in_one_line(tmp_path: Path) -> None:
    whole = simple().write(tmp_path / "a.nwb").read_bytes()
    for share in (0.0, 0.001, 0.3, 0.9, 0.999):
        path = tmp_path / "cut.nwb"
        path.write_bytes(whole[: int(len(whole) * share)])
        assert not nwb.recognises(path)
        refused(path, "cut.nwb:? cannot be (opened|read)")


def test_files_that_lack_a_part_say_which(tmp_path: Path) -> None:
    refused(simple(images=False).write(tmp_path / "a.nwb"), "holds no images")
    refused(simple(trials=None).write(tmp_path / "b.nwb"), "does not say when its images were shown")
    draft = Draft()
    stack(draft)
    intervals(draft, {"image_index": SHOWN})
    refused(draft.write(tmp_path / "c.nwb"), "holds no activity: no RoiResponseSeries")


def test_masks_that_nobody_classified_are_refused_or_taken(tmp_path: Path) -> None:
    path = simple(columns={}).write(tmp_path / "a.nwb")
    refused(path, "does not say which masks are somata.*set masks='soma'")
    assert read(path, masks="soma").units["mask_type"].to_list() == ["soma"] * 3


def test_unknown_classes_of_masks_name_the_unit(tmp_path: Path) -> None:
    path = simple(columns={"mask_type": ["soma", "blob", "soma"]}).write(tmp_path / "a.nwb")
    refused(path, "unit 2 has mask_type 'blob'")


def test_a_trace_of_nan_names_the_unit(tmp_path: Path) -> None:
    traces = TRACES.copy()
    traces[:, 1] = np.nan
    refused(simple(traces=traces).write(tmp_path / "a.nwb"), "trace of unit 2 is all NaN")


def test_clocks_that_run_backwards_name_the_sample(tmp_path: Path) -> None:
    clock = START + np.arange(FRAMES) / RATE
    clock[30] = clock[28]
    path = simple(clock={"timestamps": clock}).write(tmp_path / "a.nwb")
    refused(path, "frame_times does not increase at sample 30")


def test_traces_stored_the_other_way_round_are_refused(tmp_path: Path) -> None:
    path = simple().write(tmp_path / "a.nwb")

    def turn(file: h5py.File) -> None:
        group = file["processing/ophys/Fluorescence/deconvolved"]
        del group["data"]
        group["data"] = TRACES.T

    refused(edit(path, turn), r"shape \(3, 60\) for 3 rois; expected \(times, 3\).*transpose")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"onsets": ONSETS[[0, 2, 1, 3, 4]]}, "trial 2 .*begins at 4.000 s, not after trial 1"),
        ({"on": [0.5, 1.2, 0.5, 0.5, 0.5]}, "trial 2 .*begins at 5.000 s, before trial 1 ends at 5.200 s"),
        ({"on": [0.5, 0.5, 0.5, -0.1, 0.5]}, "trial 3 .*ends at 5.900 s but begins at 6.000 s"),
        ({"onsets": [3.0, 4.0, np.nan, 6.0, 7.0]}, "trial 2 .*begins at nan s"),
        ({"trials": {"image_index": [0, 1, 4, 2, 1]}}, "trial 2 shows image 4 .*below the 4 images"),
        ({"trials": {"image_index": [-1] * 5}}, "shows no image in any of its 5 rows"),
        ({"trials": {"image_name": ["a"] * 5}}, "does not tell the images of /stimulus/templates/scenes"),
        (
            {"trials": {"image_index": SHOWN, "tier": ["train", "val", "val", "test", "val"]}},
            "trials 0 and 3 .*show one image but say tier 'train' and 'test'",
        ),
        (
            {"trials": {"image_index": SHOWN, "tier": ["train"] * 4 + ["live"]}},
            "trial 4 .*has tier 'live'",
        ),
        ({"trials": {"image_index": SHOWN, "trial_idx": [1, 2, 3, 2, 4]}}, "trial 2 stands twice"),
        ({"ids": [4, 2, 4]}, "roi id 4 stands 2 times in .*/masks"),
        ({"images": IMAGES.astype(float) * 3}, r"image \d of .* holds levels from"),
    ],
)
def test_contradictions_name_trial_unit_or_image(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    refused(simple(**change).write(tmp_path / "a.nwb"), words)


def test_images_of_two_sizes_are_refused(tmp_path: Path) -> None:
    draft = simple(images=False)
    pictures = [GrayscaleImage(name=f"im{k}", data=IMAGES[k][: 6 - (k == 2)]) for k in range(4)]
    draft.file.add_stimulus_template(Images(name="pictures", images=pictures))
    refused(draft.write(tmp_path / "a.nwb"), r"image 2 \(im2\) of .* has 5x8 pixels but image 0 \(im0\)")


def test_several_candidates_are_listed(tmp_path: Path) -> None:
    draft = simple()
    table = draft.segmentation.plane_segmentations["masks"]
    draft.ophys.add(
        DfOverF(name="deconvolved_2", roi_response_series=[draft.traces(table, TRACES + 1, "again")])
    )
    intervals(draft, {"frame": SHOWN}, name="movie_presentations")
    stack(draft, name="movie")
    draft.behavior.add(TimeSeries(name="speed", data=np.zeros(5), unit="furlong", rate=1.0))
    path = draft.write(tmp_path / "a.nwb")
    refused(
        path, "several series of the masks .*Fluorescence/deconvolved .*deconvolved_2/again.*names.traces"
    )
    names = {"traces": "/processing/ophys/deconvolved_2"}
    refused(path, "several tables .*movie_presentations, /intervals/trials.*names.trials", names=names)
    names |= {"trials": "/intervals/trials"}
    refused(path, "several sets of images: .*/movie, .*/scenes.*names.images", names=names)
    names |= {"images": "/stimulus/templates/scenes"}
    refused(path, "speed has the unit 'furlong'.*names.treadmill_unit", names=names)
    names |= {"treadmill_unit": "cm/s"}
    np.testing.assert_array_equal(values(read(path, names=names)), TRACES.T + 1)


def test_a_pupil_size_of_unknown_kind_is_asked_for(tmp_path: Path) -> None:
    draft = simple()
    draft.behavior.add(
        PupilTracking(time_series=TimeSeries(name="pupil_size", data=np.arange(5.0), unit="px", rate=1.0))
    )
    path = draft.write(tmp_path / "a.nwb")
    refused(path, "pupil_size does not say whether it is the radius, diameter or area")
    eye = read(path, names={"pupil_quantity": "diameter"}).eye
    assert isinstance(eye, EyeTrace)
    np.testing.assert_array_equal(eye.pupil_radius, np.arange(5.0) / 2)
    assert np.isnan(eye.center_x).all()


# -------------------------------------------------- nothing outside the file is read


SERIES = "processing/ophys/Fluorescence/deconvolved"
DATASETS = [
    f"{SERIES}/data",
    f"{SERIES}/timestamps",
    "intervals/trials/image_index",
    "stimulus/templates/scenes/data",
]


@pytest.mark.parametrize(
    ("place", "how"),
    [(place, how) for place in DATASETS for how in ("link", "link behind a link", "storage", "virtual")]
    + [(SERIES, "link"), (SERIES, "link behind a link")],
)
def test_links_and_storage_that_leave_the_file_are_refused(tmp_path: Path, place: str, how: str) -> None:
    clock = {"timestamps": START + np.arange(FRAMES) / RATE}
    path = simple(clock=clock).write(tmp_path / "a.nwb")
    other = simple(clock=clock).write(tmp_path / "other.nwb")

    def lead_out(file: h5py.File) -> None:
        old = file[place]
        shape, dtype, attributes = getattr(old, "shape", ()), getattr(old, "dtype", "f4"), dict(old.attrs)
        del file[place]
        if how == "link":
            file[place] = h5py.ExternalLink(other.name, f"/{place}")
        elif how == "link behind a link":
            file["scratch"] = h5py.ExternalLink(other.name, "/")
            file[place] = h5py.SoftLink(f"/scratch/{place}")
        elif how == "storage":
            size = int(np.prod(shape)) * dtype.itemsize
            file.create_dataset(place, shape, dtype, external=[(str(other), 0, size)])
        else:
            layout = h5py.VirtualLayout(shape, dtype)
            layout[...] = h5py.VirtualSource(str(other), place, shape)
            file.create_virtual_dataset(place, layout)
        if how in ("storage", "virtual"):
            file[place].attrs.update(
                {k: v for k, v in attributes.items() if not isinstance(v, h5py.Reference)}
            )

    words = "another file, 'other.nwb'" if "link" in how else "keeps its values in other files"
    if how == "link behind a link" and place == SERIES:
        words = "holds no activity"  # soft links are not searched
    refused(edit(path, lead_out), words)


def test_raw_data_of_other_files_are_not_needed(tmp_path: Path) -> None:
    def lead_out(file: h5py.File) -> None:
        file["acquisition/TwoPhotonSeries"] = h5py.ExternalLink("raw.nwb", "/acquisition/TwoPhotonSeries")

    path = edit(simple().write(tmp_path / "a.nwb"), lead_out)
    np.testing.assert_array_equal(values(read(path)), TRACES.T)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    path = simple().write(tmp_path / "a.nwb")

    def turn(file: h5py.File) -> None:
        del file["stimulus/templates/scenes/data"]
        file["stimulus/templates/scenes/data"] = h5py.SoftLink("/stimulus/templates/scenes/data")
        file["stimulus/templates/scenes/again"] = file["stimulus"]  # a hard link up

    refused(edit(path, turn), "links in a circle")


def test_parts_that_were_never_written_are_refused(tmp_path: Path) -> None:
    path = simple().write(tmp_path / "a.nwb")

    def half(file: h5py.File) -> None:
        group = file["processing/ophys/Fluorescence/deconvolved"]
        del group["data"]
        group.create_dataset("data", (FRAMES, 3), "f4", chunks=(10, 3))[:20] = TRACES[:20]

    refused(edit(path, half), "data claims 6 chunks but the file holds 2")


def test_attributes_of_ragged_values_are_refused_before_the_library_crashes_on_them(tmp_path: Path) -> None:
    path = simple().write(tmp_path / "a.nwb")

    def ragged(file: h5py.File) -> None:
        group = file["processing/ophys/Fluorescence/deconvolved/data"]
        del group.attrs["conversion"]
        values = np.empty(1, object)
        values[0] = np.arange(3.0)
        group.attrs.create("conversion", values, dtype=h5py.vlen_dtype("f8"))

    refused(edit(path, ragged), "attribute conversion of .* holds neither text nor numbers")


def test_random_damage_is_one_line_or_a_sound_recording(tmp_path: Path) -> None:
    whole = planes(tmp_path / "a.nwb").read_bytes()
    rng = np.random.default_rng(3)
    for number in range(40):
        bad = bytearray(whole)
        for _ in range(int(rng.integers(1, 60))):
            bad[int(rng.integers(len(bad)))] = int(rng.integers(256))
        path = tmp_path / f"bad{number}.nwb"  # HDF5 shares what it knows of a file that is still open
        path.write_bytes(bad)
        nwb.recognises(path)
        try:
            recording = read(path)
            recording.activity.values[0:9]
        except RecordingError as error:
            assert "\n" not in str(error)  # noqa: PT017


# -------------------------------------------------- streaming


STORAGE = [
    {},
    {"chunks": (7, 3)},
    {"chunks": (5, 11), "compression": "gzip"},
    {"chunks": (23, 2), "compression": "lzf"},
    {"chunks": True},
]


@pytest.mark.parametrize("storage", STORAGE)
@pytest.mark.parametrize("panel_bytes", [1, 900, 10**9])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
def test_rows_are_the_transpose_however_they_are_stored(
    tmp_path: Path, storage: dict[str, Any], panel_bytes: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inception_loop.recordings.nwb.rows.STRIPE_BYTES", 200)
    stored = RNG.integers(-99, 99, (23, 11)).astype(dtype)
    path = tmp_path / "a.nwb"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=stored, **storage).attrs.update({"conversion": 0.5, "offset": 2.0})
    opened = NwbFile(path)
    rows = TimeRows(opened, opened.file["x"], panel_bytes)
    expected = stored.T.astype(np.float32) * 0.5 + 2
    assert rows.shape == (11, 23)
    for part in (
        slice(0, 11),
        slice(3, 4),
        slice(2, 9),
        slice(0, 2),
        slice(8, 99),
        slice(5, 5),
        slice(None, None, -3),
    ):
        got = rows[part]
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, expected[part])
    joined = JoinedRows([rows, expected[:4, :20]])
    for part in (slice(0, 15), slice(9, 13), slice(11, 12), slice(None, None, 4)):
        np.testing.assert_array_equal(
            joined[part], np.concatenate([expected[:, :20], expected[:4, :20]])[part]
        )
    opened.close()


def test_the_file_stays_open_as_long_as_its_recording(tmp_path: Path) -> None:
    activity = read(simple().write(tmp_path / "a.nwb")).activity
    np.testing.assert_array_equal(activity.values[1:3], TRACES.T[1:3])


# -------------------------------------------------- any file


@settings(max_examples=12)
@given(data=st.data())
def test_any_file_comes_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    units, frames, trials, n_images = (data.draw(st.integers(*b)) for b in ((1, 7), (2, 40), (1, 12), (1, 5)))
    traces = rng.normal(size=(frames, units)).astype(np.float32)
    images = rng.integers(0, 256, (n_images, 3, 5), dtype=np.uint8)
    shown = rng.integers(0, n_images, trials)
    ids = rng.permutation(1000)[:units]
    onsets = np.cumsum(rng.uniform(0.6, 2, trials))
    draft = Draft()
    table = draft.masks(draft.plane(), [int(i) for i in ids])
    rows = [int(row) for row in rng.permutation(units)[: data.draw(st.integers(1, units))]]
    wrapped = (
        H5DataIO(data=traces[:, rows], compression="gzip") if data.draw(st.booleans()) else traces[:, rows]
    )
    draft.ophys.add(
        Fluorescence(name="Deconvolved", roi_response_series=[draft.traces(table, wrapped, rows=rows)])
    )
    if data.draw(st.booleans()):
        pictures = [GrayscaleImage(name=f"im{k}", data=image) for k, image in enumerate(images)]
        order = ImageReferences(name="order_of_images", data=pictures)
        holder = Images(name="scenes", images=pictures, order_of_images=order)
        draft.file.add_stimulus_template(holder)
        shows(draft, shown.tolist(), onsets, indexed_images=holder)
    else:
        stack(draft, images)
        intervals(draft, {"image_index": shown.tolist()}, onsets)
    recording = read(draft.write(tmp_path_factory.mktemp("nwb") / "any.nwb"))
    np.testing.assert_array_equal(values(recording), traces[:, rows].T)
    assert recording.units["unit_id"].to_list() == ids[rows].tolist()
    np.testing.assert_allclose(recording.units["px_x"], 10 * ids[rows] + 0.75)
    assert recording.trials["onset_flip"].to_list() == onsets.tolist()
    on = recording.trials.join(recording.conditions, on="condition_hash", maintain_order="left")
    np.testing.assert_array_equal(recording.images[on["image_row"].to_numpy()], images[shown])
    assert on["condition_hash"].to_list() == [condition_hash(images[k], 0.5) for k in shown]
    assert recording.excluded_trials.equals(pl.DataFrame(schema={"trial_idx": pl.Int64, "reason": pl.String}))

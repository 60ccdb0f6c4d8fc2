"""Folders of the Sensorium 2022 layout, written with numpy as the field writes them, then read."""

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from inception_loop.errors import RecordingError
from inception_loop.recordings import sensorium
from inception_loop.recordings.condition import condition_hash
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import ScanKey, TrialResponses

SCAN = ScanKey(animal_id=22846, session=10, scan_idx=16)
N_UNITS = 5
# image shown in each trial; image 3 and image 7 are shown three times
SHOWN = [0, 7, 1, 3, 2, 7, 3, 4, 5, 3, 6, 7]
TIERS = ["test" if k in (3, 7) else "validation" if k == 6 else "train" for k in SHOWN]
ORDER = [11, 4, 0, 7, 2, 9, 1, 5, 3, 10, 8, 6]  # file of the trial that was shown first, second, …


def parts() -> dict[str, np.ndarray]:
    """Arrays of a whole recording: rows of data are the files."""
    rng = np.random.default_rng(5)
    images = (255 * rng.random((8, 1, 36, 64))).astype(np.float32)
    n = len(SHOWN)
    trial_idx = np.empty(n, np.int64)
    trial_idx[ORDER] = 3 + 2 * np.arange(n)
    return {
        "data/images": images[SHOWN],
        "data/responses": rng.gamma(1.0, 1.0, (n, N_UNITS)),
        "data/behavior": rng.normal(size=(n, 3)) + np.array([30, 0, 0]),
        "data/pupil_center": 100 * rng.random((n, 2)),
        "meta/trials/tiers": np.array(TIERS),
        "meta/trials/frame_image_id": 100 + np.array(SHOWN),
        "meta/trials/frame_image_class": np.array(["imagenet"] * n),
        "meta/trials/frame_presentation_time": np.full(n, 0.5),
        "meta/trials/trial_idx": trial_idx,
        "meta/neurons/unit_ids": np.array([4, 2, 9, 7, 30]),
        "meta/neurons/cell_motor_coordinates": rng.integers(-300, 300, (N_UNITS, 3)),
        "meta/neurons/area": np.array(["V1", "V1", "LM", "V1", "V1"]),
        "meta/neurons/layer": np.array(["L2/3"] * 4 + [""]),
        "meta/neurons/animal_ids": np.full(N_UNITS, SCAN.animal_id),
        "meta/neurons/sessions": np.full(N_UNITS, SCAN.session),
        "meta/neurons/scan_idx": np.full(N_UNITS, SCAN.scan_idx),
        "meta/statistics/responses/all/std": np.ones(N_UNITS),
    }


def write(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    for name, array in arrays.items():
        if name.startswith("data/"):
            (folder / name).mkdir(parents=True)
            for number, row in enumerate(array):
                np.save(folder / name / f"{number}.npy", row)
        else:
            path = folder / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array)
    return folder


def read(folder: Path, scan: ScanKey = SCAN, **options):
    return sensorium.read(folder, scan, ReadOptions(**options))


@pytest.fixture
def folder(tmp_path) -> Path:
    return write(tmp_path / "static22846-10-16", parts())


def refused(folder: Path, *words: str, **options) -> str:
    """Return the one line with which a folder is refused."""
    with pytest.raises(RecordingError) as caught:
        read(folder, **options)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    for word in words:
        assert word in text, text
    return text


def test_what_is_read_is_exactly_what_was_written(folder) -> None:
    arrays, recording = parts(), read(folder)
    assert sensorium.recognises(folder)
    assert recording.scan == SCAN
    assert recording.trace_kind == "deconvolved"
    assert isinstance(recording.activity, TrialResponses)
    assert recording.activity.values.dtype == np.float32
    assert np.array_equal(recording.activity.values, arrays["data/responses"][ORDER].astype(np.float32))
    assert recording.trials["trial_idx"].to_list() == list(range(3, 27, 2))
    assert np.isnan(recording.trials.select("clear_flip", "onset_flip", "offset_flip").to_numpy()).all()
    eye, behavior = recording.eye, arrays["data/behavior"][ORDER]
    assert np.array_equal(eye.pupil_radius, behavior[:, 0])
    assert np.array_equal(eye.pupil_derivative, behavior[:, 1])
    assert np.array_equal(np.stack([eye.center_x, eye.center_y], 1), arrays["data/pupil_center"][ORDER])
    assert np.array_equal(recording.treadmill.speed, np.abs(behavior[:, 2]))
    units = recording.units
    assert units["unit_id"].to_list() == [4, 2, 9, 7, 30]
    place = units.select("um_x", "um_y", "um_z").to_numpy()
    assert np.array_equal(place, arrays["meta/neurons/cell_motor_coordinates"])
    assert units["brain_area"].to_list() == ["V1", "V1", "LM", "V1", "V1"]
    assert units["layer"].to_list() == ["L2/3"] * 4 + [None]
    assert set(units["mask_type"]) == {"soma"}
    assert np.isnan(units["ms_delay"].to_numpy()).all()
    assert recording.excluded_trials.height == 0


def test_each_picture_is_kept_once_with_its_tier_and_its_repeats(folder) -> None:
    arrays, recording = parts(), read(folder)
    images = arrays["data/images"][:, 0]
    assert recording.images.dtype == np.float32
    assert len(recording.images) == 8
    hashes = [condition_hash(images[number], 0.5) for number in ORDER]
    assert recording.trials["condition_hash"].to_list() == hashes
    conditions = {row["condition_hash"]: row for row in recording.conditions.iter_rows(named=True)}
    assert set(conditions) == set(hashes)
    for number, digest in zip(ORDER, hashes, strict=True):
        row = conditions[digest]
        assert np.array_equal(recording.images[row["image_row"]], images[number])
        assert row["image_id"] == 100 + SHOWN[number]
        assert row["tier"] == TIERS[number]
        assert row["image_class"] == "imagenet"
        assert row["source_id"] == ""


@pytest.mark.parametrize(
    "form", ["uint8", "int64", "float64", "big-endian", "fortran", "two-dimensional", "rgb"]
)
def test_images_of_every_usual_form_are_the_same_grey_levels(tmp_path, form) -> None:
    arrays = parts()
    levels = np.round(arrays["data/images"])
    arrays["data/images"] = {
        "uint8": levels.astype(np.uint8),
        "int64": levels.astype(np.int64),
        "float64": levels.astype(np.float64),
        "big-endian": levels.astype(">f4"),
        "fortran": levels,
        "two-dimensional": levels[:, 0],
        "rgb": np.repeat(levels, 3, axis=1),
    }[form]
    folder = write(tmp_path / "scan", arrays)
    if form == "fortran":
        for number, image in enumerate(levels):
            np.save(folder / f"data/images/{number}.npy", np.asfortranarray(image))
    recording = read(folder)
    assert recording.images.dtype == (np.uint8 if "int" in form else np.float32)
    rows = dict(recording.conditions.select("condition_hash", "image_row").iter_rows())
    shown = recording.images[[rows[digest] for digest in recording.trials["condition_hash"]]]
    assert np.array_equal(shown, levels[ORDER, 0])


def test_rows_and_columns_of_vectors_are_read_alike(tmp_path) -> None:
    arrays = parts()
    arrays["data/behavior"] = arrays["data/behavior"][:, None]  # 1 x 3, as the docs of the layout have it
    recording = read(write(tmp_path / "scan", arrays))
    assert np.array_equal(recording.eye.pupil_radius, arrays["data/behavior"][ORDER, 0, 0])


def test_what_the_folder_does_not_say_is_not_made_up(tmp_path) -> None:
    arrays = {name: array for name, array in parts().items() if name.startswith("data/")}
    del arrays["data/behavior"], arrays["data/pupil_center"]
    arrays["meta/trials/tiers"] = np.array(TIERS)
    arrays["meta/neurons/unit_ids"] = np.arange(N_UNITS)
    folder = write(tmp_path / "scan", arrays)
    recording = read(folder, shown_s=0.25, image_class="album", layer="L4", trace_kind="spikes")
    assert recording.eye is None
    assert recording.treadmill is None
    assert np.isnan(recording.units.select("um_x", "um_y", "um_z").to_numpy()).all()
    assert recording.units["brain_area"].null_count() == N_UNITS
    assert set(recording.units["layer"]) == {"L4"}
    assert recording.trace_kind == "spikes"
    assert recording.trials["trial_idx"].to_list() == list(range(len(SHOWN)))
    assert recording.conditions["image_id"].to_list() == list(range(8))
    assert set(recording.conditions["image_class"]) == {"album"}
    first = arrays["data/images"][0, 0]
    assert recording.trials["condition_hash"][0] == condition_hash(first, 0.25)


def test_hidden_trial_numbers_leave_the_order_of_the_files(tmp_path) -> None:
    arrays = parts()
    arrays["meta/trials/trial_idx"] = np.array([f"{31 * k:032x}" for k in range(len(SHOWN))])
    recording = read(write(tmp_path / "scan", arrays))
    assert recording.trials["trial_idx"].to_list() == list(range(len(SHOWN)))
    assert np.array_equal(recording.activity.values, arrays["data/responses"].astype(np.float32))


@pytest.mark.parametrize("how", ["zero", "NaN", "absent"])
def test_withheld_responses_are_left_out_and_counted_and_never_numbers(tmp_path, how) -> None:
    arrays = parts()
    tiers = np.array(["final_test" if k == 3 else "live_test" if k == 7 else "train" for k in SHOWN])
    arrays["meta/trials/tiers"] = tiers
    hidden = tiers != "train"
    arrays["data/responses"][hidden] = np.nan if how == "NaN" else 0
    folder = write(tmp_path / "scan", arrays)
    if how == "absent":
        for number in np.flatnonzero(hidden):
            (folder / f"data/responses/{number}.npy").unlink()
    recording = read(folder)
    assert recording.excluded_trials["trial_idx"].to_list() == [
        int(arrays["meta/trials/trial_idx"][number]) for number in ORDER if hidden[number]
    ]
    assert recording.excluded_trials["reason"].str.contains("withheld").all()
    assert np.isnan(recording.activity.values).any(axis=1).tolist() == hidden[ORDER].tolist()
    tier = dict(recording.conditions.select("condition_hash", "tier").iter_rows())
    shown = [tier[digest] for digest in recording.trials["condition_hash"]]
    assert shown == ["test" if hidden[number] else "train" for number in ORDER]


def test_a_silent_training_trial_is_data_and_a_test_tier_with_responses_is_kept(tmp_path) -> None:
    arrays = parts()
    arrays["data/responses"][[0, 3]] = 0  # one of train, one of three trials of test
    recording = read(write(tmp_path / "scan", arrays))
    assert recording.excluded_trials.height == 0
    assert not np.isnan(recording.activity.values).any()


def test_zeroed_behaviour_is_withheld_behaviour(tmp_path) -> None:
    arrays = parts()
    arrays["data/behavior"][:] = 0
    arrays["data/pupil_center"][:] = 0
    recording = read(write(tmp_path / "all", arrays))
    assert recording.eye is None
    assert recording.treadmill is None
    arrays = parts()
    arrays["data/behavior"][:, :2] = 0
    arrays["data/pupil_center"][:] = 0
    recording = read(write(tmp_path / "eye", arrays))
    assert recording.eye is None
    assert recording.treadmill is not None


def test_one_picture_under_two_ids_never_leaks_from_test_to_train(tmp_path) -> None:
    arrays = parts()
    arrays["data/images"][0] = arrays["data/images"][
        3
    ]  # the picture of train image 0 is that of test image 3
    recording = read(write(tmp_path / "scan", arrays))
    first = int(arrays["meta/trials/trial_idx"][0])
    assert recording.excluded_trials["trial_idx"].to_list() == [first]
    assert "image 103 of tier test" in recording.excluded_trials["reason"][0]
    assert recording.conditions["image_id"].to_list().count(103) == 1
    assert len(recording.images) == 7


def test_a_trial_with_a_lost_response_is_a_row_with_nan(tmp_path) -> None:
    arrays = parts()
    arrays["data/responses"][4, 2] = np.nan
    recording = read(write(tmp_path / "scan", arrays))
    assert np.isnan(recording.activity.values).sum() == 1


@pytest.mark.parametrize("part", ["images", "responses", "behavior", "pupil_center"])
def test_a_missing_trial_file_is_named(folder, part) -> None:
    (folder / f"data/{part}/4.npy").unlink()
    refused(folder, f"data/{part}/4.npy", "trial 4", "missing")


@pytest.mark.parametrize("part", ["images", "responses", "behavior", "pupil_center"])
def test_a_trial_file_of_another_shape_is_named(folder, part) -> None:
    old = np.load(folder / f"data/{part}/7.npy")
    np.save(folder / f"data/{part}/7.npy", old[..., :-1])
    refused(folder, f"data/{part}/7.npy", "trial 7", str(old[..., :-1].shape), str(old.shape))


@pytest.mark.parametrize("part", ["responses", "behavior", "pupil_center"])
def test_a_folder_whose_files_all_have_another_width_is_refused(tmp_path, part) -> None:
    arrays = parts()
    arrays[f"data/{part}"] = np.hstack([arrays[f"data/{part}"]] * 2)
    refused(write(tmp_path / "scan", arrays), f"data/{part}/", "trial", "shape")


@pytest.mark.parametrize("part", ["images", "responses", "behavior", "pupil_center"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "text"])
def test_a_spoilt_trial_file_is_named(folder, part, damage) -> None:
    path = folder / f"data/{part}/7.npy"
    whole = path.read_bytes()
    if damage == "text":
        np.save(path, np.full(np.load(path).shape, "x"))
    else:
        path.write_bytes({"truncated": whole[:-3], "empty": b"", "garbage": b"GIF89a" + whole}[damage])
    refused(folder, f"data/{part}/7.npy", "trial 7")


@pytest.mark.parametrize(
    "name",
    [
        "data/images/2",
        "data/responses/2",
        "data/behavior/2",
        "data/pupil_center/2",
        "meta/trials/tiers",
        "meta/trials/frame_trial_ts",
        "meta/neurons/area",
        "meta/statistics/images/all/mean",
    ],
)
def test_a_pickled_file_anywhere_is_refused_and_never_loaded(folder, name) -> None:
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(folder / "sprung"),)

    path = folder / f"{name}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.array([Trap()] * len(SHOWN), dtype=object), allow_pickle=True)
    text = refused(folder, f"{name}.npy", "pickled")
    if name.startswith("meta"):
        assert "save it again" in text
    assert not (folder / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("trials/tiers", np.array(["trian", *TIERS[1:]]), ["trial 0", "'trian'", "expected train"]),
        ("trials/tiers", np.array(TIERS[:-1]), ["trial_idx.npy has 12 rows", "11"]),
        ("trials/tiers", np.array([*TIERS, "train"]), ["trial_idx.npy has 12 rows", "13"]),
        ("trials/tiers", np.arange(12), ["tiers.npy", "int64", "words"]),
        ("trials/tiers", np.zeros((0,), "U5"), ["tiers.npy", "(0,)"]),
        ("trials/frame_image_id", np.array(SHOWN[:-2]), ["frame_image_id.npy", "10", "12"]),
        ("trials/frame_image_id", np.array(SHOWN) + 0.5, ["frame_image_id.npy", "whole numbers"]),
        ("trials/trial_idx", np.arange(11), ["trial_idx.npy", "11", "12"]),
        ("trials/trial_idx", np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 11, 12]), ["'2'", "trials 1 and 9"]),
        ("trials/trial_idx", np.array(list("abcdefghiajk")), ["'a'", "trials 0 and 9"]),
        ("trials/frame_presentation_time", np.array([0.5] * 9 + [2.5] * 3), ["trial 9", "2.5 s", "0.5 s"]),
        ("trials/frame_presentation_time", np.zeros(12), ["trial 0", "0 s"]),
        ("neurons/unit_ids", np.array([4, 2, 9, 2, 30]), ["unit_ids", "'2'", "1 and 3"]),
        ("neurons/unit_ids", np.arange(6), ["(5, 3)", "6 neurons"]),
        ("neurons/unit_ids", np.array(list("abcde")), ["unit_ids.npy", "whole numbers"]),
        ("neurons/area", np.array(["V1"] * 4), ["area.npy", "4", "5"]),
        ("neurons/cell_motor_coordinates", np.zeros((5, 2)), ["cell_motor_coordinates", "(5, 2)"]),
        ("neurons/cell_motor_coordinates", np.full((5, 3), np.inf), ["cell_motor_coordinates"]),
        ("neurons/animal_ids", np.array([22846] * 4 + [17]), ["animal_id", "17, 22846"]),
        ("neurons/sessions", np.full(5, 3), ["session 3", "expected 10", "22846-10-16"]),
    ],
)
def test_meta_that_contradicts_is_refused(folder, name, value, words) -> None:
    np.save(folder / f"meta/{name}.npy", value)
    refused(folder, *words)


def test_the_number_of_units_is_that_of_unit_ids(tmp_path) -> None:
    arrays = {k: v for k, v in parts().items() if not k.startswith("meta/neurons") or k.endswith("unit_ids")}
    arrays["meta/neurons/unit_ids"] = np.arange(6)
    refused(write(tmp_path / "scan", arrays), "data/responses/", "(5,)", "(6,)")


@pytest.mark.parametrize("name", ["trials/tiers", "neurons/unit_ids"])
def test_what_cannot_be_done_without_is_named(folder, name) -> None:
    (folder / f"meta/{name}.npy").unlink()
    refused(folder, f"meta/{name}.npy is missing")


def test_an_id_with_two_pictures_is_an_error_that_names_both_trials(tmp_path) -> None:
    arrays = parts()
    arrays["data/images"][5, 0, 3, 3] = 1.5  # trials 1, 5, 11 show image 7
    folder = write(tmp_path / "scan", arrays)
    text = refused(folder, "image 107", "data/images/5.npy", "differ")
    assert "trials 11 and 5" in text


def test_an_image_in_two_tiers_is_an_error_that_names_both_trials(folder) -> None:
    tiers = np.array(TIERS)
    tiers[5] = "train"
    np.save(folder / "meta/trials/tiers.npy", tiers)
    refused(folder, "trials 11 and 5", "tier test", "tier train")


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((1, 36, 64), np.nan, np.float32), ["nan", "grey levels"]),
        (np.full((1, 36, 64), np.inf, np.float32), ["inf", "grey levels"]),
        (np.full((1, 36, 64), 300, np.float32), ["300", "0..255"]),
        (np.full((1, 36, 64), -2, np.float32), ["-2", "0..255"]),
        (np.full((1, 36, 64), 7, np.uint8), ["uint8", "float32", "one type"]),
        (np.full((1, 36, 64), True), ["truth"]),
        (np.full((1, 144, 256), 7, np.float32), ["(1, 144, 256)", "(1, 36, 64)"]),
    ],
)
def test_images_that_are_no_grey_levels_are_refused_by_trial(folder, image, words) -> None:
    np.save(folder / "data/images/7.npy", image)
    refused(folder, "data/images/7.npy", "trial 7", *words)


def test_images_of_several_channels_or_scaled_ones_are_refused(tmp_path) -> None:
    arrays = parts()
    colour = np.concatenate([arrays["data/images"], 0.5 * arrays["data/images"]], axis=1)
    refused(write(tmp_path / "colour", {**arrays, "data/images": colour}), "(2, 36, 64)", "one channel")
    scaled = arrays["data/images"] / 255
    refused(write(tmp_path / "scaled", {**arrays, "data/images": scaled}), "0..255", "multiply")


@pytest.mark.parametrize("part", ["responses", "behavior", "pupil_center"])
def test_infinite_values_are_refused_by_trial(folder, part) -> None:
    path = folder / f"data/{part}/7.npy"
    values = np.load(path)
    values[1] = -np.inf
    np.save(path, values)
    refused(folder, f"data/{part}/7.npy", "trial 7", "infinite")


def test_a_response_too_large_for_float32_is_refused_without_a_warning(folder) -> None:
    np.save(folder / "data/responses/7.npy", np.full(N_UNITS, 1e300))
    refused(folder, "data/responses/7.npy", "infinite")


@pytest.mark.parametrize("name", ["seven.npy", "07.npy", "7.npy.bak", "-7.npy", "٧.npy", "7 .npy"])
def test_a_file_whose_name_is_no_number_is_refused(folder, name) -> None:
    (folder / f"data/images/{name}").write_bytes(b"")
    refused(folder, repr(f"data/images/{name}"), "0.npy, 1.npy")


def test_a_file_without_a_row_in_meta_is_refused(folder) -> None:
    shutil.copy(folder / "data/images/7.npy", folder / "data/images/12.npy")
    refused(folder, "data/images/12.npy", "12 trials")


def test_files_that_systems_leave_behind_are_passed_over(folder) -> None:
    (folder / "data/images/.DS_Store").write_bytes(b"x")
    (folder / "meta/trials/._tiers.npy").write_bytes(b"x")
    (folder / "config.json").write_text("{}")
    read(folder)


@pytest.mark.parametrize(
    "name", ["data/images/7.npy", "data/responses", "meta/trials/tiers.npy", "data", "meta"]
)
def test_a_link_that_leaves_the_folder_is_refused(tmp_path, folder, name) -> None:
    shutil.move(folder / name, tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    refused(folder, "leads out of the folder", "copy")


def test_a_link_inside_the_folder_is_followed(folder) -> None:
    (folder / "data/images/5.npy").unlink()
    (folder / "data/images/5.npy").symlink_to(folder / "data/images/1.npy")
    assert len(read(folder).images) == 8


@pytest.mark.timeout(20)
def test_pipes_and_folders_in_place_of_files_are_refused(folder) -> None:
    (folder / "data/images/5.npy").unlink()
    os.mkfifo(folder / "data/images/5.npy")
    refused(folder, "data/images/5.npy", "no plain file")


def test_folders_of_other_kinds_are_refused(tmp_path, folder) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert not sensorium.recognises(empty)
    assert not sensorium.recognises(tmp_path / "nothing")
    refused(empty, "data/images", "name the folder")
    refused(folder.parent, "data/images", "name the folder")
    for path in (folder / "data/images").iterdir():
        path.unlink()
    refused(folder, "data/images/0.npy", "missing", "and 11 more")
    (folder / "data/videos").mkdir()
    assert sensorium.recognises(folder)
    refused(folder, "videos", "Sensorium 2022")


def test_a_zip_is_known_and_has_to_be_unpacked(tmp_path, folder) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "scan"), "zip", folder.parent, folder.name))
    assert sensorium.recognises(archive)
    refused(archive, "unzip it first")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("a", "b")
    assert not sensorium.recognises(tmp_path / "other.zip")
    archive.write_bytes(archive.read_bytes()[:-7])
    assert sensorium.recognises(archive) in (True, False)


def test_no_responses_at_all_is_an_error(tmp_path) -> None:
    arrays = parts()
    arrays["meta/trials/tiers"] = np.array(["test"] * len(SHOWN))
    arrays["data/responses"][:] = 0
    refused(write(tmp_path / "scan", arrays), "no trial", "responses")

"""Keys with few rights: a reader has every report and changes nothing, a worker and a rig have enough."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions
import numpy as np
import pytest
import tomli_w

from inception_loop.animals.recorded import AnimalDayConfig
from inception_loop.animals.session import NaturalSessionConfig
from inception_loop.animals.simulated import SimulatedConfig
from inception_loop.artifacts import upkeep
from inception_loop.artifacts.listing import artifacts
from inception_loop.artifacts.store import open_store
from inception_loop.artifacts.transfer import copy
from inception_loop.parameters import IngestParameters, PresentParameters
from inception_loop.recordings.recording import ScanKey

SECRET = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
FORBIDDEN = "permission denied; use a store that this user may read and write"
SCAN = ScanKey(animal_id=1, session=1, scan_idx=1)


def objects(minio: Any, bucket: str) -> dict[str, tuple[str, str]]:
    """Return every object of a bucket with the hash and time that the server gives it, and every upload."""
    client = minio.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    found = {
        o["Key"]: (o["ETag"], str(o["LastModified"])) for page in pages for o in page.get("Contents", [])
    }
    uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return found | {f"upload {one['Key']}": (one["UploadId"], "") for one in uploads}


def presentation(cells: int = 6) -> PresentParameters:
    session = NaturalSessionConfig(n_train=8, n_repeated=2, repeats=2, height=36, width=64)
    return PresentParameters(
        day=AnimalDayConfig(scan=SCAN, animal=SimulatedConfig(n_units=cells), session=session)
    )


def toml(path: Path, parameters: Any) -> Path:
    path.write_text(tomli_w.dumps(parameters.model_dump(mode="json", exclude_none=True)))
    return path


@pytest.fixture
def loop_on_s3(minio: Any, s3_uri: str, bucket_of_one: str, tiny_run: tuple[str, Any]) -> str:
    """The tiny loop in a bucket of its own, put there by somebody who may."""
    here, there = open_store(tiny_run[0]), open_store(f"s3://{bucket_of_one}/store")
    wanted = [one.ref for kind in ("report", "stimulus_set", "gallery") for one in artifacts(here, kind)]
    for ref in wanted:
        copy(here, there, ref)
    return there.uri


def test_a_reader_has_every_report_and_changes_nothing(
    call: Any,
    become: Callable[[str, str], dict[str, str]],
    minio: Any,
    loop_on_s3: str,
    bucket_of_one: str,
    tmp_path: Path,
) -> None:
    before = objects(minio, bucket_of_one)
    stores = open_store(loop_on_s3)
    (shown,) = artifacts(stores, "stimulus_set")
    (frame, *_) = artifacts(stores, "recording")
    key = become("reader", bucket_of_one)

    reading = [
        ("store", "ls"),
        ("store", "ls", "recording", "--long"),
        ("store", "show", frame.ref),
        ("store", "lineage", shown.ref, "--full"),
        ("store", "verify", frame.ref),
        ("report", "--output", tmp_path / "report"),
        ("report", "--gallery", "--output", tmp_path / "gallery"),
        ("export", shown.ref, "--output", tmp_path / "rig", "--format", "npz"),
        ("export", "--check", tmp_path / "rig"),
    ]
    for words in reading:
        said = call(*words, "--store", loop_on_s3) if "--check" not in words else call(*words)
        assert (said.status, said.err) == (0, ""), (words, said)
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "rig" / "images.npz").is_file()

    np.savez(
        tmp_path / "own.npz",
        images=np.random.default_rng(0).integers(0, 255, (40, 36, 64), np.uint8),
        responses=np.random.default_rng(1).gamma(1, 1, (40, 3)),
    )
    present = toml(tmp_path / "present.toml", presentation())
    ingest = toml(tmp_path / "ingest.toml", IngestParameters(recordings=(frame.ref,)))
    scan = ("--animal-id", 9, "--session", 1, "--scan-idx", 1, "--trace-kind", "deconvolved")
    changing = [
        ("run", "present", "--config", present),
        ("run", "ingest", "--config", ingest),
        ("import", tmp_path / "own.npz", *scan),
        ("demo", "--output", tmp_path / "demo"),
    ]
    for words in changing:
        said = call(*words, "--store", loop_on_s3)
        line = said.refused(FORBIDDEN, loop_on_s3)
        assert key["AWS_SECRET_ACCESS_KEY"] not in said.out + said.err, line
    for path in (one for one in tmp_path.rglob("*") if one.is_file()):  # report.html and summary.json too
        data = path.read_bytes()
        assert not [name for name in SECRET if key[name].encode() in data], path
    doctor = call("doctor", "--store", loop_on_s3)
    assert doctor.status == 1
    assert FORBIDDEN in doctor.out
    assert objects(minio, bucket_of_one) == before


def test_a_reader_can_neither_repair_nor_withdraw_nor_sweep(
    call: Any,
    become: Callable[[str, str], dict[str, str]],
    minio: Any,
    prefect_api: str,
    s3_uri: str,
    bucket_of_one: str,
    tmp_path: Path,
) -> None:
    uri = f"s3://{bucket_of_one}/store"
    store = open_store(uri)
    day = toml(tmp_path / "present.toml", presentation())
    assert call("run", "present", "--config", day, "--store", uri).status == 0
    (sound,), (broken,) = artifacts(store, "recording"), artifacts(store, "animal_truth")
    located = store.located(broken.ref, "units")
    store.backend.replace(located.key, bytes(located.payload.size))
    before = objects(minio, bucket_of_one)
    become("reader", bucket_of_one)
    for words in (
        ("store", "repair", broken.ref),
        ("store", "withdraw", sound.ref, "--because", "I may not"),
        ("target",),
    ):
        said = call(*words, "--store", uri)
        if words[0] == "store":
            said.refused(FORBIDDEN)
        else:
            assert "denied" not in said.err  # it only looks
    refused = "cannot remove objects from"
    with pytest.raises(OSError, match=f"{refused}|cannot remove|permission denied"):
        upkeep.sweep(open_store(uri), older_than_s=-60)  # everything that is left behind, however new
    verified = call("store", "verify", "--store", uri)
    assert verified.status == 1
    assert "repair" in verified.out or "SHA-256" in verified.out
    assert objects(minio, bucket_of_one) == before


def test_a_worker_computes_repairs_and_sweeps_with_its_policy_and_reaches_no_other_bucket(
    call: Any,
    become: Callable[[str, str], dict[str, str]],
    minio: Any,
    prefect_api: str,
    s3_uri: str,
    bucket: str,
    bucket_of_one: str,
    tmp_path: Path,
) -> None:
    uri = f"s3://{bucket_of_one}/store"
    key = become("worker", bucket_of_one)
    day = toml(tmp_path / "present.toml", presentation())
    for state in ("computed", "already there"):
        said = call("run", "present", "--config", day, "--store", uri)
        assert said.status == 0, said
        assert f"{2 if state == 'computed' else 0} computed" in said.out or state in said.out
    store = open_store(uri)
    (broken,) = artifacts(store, "animal_truth")
    located = store.located(broken.ref, "units")
    store.backend.replace(located.key, bytes(located.payload.size))
    assert call("store", "repair", broken.ref, "--store", uri).status == 0
    assert call("run", "present", "--config", day, "--store", uri).status == 0
    assert call("doctor", "--store", uri).status == 0
    assert upkeep.sweep(store, older_than_s=-60).keys
    assert call("store", "verify", "--store", uri).status == 0
    call("store", "ls", "--store", f"s3://{bucket}/elsewhere").refused("permission denied")
    call("run", "present", "--config", day, "--store", f"s3://{bucket}/elsewhere").refused(
        "permission denied"
    )
    client = minio.client(
        aws_access_key_id=key["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=key["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=key["AWS_SESSION_TOKEN"],
    )
    for forbidden in (
        lambda: client.create_bucket(Bucket="a-new-one"),
        lambda: client.delete_bucket(Bucket=bucket_of_one),
        lambda: client.put_bucket_policy(Bucket=bucket_of_one, Policy="{}"),
    ):
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            forbidden()


def test_a_rig_brings_recordings_reads_none_deletes_none_and_reaches_no_store(
    call: Any,
    become: Callable[[str, str], dict[str, str]],
    minio: Any,
    s3_uri: str,
    bucket: str,
    bucket_of_one: str,
) -> None:
    """What is not whole is not seen either: parts of an upload are no object before they are put together."""
    arriving, theirs = bucket_of_one, {"Bucket": bucket_of_one, "Key": "rig-1/17-1-1.nwb"}
    minio.client().put_object(**theirs, Body=b"of another rig")
    before = objects(minio, bucket)
    key = become("rig", arriving)
    client = minio.client(
        aws_access_key_id=key["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=key["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=key["AWS_SESSION_TOKEN"],
    )
    client.put_object(Bucket=arriving, Key="rig-1/17-1-2.nwb", Body=b"small")
    large = {"Bucket": arriving, "Key": "rig-1/17-1-3.nwb"}
    upload = {"UploadId": client.create_multipart_upload(**large)["UploadId"]}
    part = client.upload_part(**large, **upload, PartNumber=1, Body=b"large")
    listed = [o["Key"] for o in client.list_objects_v2(Bucket=arriving)["Contents"]]
    assert listed == ["rig-1/17-1-1.nwb", "rig-1/17-1-2.nwb"]
    assert len(client.list_parts(**large, **upload)["Parts"]) == 1
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(**large, **upload, MultipartUpload=parts)
    given_up = client.create_multipart_upload(Bucket=arriving, Key="rig-1/17-1-4.nwb")["UploadId"]
    client.abort_multipart_upload(Bucket=arriving, Key="rig-1/17-1-4.nwb", UploadId=given_up)
    for forbidden in (
        lambda: client.get_object(**theirs),
        lambda: client.delete_object(**theirs),
        lambda: client.list_objects_v2(Bucket=bucket),
        lambda: client.get_object(Bucket=bucket, Key="any"),
        lambda: client.put_object(Bucket=bucket, Key="any", Body=b"x"),
        lambda: client.create_bucket(Bucket="a-new-one"),
        lambda: client.put_bucket_policy(Bucket=arriving, Policy="{}"),
    ):
        with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
            forbidden()
    call("store", "ls", "--store", f"s3://{bucket}/store").refused("permission denied")
    assert sorted(objects(minio, arriving)) == ["rig-1/17-1-1.nwb", "rig-1/17-1-2.nwb", "rig-1/17-1-3.nwb"]
    assert objects(minio, bucket) == before


@pytest.mark.parametrize(
    ("role", "changing"),
    [
        ("reader", set()),
        ("recordings-reader", set()),
        ("rig", {"s3:AbortMultipartUpload", "s3:PutObject"}),
        ("worker", {"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject"}),
    ],
)
def test_a_policy_names_one_bucket_and_what_it_needs(role: str, changing: set[str]) -> None:
    text = json.loads((Path(__file__).parents[2] / "infra" / "policies" / f"{role}.json").read_text())
    actions = {action for one in text["Statement"] for action in one["Action"]}
    places = {
        place.split(":::")[1].partition("/")[0] for one in text["Statement"] for place in one["Resource"]
    }
    assert {one["Effect"] for one in text["Statement"]} == {"Allow"}
    assert len(places) == 1
    assert not [word for word in (*actions, *places) if "*" in word]
    assert changing == {action for action in actions if not action.startswith(("s3:Get", "s3:List"))}
    assert places == {"recordings" if role in {"rig", "recordings-reader"} else "inception-loop"}

"""What the conformance class does not ask of every place."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from inception_loop.artifacts.attempt import Attempt
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import VECTOR, Array, Arrays, Column, Kind, Table
from inception_loop.artifacts.query import query
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import ArtifactCorruptError, ArtifactNotFoundError, DataError, StoreError
from inception_loop.settings import Settings

OLD = Path(__file__).parent / "data" / "schema_1"
OLD_DIGEST = "c126b7fd7d4a11eb4507a0d9481d58749e8658b38e088ec927b3dc1212e6a935"


class LegacyConfig(Config):
    seed: int = 1


def in_ms(table: pa.Table) -> pa.Table:
    frame = pl.DataFrame(pl.from_arrow(table))
    return frame.select("unit_id", ms_delay=1000 * pl.col("delay_s"), response="response").to_arrow()


def declare_today() -> Kind:
    """Version 2 of the kind that the committed fixture was written with in version 1."""
    return Kind(
        "legacy",
        1,
        "Written in schema version 1.",
        {
            "units": Table(
                {
                    "unit_id": Column(pa.int64(), "Number."),
                    "ms_delay": Column(pa.float64(), "Delay, ms."),
                    "response": Column(VECTOR, "Responses."),
                },
                version=2,
                upgrades={1: in_ms},
            ),
            "images": Arrays(
                {"frames": Array("float32", ("image", "row", "column"), "Grey levels.")},
                version=2,
                upgrades={1: lambda old: {"frames": old["image"].astype(np.float32)}},
            ),
        },
    )


class TestOlderSchemas:
    """The fixture is what the project once wrote: it is never made again."""

    @pytest.fixture
    def ref(self) -> ArtifactRef:
        return open_store(str(OLD)).ref(declare_today(), LegacyConfig())

    def test_the_question_has_kept_its_address(self, ref: ArtifactRef) -> None:
        assert ref.digest == OLD_DIGEST
        assert open_store(str(OLD)).make(declare_today(), LegacyConfig(), lambda attempt: None) == (ref, True)

    def test_an_older_table_is_read_as_todays(self, ref: ArtifactRef) -> None:
        table = open_store(str(OLD)).table(ref, "units")
        assert table["ms_delay"].to_list() == [100.0, 250.0]
        assert table.schema["response"] == pl.Array(pl.Float32, 3)

    def test_an_older_bundle_is_read_as_todays(self, ref: ArtifactRef) -> None:
        arrays = open_store(str(OLD)).arrays(ref, "images")
        np.testing.assert_array_equal(arrays["frames"], np.arange(12, dtype=np.float32).reshape(2, 2, 3))

    def test_a_query_sees_todays_columns(self, ref: ArtifactRef) -> None:
        sql = "SELECT unit_id, ms_delay, response[2] AS second FROM units ORDER BY unit_id"
        rows = query(sql, {"units": [(ref, "units")]}, store=open_store(str(OLD)))
        assert rows.rows() == [(3, 100.0, 2.0), (5, 250.0, 5.0)]

    def test_without_a_declaration_it_is_read_as_written(self, ref: ArtifactRef, monkeypatch: Any) -> None:
        monkeypatch.setattr("inception_loop.artifacts.store.CATALOGUE", {})
        assert open_store(str(OLD)).table(ref, "units")["delay_s"].to_list() == [0.1, 0.25]


class TestHashes:
    def test_hashes_are_checked_by_setting_and_sizes_always(
        self, disk_store: ArtifactStore, demo: Any, settings: Settings
    ) -> None:
        ref = disk_store.make(demo.kind, demo.config(name="a"), demo.build).ref
        trusting = open_store(disk_store.uri, settings.model_copy(update={"verify_hashes": False}))
        (path,) = Path(disk_store.uri.removeprefix("file://")).rglob("images.npz")
        data = bytearray(path.read_bytes())
        at = data.index(np.float32(11).tobytes())
        data[at] ^= 1
        path.write_bytes(data)
        assert trusting.arrays(ref, "images")["frames"][1, 1, 2] != 11
        with pytest.raises(ArtifactCorruptError, match="SHA-256"):
            disk_store.arrays(ref, "images")
        path.write_bytes(data[:-1])
        with pytest.raises(ArtifactCorruptError, match="bytes; expected"):
            trusting.arrays(ref, "images")

    def test_a_file_that_was_found_sound_is_read_no_second_time(
        self, disk_store: ArtifactStore, demo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ref = disk_store.make(demo.kind, demo.config(name="a"), demo.build).ref
        disk_store.arrays(ref, "images")
        monkeypatch.setattr(disk_store.reader, "check_hash", lambda located: pytest.fail("read again"))
        disk_store.arrays(ref, "images")
        (path,) = Path(disk_store.uri.removeprefix("file://")).rglob("images.npz")
        os.utime(path, (1, 1))
        with pytest.raises(pytest.fail.Exception, match="read again"):
            disk_store.arrays(ref, "images")


class TestAttempt:
    def test_what_was_not_declared_is_refused(self, memory_store: ArtifactStore, demo: Any) -> None:
        def build(attempt: Attempt) -> None:
            attempt.write_file("nothing", b"")

        with pytest.raises(DataError, match="kind 'demo' declares no File 'nothing'; expected one of"):
            memory_store.make(demo.kind, demo.config(name="a"), build)

    def test_a_payload_is_written_once(self, memory_store: ArtifactStore, demo: Any) -> None:
        def build(attempt: Attempt) -> None:
            attempt.write_file("note", b"")
            attempt.write_file("note", b"")

        with pytest.raises(DataError, match="was written twice; write it once"):
            memory_store.make(demo.kind, demo.config(name="a"), build)

    def test_findings_are_plain_and_finite(self, memory_store: ArtifactStore, demo: Any) -> None:
        def build(attempt: Attempt) -> None:
            demo.build(attempt)
            attempt.report(
                count=np.int64(3),
                share=np.float32(0.5),
                names=("a", "b"),
                rule={"x": None},
                ok=np.bool_(True),
            )

        ref = memory_store.make(demo.kind, demo.config(name="a"), build).ref
        findings = memory_store.manifest(ref).findings
        assert findings == {
            "n_units": 3,
            "count": 3,
            "share": 0.5,
            "names": ["a", "b"],
            "rule": {"x": None},
            "ok": True,
        }
        for value in (float("nan"), object(), np.zeros(2)):
            with pytest.raises(DataError, match=r"finding 'x' holds .*; expected finite numbers"):
                memory_store.make(
                    demo.kind, demo.config(name="b"), lambda attempt, value=value: attempt.report(x=value)
                )

    def test_payloads_that_were_swept_before_the_end_are_noticed(
        self, memory_store: ArtifactStore, demo: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("inception_loop.artifacts.computing.LONG_S", -1.0)

        def build(attempt: Attempt) -> None:
            demo.build(attempt)
            memory_store.backend.remove([entry.key for entry in memory_store.backend.walk("demo")])

        with pytest.raises(StoreError, match="was removed before its attempt ended"):
            memory_store.make(demo.kind, demo.config(name="a"), build)

    def test_an_interrupt_leaves_nothing(self, memory_store: ArtifactStore, demo: Any) -> None:
        def build(attempt: Attempt) -> None:
            demo.build(attempt)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            memory_store.make(demo.kind, demo.config(name="a"), build)
        assert list(memory_store.backend.walk("demo")) == []


def test_a_payload_of_another_form_or_name_is_named(memory_store: ArtifactStore, demo: Any) -> None:
    ref = memory_store.make(demo.kind, demo.config(name="a"), demo.build).ref
    with pytest.raises(ArtifactNotFoundError, match=r"has no table 'images'; it has .*'images': 'arrays'"):
        memory_store.table(ref, "images")
    with pytest.raises(ArtifactNotFoundError, match="has no member 'x'; it has"):
        memory_store.rows(ref, "images", "x", 0, 1)


def test_every_computation_is_logged_with_its_attempt(
    memory_store: ArtifactStore, demo: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "inception_loop.artifacts"):
        ref = memory_store.make(demo.kind, demo.config(name="a"), demo.build).ref
        memory_store.make(demo.kind, demo.config(name="a"), demo.build)
    assert caplog.messages == [f"computed {ref}, attempt {memory_store.manifest(ref).attempt}"]


def test_a_plain_folder_and_a_file_uri_are_the_same_store(
    tmp_path: Path, demo: Any, settings: Settings
) -> None:
    ref = open_store(str(tmp_path), settings).make(demo.kind, demo.config(name="a"), demo.build).ref
    assert open_store(f"file://{tmp_path}/", settings).make(demo.kind, demo.config(name="a"), demo.build) == (
        ref,
        True,
    )


def test_the_store_of_the_settings_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_STORE", "memory://by-default")
    assert open_store().uri == "memory://by-default"


def test_the_store_is_light_to_import() -> None:
    code = (
        "import sys; import inception_loop.artifacts.store, inception_loop.artifacts.query\n"
        "heavy = ('torch', 'prefect', 'matplotlib', 's3fs', 'scipy', 'pandas')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_a_client_of_its_own(s3_uri: str, settings: Settings, demo: Any) -> None:
    store = open_store(s3_uri, settings)
    store.make(demo.kind, demo.config(name="a"), demo.build)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if store.make(demo.kind, demo.config(name="a"), demo.build).cached else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0

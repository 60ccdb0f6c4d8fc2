"""What a form of the UI, a schedule or an automation gives to a deployed flow."""

import jsonschema
import numpy as np
import pytest
from prefect.exceptions import ParameterTypeError
from prefect.utilities.callables import parameter_schema

from flows.dataset import dataset
from flows.ingest import ingest
from flows.run_stage import STAGES
from inception_loop.artifacts.store import open_store
from inception_loop.examples import example_parameters
from inception_loop.parameters import IngestParameters
from inception_loop.recordings.imported import import_recording
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.recording import ScanKey


@pytest.fixture
def recording(tmp_path, monkeypatch):
    """A recording in the configured store."""
    monkeypatch.setenv("INCEPTION_LOOP_STORE", f"file://{tmp_path}/store")
    rng = np.random.default_rng(1)
    images, responses = rng.integers(0, 256, (40, 36, 64), np.uint8), rng.random((40, 5), np.float32)
    np.savez(tmp_path / "scan.npz", images=images, responses=responses)
    store = open_store(f"file://{tmp_path}/store")
    scan = ScanKey(animal_id=4, session=1, scan_idx=1)
    return import_recording(store, tmp_path / "scan.npz", scan, ReadOptions(trace_kind="spikes")).ref


def test_an_artifact_may_be_given_by_its_name(recording) -> None:
    given = {"parameters": {"recordings": [f"recording/{recording.digest[:8]}"]}}
    jsonschema.validate(given, parameter_schema(ingest).model_dump_for_openapi())
    assert ingest.validate_parameters(given) == {"parameters": IngestParameters(recordings=(recording,))}


def test_a_whole_reference_is_taken_as_before(recording) -> None:
    asked = IngestParameters(recordings=(recording,))
    given = {"parameters": asked.model_dump(mode="json")}
    jsonschema.validate(given, parameter_schema(ingest).model_dump_for_openapi())
    assert ingest.validate_parameters(given) == {"parameters": asked}
    assert ingest.validate_parameters({"parameters": asked}) == {"parameters": asked}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"recordings": ["recording/0123"]}, "recordings.0: 'recording/0123' means 0 artifacts in "),
        ({"recordings": []}, "recordings is []; expected at least 1"),
        ({"recordings": "all", "config": {"grup": 1}}, "unknown key 'config.grup'"),
    ],
)
def test_a_fault_is_said_in_one_line(recording, values, said) -> None:
    with pytest.raises(ParameterTypeError) as raised:
        dataset.validate_parameters({"parameters": values})
    head, *lines = str(raised.value).splitlines()
    assert head == "Flow run received invalid parameters:"
    (line,) = lines
    assert line.startswith(f" - parameters: {said}")


def test_a_name_of_another_kind_is_refused_before_anything_runs() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            {"parameters": {"recordings": ["model/0123abcd"]}},
            parameter_schema(ingest).model_dump_for_openapi(),
        )


@pytest.mark.parametrize("stage", STAGES)
def test_the_example_of_a_stage_fits_the_form_that_its_deployment_enforces(stage) -> None:
    schema = parameter_schema(STAGES[stage][0]).model_dump_for_openapi()
    given = {"parameters": example_parameters(stage).model_dump(mode="json")}
    jsonschema.validate(given, schema)

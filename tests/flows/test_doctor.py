"""The doctor finds what is well and what is not, and says for each fault what to do."""

import json

import pytest

from flows import doctor


@pytest.fixture
def examine(call):
    """Call the doctor; findings by what was examined."""

    def examine(store: str):
        said = call("doctor", "--json", "--store", store)
        assert said.err == ""
        found = json.loads(said.out)
        assert all(set(one) == {"what", "found", "good", "advice"} for one in found)
        assert said.status == (0 if all(one["good"] for one in found) else 1)
        return {one["what"]: one for one in found}

    return examine


def faults(findings) -> set[str]:
    return {what for what, one in findings.items() if not one["good"]}


def test_a_sound_machine_has_no_fault(examine, tmp_path, prefect_api) -> None:
    found = examine(f"file://{tmp_path}/store")
    assert faults(found) == set()
    assert set(doctor.LIBRARIES) < set(found)
    assert found["store"]["found"] == f"file://{tmp_path}/store"
    assert len([what for what in found if what.startswith("store ")]) >= 3
    assert found["prefect server"]["found"] == prefect_api


def test_a_store_that_cannot_be_written_is_a_fault_with_advice(examine) -> None:
    found = examine("file:///proc/nowhere")
    assert faults(found) == {"store"}
    assert "cannot write file:///proc/nowhere" in found["store"]["found"]
    assert "INCEPTION_LOOP_STORE" in found["store"]["advice"]


def test_a_prefect_server_that_does_not_answer_is_a_fault_with_advice(examine, monkeypatch) -> None:
    for url in ("http://127.0.0.1:1/api", "nonsense"):
        monkeypatch.setenv("PREFECT_API_URL", url)
        found = examine("memory://doctor")
        assert faults(found) == {"prefect server"}
        assert found["prefect server"]["found"].startswith(f"{url} does not answer: ")
        assert "make stack" in found["prefect server"]["advice"]


def test_no_configured_server_is_well(examine, monkeypatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    assert examine("memory://doctor")["prefect server"]["good"]


def test_a_missing_library_is_a_fault(monkeypatch) -> None:
    monkeypatch.setattr(doctor, "LIBRARIES", ("numpy", "no-such-library-of-ours"))
    *_, numpy, missing = doctor._versions()
    assert numpy.good
    assert (missing.found, missing.good, missing.advice) == ("missing", False, "run `make setup`")


def test_a_gpu_that_is_not_there_is_a_fault(examine, monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv("INCEPTION_LOOP_DEVICE", "cuda:1")
    found = examine("memory://doctor")
    assert faults(found) == {"device"}
    assert "INCEPTION_LOOP_DEVICE=cpu" in found["device"]["advice"]


def test_a_wrong_setting_is_one_fault_and_the_rest_is_examined(examine, monkeypatch) -> None:
    monkeypatch.setenv("INCEPTION_LOOP_THREADS", "many")
    found = examine("memory://doctor")
    assert faults(found) == {"store"}
    assert "'threads' is 'many'" in found["store"]["found"]


def test_in_words_a_fault_is_followed_by_what_to_do(call) -> None:
    said = call("doctor", "--store", "file:///proc/nowhere")
    lines = said.out.splitlines()
    (row,) = [row for row, line in enumerate(lines) if line.startswith("✗")]
    assert lines[row + 1].split()[0] == "→"
    assert said.status == 1

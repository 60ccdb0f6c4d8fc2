"""What is known of watched folders: each one, how much came in, and what is bad first."""

import uuid

from inception_loop.artifacts.places import backend_of
from inception_loop.recordings.arrivals.looks import Seen, folder_key, save_looks
from inception_loop.recordings.arrivals.overview import in_lines, overview
from inception_loop.recordings.arrivals.quarantine import quarantine


def test_every_folder_is_listed_with_what_is_bad_and_why() -> None:
    backend = backend_of(f"memory://{uuid.uuid4().hex}")
    assert overview(backend) == []
    seen = {
        "17-1-1.nwb": Seen(signature="a", since=0.0).failed("no permission", 9.0),
        "17-1-2.nwb": Seen(signature="b", since=0.0, fate="quarantined", said="no trials"),
        "17-1-3.nwb": Seen(signature="c", since=0.0, fate="imported"),
    }
    save_looks(backend, "file:///rig", seen)
    save_looks(backend, "s3://bucket/rig", {"18-1-1": Seen(signature="d", since=0.0)})
    backend.replace(f"{folder_key('file:///damaged')}/looks.json", b"{")
    record = {"path": "file:///rig/17-1-2.nwb", "scan": "17-1-2", "sha256": "0" * 64}
    quarantine(backend, "file:///rig", "17-1-2.nwb", error="no trials", now=0.0, **record)
    record["time"] = "1970-01-01T00:00:00+00:00"
    rig, bucket = sorted(overview(backend), key=lambda one: one["folder"])
    assert bucket == {"folder": "s3://bucket/rig", "counts": {"waiting": 1}, "bad": []}
    assert rig["counts"] == {"failed": 1, "imported": 1, "quarantined": 1}
    assert rig["bad"] == [
        {"name": "17-1-2.nwb", "state": "quarantined", "why": "no trials", **record},
        {"name": "17-1-1.nwb", "state": "failed", "why": "no permission"},
    ]
    assert in_lines([rig, bucket]) == [
        "file:///rig: 1 failed, 1 imported, 1 quarantined",
        "  17-1-2.nwb quarantined (1970-01-01T00:00:00+00:00): no trials",
        "  17-1-1.nwb failed: no permission",
        "s3://bucket/rig: 1 waiting",
    ]

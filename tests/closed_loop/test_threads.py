"""Every query gives the same bytes, among however many threads its rows are split."""

import io

import duckdb
import numpy as np
import polars as pl

from inception_loop.artifacts import query as query_module
from inception_loop.artifacts.query import query, sql_file
from inception_loop.closed_loop.confusion import confusion
from inception_loop.closed_loop.diagonal import diagonal_entry
from inception_loop.closed_loop.matching import best_proximity_cell_match, proximity_cell_match
from inception_loop.closed_loop.oracle_match import cell_match_oracle_correlation
from inception_loop.closed_loop.own_response import own_response
from inception_loop.closed_loop.summary import summary_confusion
from inception_loop.recordings.recording import ScanKey

ROOM = "inception_loop.closed_loop"
UNITS = list(range(100, 116))
MATCHES = pl.DataFrame({"source_unit_id": UNITS, "unit_id": UNITS[:8] * 2})
SCANS = [ScanKey(animal_id=1, session=session, scan_idx=1) for session in (2, 3)]


def pieces(frame, n=50):
    """The same rows in several pieces, which threads take as they come."""
    return pl.concat([frame[k::n] for k in range(n)], rechunk=False)


def in_threads(monkeypatch, threads):
    """Let queries run on several threads."""
    connect = duckdb.connect

    def connected(*arguments, **options):
        connection = connect(*arguments, **options)
        assert connection.execute("SELECT current_setting('threads')").fetchall() == [(threads,)]
        return connection

    monkeypatch.setitem(query_module._CONFIG, "threads", threads)
    monkeypatch.setattr(query_module.duckdb, "connect", connected)


def bytes_of(frame):
    buffer = io.BytesIO()
    frame.rechunk().write_ipc(buffer)
    return buffer.getvalue()


def every_query(make_scan, make_images, make_coordinates):
    """Return the result of each query of a loop by name, each on the results of those before it."""
    images = make_images(units=UNITS, model_types=("cnn", "linear"))
    shared = [f"o{k}" for k in range(6)]
    source, *later = (
        make_scan([*shared, *names], n_units=len(UNITS), repeats=30, seed=seed, offset=1e3)
        for seed, names in enumerate([[], images["condition_hash"], images["condition_hash"]])
    )
    rng = np.random.default_rng(0)
    places = {unit: rng.uniform(0, 90, 3) for unit in UNITS}
    here, there = (pieces(make_coordinates(places, (1, 2, 3), jitter=20, seed=seed)) for seed in (1, 2))
    units = pl.DataFrame({"unit_id": UNITS})

    def of_scan(table, day, **options):
        scan = later[day]
        arguments = (pieces(scan.responses), scan.columns, MATCHES, images)
        return table(*arguments, scan=SCANS[day], excluded_trials=scan.excluded, **options)

    found = {"proximity_cell_match": proximity_cell_match(units, here, units, there)}
    found["best_proximity_cell_match"] = best_proximity_cell_match(pieces(found["proximity_cell_match"]))
    found["confusion"] = of_scan(confusion, 0, center=False)
    z_scores = pl.concat([of_scan(confusion, day, center=True) for day in (0, 1)])
    found |= {"confusion, z-scores": z_scores, "own_response": of_scan(own_response, 0)}
    found["summary_confusion"] = summary_confusion(pieces(z_scores))
    found["diagonal_entry"] = diagonal_entry(pieces(found["summary_confusion"]))
    responses = {"source_response": pieces(source.responses), "later_response": pieces(later[0].responses)}
    found["cell_match_oracle_correlation"] = cell_match_oracle_correlation(
        responses["source_response"], source.columns, responses["later_response"], later[0].columns, MATCHES
    )
    rows = [{"model_type": "cnn", "image_unit_id": k % 3, "source_unit_id": k % 2, "scan_idx": k % 5}
            for k in range(3000)]  # fmt: skip
    trials = pl.DataFrame(rows).with_columns(response=rng.normal(1e3, 1, 3000)).with_row_index("place")
    found["trial_moments"] = query(sql_file(ROOM, "trial_moments.sql"), {"trial": pieces(trials)})
    none = {f"{day}_excluded_trial": later[0].excluded[:0] for day in ("source", "later")}
    found["shared_image"] = query(sql_file(ROOM, "shared_image.sql"), responses | none, {"more_than": 4})
    found["shared_image_response"] = query(
        sql_file(ROOM, "shared_image_response.sql"),
        {"response": responses["later_response"], "excluded_trial": later[0].excluded},
        {"shared": shared},
    )
    return found


def test_every_query_gives_the_same_bytes_on_one_and_on_two_threads(
    make_scan, make_images, make_coordinates, monkeypatch
):
    one = every_query(make_scan, make_images, make_coordinates)
    assert all(table.height for table in one.values())
    in_threads(monkeypatch, 2)
    two = every_query(make_scan, make_images, make_coordinates)
    assert [name for name, table in one.items() if bytes_of(table) != bytes_of(two[name])] == []

"""A made-up loop: plausible numbers, all of them known."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.identity import canonical_json
from inception_loop.artifacts.store import open_store
from inception_loop.closed_loop.diagonal import diagonal_entry
from inception_loop.closed_loop.evidence import evidence_rows, loop_evidence, match_rows
from inception_loop.closed_loop.loop_tests import next_experiment
from inception_loop.closed_loop.matrix import confusion_matrix
from inception_loop.closed_loop.statistics.of_loop import loop_tests, loop_unit_tests
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.report.data import Measured, ReportData, TraceExample, UnitImages, UnitPicture
from inception_loop.report.learning.artifact import Learning
from inception_loop.report.learning.collect import model_labels, place_models
from inception_loop.report.learning.units import with_shares
from inception_loop.training.config import ModelConfig

MODELS = ("cnn", "linear", "natural")


def gabor(rng, height=36, width=64):
    y, x = np.mgrid[:height, :width]
    cx, cy, angle = rng.uniform(18, 46), rng.uniform(10, 26), rng.uniform(0, np.pi)
    wave = np.cos(2 * np.pi * ((x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)) / 9 + rng.uniform(0, 6))
    return wave * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 4.5**2))


def summary_of(rng, units, own):
    rows = []
    for model in MODELS:
        gain = {"cnn": own, "linear": own * 0.55, "natural": own * 0.45}[model]
        for image in units:
            for unit in units:
                mean = rng.normal(0, 0.25) + (rng.gamma(8, gain / 8) if image == unit else 0)
                rows.append((model, image, unit, mean, 0.4, (0.4 / 20) ** 0.5 * 0.9, 20, 1))
    names = [
        "model_type",
        "image_unit_id",
        "source_unit_id",
        "mu_resp",
        "var_resp",
        "sem_resp",
        "n_repeats",
        "scan_count",
    ]
    return pl.DataFrame(rows, schema=names, orient="row")


def trials_of(rng, summary, matches):
    """Trials whose means are those of the summary, to their own images."""
    own = summary.filter(pl.col("image_unit_id") == pl.col("source_unit_id"))
    cell = dict(matches.select("source_unit_id", "unit_id").iter_rows())
    parts = []
    for row in own.iter_rows(named=True):
        noise = rng.normal(0, row["var_resp"] ** 0.5, row["n_repeats"])
        unit = row["source_unit_id"]
        z = row["mu_resp"] + noise - noise.mean()
        parts.append(
            pl.DataFrame(
                {
                    "scan": "17-2-1",
                    "animal_id": 17,
                    "session": 2,
                    "scan_idx": 1,
                    "model_type": row["model_type"],
                    "source_unit_id": unit,
                    "unit_id": cell[unit],
                    "condition_hash": f"{row['model_type']}-{unit}",
                    "trial_idx": np.arange(len(z)) + 100 * unit,
                    "response": 0.5 * z + 1,
                    "z_response": z,
                }
            )
        )
    return pl.concat(parts)


def shown_of(images):
    """What the monitor got: the pictures of every unit."""
    names = {"mei": "cnn", "linear": "linear", "natural": "natural"}
    rows, pixels = [], []
    for unit in images:
        for picture in unit.pictures:
            if picture.what in names:
                model = names[picture.what]
                rows.append((len(rows), model, unit.unit_id, f"{model}-{unit.unit_id}"))
                pixels.append(np.clip(picture.pixels, 0, 255).astype(np.uint8))
    names = ["place", "model_type", "source_unit_id", "condition_hash"]
    return pl.DataFrame(rows, schema=names, orient="row"), np.array(pixels)


def units_of(rng, n, selected):
    kind = rng.choice(["simple", "mixed", "complex", "unresponsive"], n, p=[0.25, 0.4, 0.2, 0.15])
    drive = np.where(kind == "unresponsive", 0, rng.beta(5, 3, n))
    ceiling = 0.85 * drive
    cnn = ceiling * rng.normal(0.93, 0.03, n) + rng.normal(0, 0.02, n)
    share = {"simple": 0.93, "mixed": 0.7, "complex": 0.3, "unresponsive": 0}
    lin = ceiling * np.array([share[k] for k in kind]) * rng.normal(1, 0.06, n) + rng.normal(0, 0.02, n)
    rank = {unit: place for place, unit in enumerate(selected)}
    return pl.DataFrame(
        {
            "unit_id": np.arange(n),
            "kind": kind,
            "oracle_corr": 0.9 * ceiling + rng.normal(0, 0.03, n),
            "cnn_test_corr": cnn,
            "lin_test_corr": lin,
            "cnn_ceiling_fraction": np.where(drive > 0, cnn / np.maximum(ceiling, 0.05), np.nan),
            "lin_ceiling_fraction": np.where(drive > 0, lin / np.maximum(ceiling, 0.05), np.nan),
            "hu_rank": [rank.get(unit) for unit in range(n)],
        },
        schema_overrides={"hu_rank": pl.Int64},
    ).fill_nan(None)


def history_of(rng):
    rows = []
    for family, top in (("cnn", 0.43), ("linear", 0.31)):
        for seed in (1009, 1215):
            for epoch in range(31):
                value = top * (1 - np.exp(-epoch / 5)) + rng.normal(0, 0.004)
                loss = None if epoch == 0 else 0.8 - 0.25 * (1 - np.exp(-epoch / 6)) * top / 0.43
                stage = int(epoch > 20)
                rows.append((f"{family} seed {seed}", family, seed, True, epoch, stage, value, loss))
    names = ["model", "family", "seed", "chosen", "epoch", "stage", "val_corr", "train_loss"]
    return pl.DataFrame(rows, schema=names, orient="row")


def matches_of(rng, units, wrong):
    n = len(units)
    x, y = rng.uniform(0, 600, n), rng.uniform(0, 400, n)
    right = np.array([unit not in wrong for unit in units])
    step = np.where(right, 3.5, 14.0)[:, None] * rng.normal(0, 0.7, (n, 2))
    double = np.zeros(n, dtype=bool)
    double[[2, n - 1]] = True
    return pl.DataFrame(
        {
            "scan": "17-2-1",
            "source_unit_id": units,
            "unit_id": rng.permutation(n) + 500,
            "match_freq": 3,
            "total_stacks": 3,
            "mean_distance": np.hypot(*step.T) + rng.uniform(0, 2, n),
            "double_match": double,
            "x": x,
            "y": y,
            "later_x": x + step[:, 0],
            "later_y": y + step[:, 1],
            "right": right,
        }
    ).with_columns(
        pl.lit(None, pl.Int64).alias("assigned_unit_id"), pl.lit(None, pl.Float64).alias("probability")
    )


def made_up(n_selected=21, own=1.6, n=420, seed=3) -> ReportData:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(n, n_selected + 20, replace=False).tolist()
    selected, panel = chosen[:n_selected], chosen[n_selected:]
    imaged = selected + panel
    summary = summary_of(rng, imaged, own)
    plain = summary.with_columns(pl.col("mu_resp") + 0.9)
    z_diagonals = {control: diagonal_entry(summary, control) for control in ("linear", "natural")}
    evidence = loop_evidence(summary, z_diagonals, selected, panel[:10], n_permutations=9_999)
    matches = matches_of(rng, imaged, wrong=set(imaged[::9]))
    present = pl.Series([i % 9 != 0 for i in range(len(imaged))])
    judged = matches.select("source_unit_id", "unit_id", present=present, right="right")
    own = summary.filter(pl.col("image_unit_id") == pl.col("source_unit_id"))
    columns = ("model_type", "source_unit_id", "mu_resp", "sem_resp")
    cells = {(model, unit): (mean, sem) for model, unit, mean, sem in own.select(columns).iter_rows()}
    images = []
    wrong = set(matches.filter(~pl.col("right"))["source_unit_id"])
    for place, unit in enumerate(imaged):
        filter_ = gabor(rng)
        pictures = [
            UnitPicture(
                what,
                128 + 20 * (filter_ + noise * rng.normal(size=filter_.shape)),
                activation=float(rng.uniform(0.5, 4)),
                response=cells[model, unit][0],
                sem=cells[model, unit][1],
            )
            for what, model, noise in (
                ("mei", "cnn", 0.05),
                ("linear", "linear", 0.25),
                ("natural", "natural", 0.6),
            )
        ]
        pictures.append(UnitPicture("truth", filter_))
        kind = None if place < n_selected else ("complex" if place < n_selected + 10 else "simple")
        images.append(
            UnitImages(
                unit, place if place < n_selected else None, kind, tuple(pictures), int(unit in wrong), 1
            )
        )
    time = np.arange(0, 30, 0.1)
    onsets = np.arange(0.7, 30, 1.0)
    traces = tuple(
        TraceExample(unit, time, np.abs(rng.gamma(0.3, 1, time.size)) * (1 + np.sin(time + unit)), onsets)
        for unit in selected[:5]
    )
    left = [420, 210, 190, 40, 25, n_selected]
    rules = [
        "all units",
        "not among the best by oracle",
        "near the border of its field",
        "CNN not above its percentile",
    ]
    rules += ["linear network not above its percentile", "near a unit selected before it"]
    own_responses = trials_of(rng, summary, matches)
    of_selected = own_responses.filter(pl.col("source_unit_id").is_in(selected))
    tested = loop_unit_tests(of_selected, list(z_diagonals), n_permutations=999)
    matrix = {"cnn": confusion_matrix(summary, selected)}
    tests = loop_tests(z_diagonals, own_responses, tested, matrix, panel[:10], n_permutations=9_999)
    tested = tested.rename({"unit_id": "source_unit_id"})
    of_claim = {
        control: entry.filter(pl.col("source_unit_id").is_in(selected))
        for control, entry in z_diagonals.items()
    }
    shown, shown_images = shown_of(images)
    numbers = pl.concat([evidence_rows(evidence), match_rows(judged)])
    rows = numbers.filter(key="match_accuracy")
    return ReportData(
        animal="simulated",
        animal_note="A simulated mouse whose true receptive fields, noise and cell identities are known.",
        loop_group=1,
        seed=7,
        scans=pl.DataFrame(
            {
                "scan": ["17-1-1", "17-2-1"],
                "role": ["source", "later"],
                "day": [0, 1],
                "n_trials": [3120, 2860],
                "n_units": [420, 411],
                "stim_type": ["imagenet", "mei"],
            }
        ),
        evidence=numbers,
        truth={
            "oracle_relative_error": Measured(0.0123, 251, "what this number is, in one line of plain words"),
            "ceiling_fraction_median": Measured(
                0.9312, 357, "what this number is, in one line of plain words"
            ),
            "cnn_minus_linear_complex": Measured(
                0.5521, 40, "what this number is, in one line of plain words"
            ),
            "cnn_minus_linear_simple": Measured(
                -0.0041, 60, "what this number is, in one line of plain words"
            ),
            "rf_center_error_px_median": Measured(
                0.612, 357, "what this number is, in one line of plain words"
            ),
            "mei_cosine_simple_median": Measured(
                0.7712, 20, "what this number is, in one line of plain words"
            ),
            "mei_share_of_maximum_median": Measured(
                0.9431, 40, "what this number is, in one line of plain words"
            ),
            "match_accuracy": Measured(rows["value"].item(), rows["n"].item(), rows["definition"].item()),
        },
        trials=pl.DataFrame(
            {
                "scan": ["17-1-1"] * 3 + ["17-2-1"] * 2,
                "fate": ["used", "eye not tracked", "excluded by hand", "used", "excluded by hand"],
                "n": [3011, 108, 1, 2859, 1],
            }
        ),
        traces=traces,
        history=history_of(rng),
        units=units_of(rng, n, selected),
        funnel=pl.DataFrame({"rule": rules, "removed": [0, *(-np.diff(left)).tolist()], "left": left}),
        images=tuple(images),
        summary=plain,
        z_summary=summary,
        diagonals={control: diagonal_entry(plain, control) for control in ("linear", "natural")},
        z_diagonals=z_diagonals,
        matches=matches,
        tuning_match=pl.DataFrame(
            {
                "scan": "17-2-1",
                "matched": [True] * 41 + [False] * 1640,
                "correlation": np.concatenate([rng.beta(8, 3, 41), rng.normal(0, 0.2, 1640).clip(-1, 1)]),
            }
        ),
        tests=tests,
        unit_tests=tested,
        power=next_experiment(of_claim, tests),
        own_responses=own_responses,
        shown=shown,
        shown_images=shown_images,
        notes=("scan 17-2-1: no match for 1 of 42 units with images (7)",),
        origins=pl.DataFrame(
            [
                ("numbers", "own_mei_over_own_rf_share", "evidence", "loop 1", f"{3:064x}"),
                ("tests", "", "recording", "17-1-1", f"{0:064x}"),
                ("figure", "diagonal-linear", "recording", "17-1-1", f"{0:064x}"),
            ],
            schema=["of", "name", "kind", "about", "digest"],
            orient="row",
        ),
        lineage=pl.DataFrame(
            {
                "kind": ["recording", "static_multi_dataset", "model", "evidence"],
                "scope": ["17-1-1", "group 1", "group 1", "loop 1"],
                "digest": [f"{i:064x}" for i in range(4)],
            }
        ),
        settings={"network": {"core": "GaussianLaplace", "gain": "after"}, "selection": {"top_ptile": "0.5"}},
        versions={"inception-loop": "0.1.0", "torch": "2.9"},
    )


def grid_of(family, configurations):
    """Configurations of the published grid of a family: 4 cores by 2 readouts."""
    core = {"cnn": GaussianLaplace, "linear": StackedLinearGaussianLaplace}[family]
    grid = [
        CorePlusReadout(
            core=core(gamma_hidden=hidden, gamma_input=first),
            readout=SpatialTransformerPyramid2d(downsample=downsample),
        )
        for hidden, first, downsample in product((0.1, 1), (50, 100), (True, False))
    ]
    return [ModelConfig(group_id=0, network=network) for network in grid[:configurations]]


def learning_of(configurations=8, seeds=4, n=420, ceiling=True, linear=True, frozen=True, seed=5) -> Learning:
    """A made-up grid: a few configurations of both families, and scores of the units of one scan."""
    rng = np.random.default_rng(seed)
    families = {"cnn": 0.43, "linear": 0.31} if linear else {"cnn": 0.43}
    rows, curves, asks = [], [], {}
    for family, top in families.items():
        for config in range(configurations):
            reach = top * rng.uniform(0.8, 1)
            model = grid_of(family, configurations)[config]
            for number in range(seeds):
                digest = hashlib.sha256(f"{family}{config}{number}".encode()).hexdigest()
                row = {"model": digest, "label": "", "family": family}
                asked = model.model_copy(update={"seed": number})
                asks[digest] = canonical_json(asked.model_dump(mode="json"))
                turn, last = rng.integers(15, 40), rng.integers(45, 80)
                epoch = np.arange(last + 1)
                value = reach * (1 - np.exp(-epoch / 6)) + rng.normal(0, 0.004, last + 1)
                value += 0.02 * (epoch > turn)
                best = int(value.argmax())
                loss = np.where(epoch > 0, 1.2 - 0.4 * value / top, np.nan)
                stage = (epoch > turn).astype(int)
                told = {"epoch": epoch, "stage": stage, "learning_rate": np.where(stage, 0.001, 0.005)}
                curve = pl.DataFrame({**row, "seed": number, **told, "val_corr": value, "train_loss": loss})
                curves.append(curve.fill_nan(None))
                core = {"cnn": "GaussianLaplace", "linear": "StackedLinearGaussianLaplace"}[family]
                rows.append(
                    {
                        **row,
                        "core": core,
                        "readout": "SpatialTransformerPyramid2d",
                        "config": asks[digest],
                        "configuration": f"{family}{config}",
                        "seed": number,
                        "epochs": int(last),
                        "best_epoch": best,
                        "val_corr": float(value[best]),
                        "test_corr": float(value[best]) - 0.03,
                    }
                )
    label = pl.col("model").replace_strict(model_labels(asks)).alias("label")
    models = place_models(pl.DataFrame(rows)).with_columns(label)
    chosen = models.select("model", "chosen")
    units = units_of(rng, n, []).select("unit_id", "oracle_corr", "cnn_test_corr", "lin_test_corr")
    limit = (units["oracle_corr"] / 0.9).to_numpy() + rng.normal(0, 0.02, n)
    units = units.with_columns(
        name=pl.lit("17-1-1"),
        neuron_id=pl.col("unit_id"),
        lin_test_corr=pl.col("lin_test_corr") if linear else pl.lit(None, pl.Float64),
        ceiling=pl.Series(np.where((limit > 0.05) & ceiling, limit, np.nan)).fill_nan(None),
    )
    known = pl.lit(1.0) if frozen else pl.lit(None, pl.Float64)
    units = with_shares(
        units.with_columns(
            cnn_frozen_test_corr=pl.col("cnn_test_corr") * 0.9 * known,
            lin_frozen_test_corr=pl.col("lin_test_corr") * 0.9 * known,
            rf_test_corr=pl.col("cnn_test_corr") * 0.5 * known,
        )
    )
    weights, filters = {}, []
    for family in families:
        kernels = np.stack([gabor(rng, 36, 64)[10:25, 24:39] * 0.1 * rng.uniform(0.2, 1) for _ in range(32)])
        norm = np.sqrt((kernels**2).sum((1, 2)))
        order = np.argsort(-norm)
        weights[family] = kernels[order].astype(np.float32)
        best = models.filter("best", family=family)["model"].item()
        rows = {"row": np.arange(32), "channel": order, "norm": norm[order]}
        filters.append(pl.DataFrame({"model": best, "family": family, **rows}))
    scored = [(family, seeds, ceiling, f"{n:064x}", None) for n, family in enumerate(families)]
    columns = {"family": pl.String, "n_models": pl.Int64, "has_ceiling": pl.Boolean, "scores": pl.String}
    bad = {"what": "GaussianLaplace core.input_kern=99 seed 1", "error": "ConfigurationError"}
    lineage = [("dataset", "static_multi_dataset", "d" * 64)]
    lineage += [("models", "model", digest) for digest in sorted(asks)]
    return Learning(
        models=models,
        curves=pl.concat(curves)
        .with_columns(label)
        .join(chosen, on="model", how="left", maintain_order="left"),
        filters=pl.concat(filters),
        units=units,
        scored=pl.DataFrame(scored, schema={**columns, "frozen": pl.String}, orient="row"),
        bad=pl.DataFrame([{**bad, "reason": "images are smaller than its kernel", "record": "b" * 64}]),
        lineage=pl.DataFrame(lineage, schema=["role", "kind", "digest"], orient="row"),
        versions=pl.DataFrame({"software": ["git", "torch"], "version": ["1a2b3c, 4d5e6f+changes", "2.9"]}),
        filter_weights=weights,
    )


@pytest.fixture(scope="session")
def learning() -> Learning:
    """A grid of 64 networks."""
    return learning_of()


@pytest.fixture(scope="session")
def make_learning():
    return learning_of


@pytest.fixture(scope="session")
def data() -> ReportData:
    return made_up()


@pytest.fixture
def make_data():
    return made_up


@pytest.fixture
def bare(data) -> ReportData:
    """Only what has no default, of an animal without truth."""
    empty = ReportData(
        "twin", "A network.", 2, None, data.scans, evidence_rows(loop_evidence(data.z_summary, {}, []))
    )
    return replace(empty)


LINKING = {"src", "href", "srcset", "poster", "action", "data", "xlink:href", "background", "cite"}
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a test wants to know of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.links, self.images, self.numbers, self.tags, self.text, self.open = [], [], [], set(), [], []
        self.anchors, self.drawings = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in LINKING and value]
        self.anchors.add(attributes.get("id"))
        if tag == "svg":
            self.drawings.append(attributes)
        if tag == "img":
            self.images.append(attributes)
        if tag == "data":
            self.numbers.append([attributes["data-key"], attributes["value"], ""])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and self.open[-1] == "data":
            self.numbers[-1][2] += data

    def of(self, key):
        return {(value, text) for name, value, text in self.numbers if name == key}


@pytest.fixture(scope="session")
def read_page():
    """What a test wants to know of a page."""
    return Page


@pytest.fixture
def store():
    return open_store(f"memory://{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def day(days):
    """A sound day."""
    return days.sound_day()


@pytest.fixture(scope="session")
def spoilt(days, day):
    """A store with the dataset reports of a sound day and of each way to spoil it, and these by name."""
    store = open_store("memory://spoilt-days")
    changed = {name: change(day) for name, change in days.SPOILT.items()}
    return store, {name: days.report_of(store, one, variant=name) for name, one in changed.items()}

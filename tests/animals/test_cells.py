"""The cells' filters and their closed-form answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.animals.cells import quadrature, shift_images


@pytest.fixture(scope="module")
def cells(animal):
    return animal.cells


def test_filters_are_zero_mean_orthogonal_and_of_unit_norm(cells):
    for bank in (cells.even, cells.odd):
        np.testing.assert_allclose(bank.sum(axis=1), 0, atol=2e-5)
        np.testing.assert_allclose(np.linalg.norm(bank, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose((cells.even * cells.odd).sum(axis=1), 0, atol=1e-6)


def test_filters_stay_where_a_valid_convolution_of_15_px_reads_them_eye_shifts_included(cells, animal):
    reach = animal.config.shift_limit_px
    assert cells.rf_x.min() - reach >= 7
    assert cells.rf_x.max() + reach <= 56
    assert cells.rf_y.min() - reach >= 7
    assert cells.rf_y.max() + reach <= 28


def test_energy_is_centred_on_the_receptive_field(cells):
    y, x = np.mgrid[:36, :64]
    energy = (cells.even**2 + cells.odd**2).reshape(-1, 36, 64)
    energy /= energy.sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose((energy * x).sum(axis=(1, 2)), cells.rf_x, atol=0.1)
    np.testing.assert_allclose((energy * y).sum(axis=(1, 2)), cells.rf_y, atol=0.1)


def test_the_response_is_the_formula_cell_by_cell(cells):
    rng = np.random.default_rng(1)
    images = rng.normal(size=(3, 36 * 64)).astype(np.float32)
    fast = cells.response(images)
    for k in range(3):
        for n in range(0, len(cells), 7):
            e, o = float(images[k] @ cells.even[n]), float(images[k] @ cells.odd[n])
            s = cells.softness[n]
            drive = cells.simple[n] * s * np.log(1 + np.exp((e - cells.threshold[n]) / s))
            drive += cells.complex[n] * np.sqrt(e * e + o * o)
            assert fast[k, n] == pytest.approx(cells.baseline[n] + drive, rel=1e-4)


@settings(max_examples=20, deadline=None)
@given(norm=st.floats(0.5, 12), seed=st.integers(0, 2**31))
def test_no_image_of_a_norm_beats_the_maximum_and_the_even_filter_attains_it(cells, norm, seed):
    top = cells.maximum(norm)
    best = cells.response((norm * cells.even).astype(np.float32))[
        np.arange(len(cells)), np.arange(len(cells))
    ]
    np.testing.assert_allclose(
        best[cells.kind != "unresponsive"], top[cells.kind != "unresponsive"], rtol=1e-4
    )
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(3, len(cells), 1))
    near = mix[0] * cells.even + mix[1] * cells.odd + 0.01 * mix[2] * rng.normal(size=cells.even.shape)
    images = (norm * near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)
    assert (cells.response(images) <= top + 1e-4).all()


def test_a_complex_cell_does_not_care_about_phase_and_a_simple_one_does(cells):
    turns = np.linspace(0, 2 * np.pi, 9)[:-1]
    for kind, spread in (("complex", 1e-3), ("simple", None)):
        n = int(np.flatnonzero(cells.kind == kind)[0])
        images = 5 * (np.cos(turns)[:, None] * cells.even[n] + np.sin(turns)[:, None] * cells.odd[n])
        response = cells.response(images.astype(np.float32))[:, n]
        if spread is not None:
            assert np.ptp(response) < spread
        else:
            assert response.max() - response.min() > 0.8 * (response.max() - cells.baseline[n])


def test_moving_the_image_equals_moving_the_filter_by_the_eye():
    rng = np.random.default_rng(2)
    shape = [np.array([v]) for v in (9.0, 0.7, 1.1, 3.2)]
    noise = rng.normal(size=(1, 36, 64)).astype(np.float32)
    for dx, dy in ((0.0, 0.0), (2.0, -1.0), (1.37, 0.62), (-2.6, 1.9)):
        here, _ = quadrature(np.array([30.0]), np.array([17.0]), *shape)
        there, _ = quadrature(np.array([30.0 + dx]), np.array([17.0 + dy]), *shape)
        moved = shift_images(noise, np.array([[dx, dy]]))
        assert float(moved.ravel() @ here[0]) == pytest.approx(float(noise.ravel() @ there[0]), abs=5e-3)


def test_cells_are_taken_and_joined_in_order(cells):
    part = cells.take(np.array([3, 1])).join(cells.take(np.array([2])))
    np.testing.assert_array_equal(part.cell_id, cells.cell_id[[3, 1, 2]])
    np.testing.assert_array_equal(part.even, cells.even[[3, 1, 2]])
    assert len(part) == 3

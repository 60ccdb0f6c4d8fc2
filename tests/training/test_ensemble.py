from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from inception_loop.dataset.member import load_member
from inception_loop.errors import ConfigurationError
from inception_loop.training.ensemble import Ensemble, load_ensemble
from inception_loop.training.model import load_model
from inception_loop.training.scan_data import scan_data


@pytest.fixture
def ensemble_of(day_store, trained):
    store, _, _ = day_store
    (name,) = load_model(store, trained[0]).inputs

    def load(refs=trained, **held):
        return load_ensemble(store, refs, name, **held)

    return load


@pytest.fixture
def pixels():
    return torch.rand(5, 36, 64, generator=torch.Generator().manual_seed(1)) * 255


def test_it_is_the_mean_of_its_networks_on_normalised_images(ensemble_of, trained, pixels):
    units = torch.tensor([3, 0, 7])
    alone = [ensemble_of([ref])(pixels, units) for ref in trained]
    torch.testing.assert_close(ensemble_of()(pixels, units), (alone[0] + alone[1]) / 2)
    both = ensemble_of()
    network = both.networks[0]
    z = (pixels - both.image_mean) / both.image_std
    expected = network(z[:, None], both.name, torch.zeros(5, 2), None)[:, units]
    torch.testing.assert_close(alone[0], expected, atol=1e-5, rtol=1e-5)


def test_pairs_are_the_diagonal_and_do_not_depend_on_the_batch(ensemble_of, pixels):
    ensemble, units = ensemble_of(), torch.tensor([3, 0, 7, 7, 1])
    paired = ensemble.paired(pixels, units)
    torch.testing.assert_close(paired, ensemble(pixels, units).diagonal(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ensemble.paired(pixels[2:3], units[2:3]), paired[2:3], atol=1e-6, rtol=1e-6)


def test_gradients_reach_the_pixels_of_the_own_image_and_no_weight(ensemble_of, pixels):
    ensemble, units = ensemble_of(), torch.tensor([3, 0, 7, 7, 1])
    pixels.requires_grad_()
    ensemble.paired(pixels, units)[2].backward()
    touched = pixels.grad.abs().sum((1, 2)) > 0
    assert touched.tolist() == [False, False, True, False, False]
    assert all(p.grad is None for p in ensemble.parameters())


def test_held_inputs_are_those_of_training_or_none(ensemble_of, day_store, trained, pixels):
    store, dataset, _ = day_store
    held, units = ensemble_of(eye="training_mean", behavior="training_mean"), torch.tensor([0, 1, 2])
    data = load_model(store, trained[0]).config.data
    scan = scan_data(load_member(store, dataset, held.name, data), data)
    rows = scan.rows("train")
    eye, behavior = (v[rows].mean(0, keepdim=True).expand(5, -1) for v in (scan.eye, scan.behavior))
    z = ((pixels - held.image_mean) / held.image_std)[:, None]
    expected = torch.stack([n(z, held.name, eye, behavior)[:, units] for n in held.networks]).mean(0)
    torch.testing.assert_close(held(pixels, units), expected, atol=1e-5, rtol=1e-4)
    neither = ensemble_of(eye="none", behavior="none")
    assert (neither.eye, neither.behavior) == (None, None)


def test_bfloat16_changes_activations_little(ensemble_of, pixels):
    units = torch.arange(8)
    full, half = ensemble_of()(pixels, units), ensemble_of(precision="bfloat16")(pixels, units)
    assert 0 < (full - half).abs().max() < 0.05 * full.abs().max()


def test_images_normalised_each_by_itself_do_not_see_contrast(ensemble_of, pixels):
    ensemble = ensemble_of()
    ensemble.inputs = replace(ensemble.inputs, per_image=True)
    units = torch.arange(4)
    torch.testing.assert_close(
        ensemble(pixels, units), ensemble(pixels * 0.5 + 20, units), atol=1e-4, rtol=1e-4
    )


def test_what_cannot_work_is_refused(ensemble_of, day_store, trained):
    store, _, _ = day_store
    with pytest.raises(ConfigurationError, match="no models"):
        Ensemble([], "a")
    with pytest.raises(ConfigurationError, match="no readout key 'nobody'"):
        load_ensemble(store, trained, "nobody")
    models = [load_model(store, ref) for ref in trained]
    (name,) = models[0].inputs
    models[1].inputs[name] = replace(models[1].inputs[name], image_mean=1.0)
    with pytest.raises(ConfigurationError, match="take different inputs"):
        Ensemble(models, name)
    assert np.isfinite(ensemble_of().image_std)

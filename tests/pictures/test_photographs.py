"""The bundled photographs."""

import numpy as np
import pytest

from inception_loop.errors import ConfigurationError
from inception_loop.pictures.photographs import PHOTOGRAPHS, photograph


def test_every_photograph_comes_out_of_the_wheels_large_enough_for_crops(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a download was tried"))
    photograph.cache_clear()
    for name in PHOTOGRAPHS:
        grey = photograph(name)
        assert grey.ndim == 2, name
        assert min(grey.shape[0] / 72, grey.shape[1] / 128) > 2, name
        assert 0 <= grey.min() < grey.max() <= 255.001, name


def test_colours_are_weighted_by_luminance_and_the_result_is_read_only():
    import skimage.data

    rgb = skimage.data.astronaut()[100, 200].astype(float)
    grey = photograph("astronaut")
    assert grey[100, 200] == pytest.approx(0.2125 * rgb[0] + 0.7154 * rgb[1] + 0.0721 * rgb[2], rel=1e-5)
    assert not grey.flags.writeable


def test_no_two_photographs_show_the_same_scene():
    thumbs = [photograph(name)[:240, :320] for name in PHOTOGRAPHS]
    for i, a in enumerate(thumbs):
        for b in thumbs[:i]:
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.9


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="expected one of astronaut"):
        photograph("lena")

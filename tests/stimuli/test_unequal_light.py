"""How unlike images of one grey contrast are in light."""

import numpy as np
import polars as pl

from inception_loop.stimuli.unequal_light import light_misses, unequal_light


def shown(image_class, model_type, contrast, unit=7, mean=8.0, target="grey", shift=(0, 0)):
    return {
        "name": "1-1-1",
        "unit_id": unit,
        "image_class": image_class,
        "model_type": model_type,
        "shift_x": shift[0],
        "shift_y": shift[1],
        "target": target,
        "luminance_mean": mean,
        "luminance_contrast": contrast,
    }


def mei(contrast, **how):
    return shown("multi_cnn_mei", "cnn", contrast, **how)


def test_each_control_is_compared_with_its_own_unit_and_the_masked_one_with_the_masked_mei():
    rows = [mei(1.0, shift=(1, 0)), mei(0.8), mei(0.5, unit=9), shown("masked_mei", "masked_cnn", 0.4)]
    rows += [shown("gabor", "gabor", 0.6), shown("gabor", "gabor", 0.6, unit=9)]
    rows += [shown("masked_imagenet", "masked_natural", 0.5, mean=6.0)]
    found = light_misses(pl.DataFrame(rows))
    assert found.select("unit_id", "image_class", "own_class").rows() == [
        (7, "gabor", "multi_cnn_mei"),
        (7, "masked_imagenet", "masked_mei"),
        (9, "gabor", "multi_cnn_mei"),
    ]
    assert np.allclose(found["contrast"], [-0.25, 0.25, 0.2])
    assert np.allclose(found["mean"], [0, -0.25, 0])


def test_the_worst_control_is_named_with_the_line_that_makes_all_alike_in_light():
    rows = [mei(0.8, mean=7.0), mei(0.6, unit=9), shown("gabor", "gabor", 0.624, mean=7.0)]
    rows += [shown("gabor", "gabor", 0.6, unit=9), shown("unmasked_imgnet", "natural", 0.61, unit=9)]
    said = unequal_light(pl.DataFrame(rows))
    assert (
        "1 of 3 controls differ by over 5 % in luminance from the MEI of their unit, most the gabor of"
        in said
    )
    assert "of 1-1-1/7, with 22 % less luminance contrast than its multi_cnn_mei" in said
    assert said.endswith('target = {type = "luminance", mean = 7.5, contrast = 0.7}')


def test_nothing_is_said_of_images_alike_in_light_of_no_monitor_and_of_a_luminance_target():
    rows = [mei(0.8), shown("gabor", "gabor", 0.6)]
    table = pl.DataFrame(rows)
    assert unequal_light(table)
    assert not unequal_light(table.with_columns(luminance_contrast=0.8))
    assert not unequal_light(table.with_columns(luminance_contrast=pl.lit(None, pl.Float64)))
    assert not unequal_light(table.with_columns(target=pl.lit("luminance")))
    assert not unequal_light(table.clear())

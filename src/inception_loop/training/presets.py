"""Named choices of network and training, each with what it was chosen for.

The defaults of the configurations are the published values. ``demo`` is a small network and a short
training for a first look on two cores. It differs from the published ones in this:

- 16 channels and kernels of 13 and 5 px instead of 32, 15 and 7: a quarter of the operations;
- two splits of the pyramid that keep the map's size, so that positions are found to a third of a pixel
  (halved maps place them to about one);
- the gain after the output nonlinearity, because the simulated cells' whole response is scaled;
- positions that start where images and responses correlate: near their receptive fields no unit is left
  stuck (from the centre, one in ten was), and a handful of epochs is enough;
- batches of 30 and three learning rates with few epochs each.
"""

from __future__ import annotations

from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.readouts import SpatialTransformerPyramid2d
from inception_loop.training.config import TrainConfig

DEMO_TRAIN = TrainConfig(
    batch_size=30,
    learning_rates=(0.01, 0.003, 0.001),
    stage_epochs=(5, 2, 2),
    patience=3,
    start_positions="responses",
)
"""A short training: at most nine epochs."""


def demo_networks() -> tuple[CorePlusReadout, CorePlusReadout]:
    """Return the demo's network and its linear control, equal but for the nonlinearities.

    Examples
    --------
    >>> [network.core.type for network in demo_networks()]
    ['GaussianLaplace', 'StackedLinearGaussianLaplace']
    """
    shape = {"hidden_channels": 16, "input_kern": 13, "hidden_kern": 5}
    readout = SpatialTransformerPyramid2d(scale_n=2, downsample=False)
    return (
        CorePlusReadout(core=GaussianLaplace(**shape), readout=readout, gain="after"),
        CorePlusReadout(core=StackedLinearGaussianLaplace(**shape), readout=readout, gain="after"),
    )

"""The objective of training: the validation correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from inception_loop.network.network import Network
from inception_loop.training.scan_data import ScanData, predict
from inception_loop.training.scores import pearson


def validation_correlation(network: Network, scans: Sequence[ScanData]) -> float:
    """Mean over the units of all scans of the single-trial correlation on the validation trials.

    A unit whose prediction or response is constant counts as 0.
    """
    each = []
    for scan in scans:
        rows = scan.rows("validation")
        observed = scan.responses[torch.from_numpy(rows)].cpu().numpy()
        each.append(np.nan_to_num(pearson(predict(network, scan, rows), observed), nan=0.0))
    return float(np.concatenate(each).mean())

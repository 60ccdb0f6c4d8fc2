"""The objective of training: the validation correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from inception_loop.network.network import Network
from inception_loop.training.scan_data import ScanData, predict
from inception_loop.training.scores import pearson


def validation_correlation(network: Network, scans: Sequence[ScanData]) -> float:
    """Mean over the units of all scans of the single-trial correlation on the validation trials.

    A unit whose prediction or response is constant counts as 0.
    """
    each = [correlations(predict(network, scan, scan.rows("validation")), scan) for scan in scans]
    return float(np.concatenate(each).mean())


def correlations(predicted: npt.NDArray[np.float32], scan: ScanData) -> npt.NDArray[np.float64]:
    """(N,) correlations of (trials, N) predictions with the validation trials; 0 for what is constant."""
    observed = scan.responses[torch.from_numpy(scan.rows("validation"))].cpu().numpy()
    return np.nan_to_num(pearson(predicted, observed), nan=0.0)

"""The trials of a training as batches in their order, for one network or for several at once."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

import numpy as np

from inception_loop.training.batches import Rows, images_an_epoch, round_robin
from inception_loop.training.learner import Learner
from inception_loop.training.prefetch import prefetched
from inception_loop.training.scan_data import Batch, ScanData


class TrialStream:
    """Scans that networks learn from, where they are trained.

    Parameters
    ----------
    scans
        On the device, or sending their batches there.
    """

    def __init__(self, scans: Sequence[ScanData]) -> None:
        self.scans = {scan.name: scan for scan in scans}
        self.rows = {scan.name: scan.rows("train") for scan in scans}

    def epoch(self, learners: Sequence[Learner]) -> Generator[tuple[str, Batch]]:
        """Yield the batches of the learners' current epochs.

        Each learner has its own order. Their batches of a step are of one scan and of one size; they lie
        one after the other in the batch that is yielded.
        """
        orders = [self._order(learner) for learner in learners]
        batches = (self._joined(together) for together in zip(*orders, strict=True))
        size = len(learners) * learners[0].config.batch_size
        ahead = any(scan.prefetch_pays(size) for scan in self.scans.values())
        with closing(prefetched(batches) if ahead else batches) as ready:
            yield from ready

    def images(self, learners: Sequence[Learner]) -> int:
        """Count the images that an epoch of some learners learns from."""
        trials = [len(rows) for rows in self.rows.values()]
        configs = [learner.config for learner in learners]
        return sum(images_an_epoch(trials, config.batch_size, config.round_robin) for config in configs)

    def _order(self, learner: Learner) -> Iterator[tuple[str, Rows]]:
        config = learner.config
        return round_robin(self.rows, config.batch_size, learner.seed, learner.epoch, config.round_robin)

    def _joined(self, together: tuple[tuple[str, Rows], ...]) -> tuple[str, Batch]:
        name = together[0][0]
        rows = together[0][1] if len(together) == 1 else np.concatenate([rows for _, rows in together])
        return name, self.scans[name].batch(rows)

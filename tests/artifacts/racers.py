"""One of several processes that race on disk: ``racers.py FOLDER PROCESS PROCESSES THREADS ROUNDS``."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

from inception_loop.artifacts.disk import DiskBackend
from inception_loop.errors import ArtifactExistsError


def race(folder: str, process: int, processes: int, threads: int, rounds: int) -> None:
    """Race on disk against the other processes; print which thread of this one won each round."""
    backend = DiskBackend(Path(folder) / "store")
    won: list[list[int]] = []
    for number in range(rounds):
        wins: list[int] = []
        start = threading.Barrier(threads)

        def write(thread: int, number: int = number, wins: list[int] = wins, start: Any = start) -> None:
            start.wait()
            try:
                backend.create(f"round/{number}", b"%d %d" % (process, thread) * 50, durable=False)
            except ArtifactExistsError:
                return
            wins.append(thread)

        meet(Path(folder) / "meetings" / str(number), process, processes)
        racers = [threading.Thread(target=write, args=(thread,)) for thread in range(threads)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
        won.append(wins)
    sys.stdout.write(json.dumps(won))


def meet(place: Path, process: int, processes: int) -> None:
    """Wait until all processes are there."""
    place.mkdir(parents=True, exist_ok=True)
    (place / str(process)).touch()
    while len(list(place.iterdir())) < processes:
        time.sleep(0.0005)


if __name__ == "__main__":
    race(sys.argv[1], *map(int, sys.argv[2:]))

"""How far a grid is: what is counted, and the time left judged by the models trained here."""

from __future__ import annotations

import io

from inception_loop.training.tally import Tally, print_progress


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_every_job_is_counted_once_by_what_became_of_it() -> None:
    tally = Tally(64, Time())
    assert tally.line() == "0 of 64 trained"
    tally.end("a", found=11)
    tally.begin("b")
    tally.end("b", trained=1)
    tally.end("c", bad=1)
    for job in "def":
        tally.reserve(job)
    tally.end("d", found=1)
    assert tally.line() == "13 of 64 trained, 1 cannot be trained, 2 with other workers, about 0 s left"
    assert tally.done == 14
    tally.begin("e")  # taken over from a worker that died
    assert "1 with other workers" in tally.line()
    tally.end("e", trained=49)
    tally.end("f", found=1)
    assert tally.line() == "63 of 64 trained, 1 cannot be trained"


def test_the_time_left_is_that_of_the_models_left_less_what_is_spent_shared_by_those_at_work() -> None:
    time = Time()
    tally = Tally(10, time)
    tally.end("found", found=2)
    for job in "ab":
        tally.begin(job)
    time.now = 60
    for job in "ab":
        tally.end(job, trained=1)
    assert tally.line() == "4 of 10 trained, about 3.0 min left"  # 6 of a minute each, two at a time
    tally.begin("c")
    tally.begin("d")
    time.now = 90
    assert tally.line() == "4 of 10 trained, about 2.5 min left"
    time.now = 900  # what takes longer than the others is nearly done
    assert tally.line() == "4 of 10 trained, about 2.0 min left"


def test_a_stack_is_one_job_of_several_models_and_waiting_takes_no_time() -> None:
    time = Time()
    tally = Tally(8, time)
    tally.begin("stack")
    time.now = 40
    tally.end("stack", trained=4)
    assert tally.line() == "4 of 8 trained, about 40 s left"
    tally.begin("e")
    tally.reserve("e")
    time.now = 1000
    tally.begin("e")
    tally.drop("e")
    assert tally.line() == "4 of 8 trained, about 40 s left"


def test_epochs_of_one_model_are_printed_now_and_then_and_all_else_at_once() -> None:
    time, out = Time(), io.StringIO()
    tell = print_progress(stream=out, clock=time)
    tell(0, 2, "a: goes on after epoch 3")
    for epoch in range(4, 26):
        time.now += 1
        tell(0, 2, f"a: {epoch}/100 epochs")
    tell(0, 2, "b: another worker trains it")
    tell(1, 2, "a trained")
    assert out.getvalue().splitlines() == [
        "0/2  a: goes on after epoch 3",
        *(f"0/2  a: {epoch}/100 epochs" for epoch in (4, 14, 24)),
        "0/2  b: another worker trains it",
        "1/2  a trained",
    ]

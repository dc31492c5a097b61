"""A processor that is busy with something else is noticed, and no more than noticed."""

import torch

from i2i.training.busy import INTERVAL, BusyWatch, gain_of_one_thread


class Machine:
    """Time, and what of it a process gets."""

    def __init__(self) -> None:
        self.wall = self.computed = 0.0
        self.gain = 1.0
        self.measured = 0

    def pass_by(self, seconds: float, share: float, threads: int = 2) -> None:
        self.wall += seconds
        self.computed += seconds * share * threads

    def measure(self) -> float:
        self.measured += 1
        return self.gain


def watch(machine: Machine, threads: int = 2) -> BusyWatch:
    return BusyWatch(
        threads,
        gain=machine.measure,
        clock=lambda: machine.wall,
        cpu=lambda: machine.computed,
    )


def test_a_busy_processor_is_said_at_the_start(said: list[str]) -> None:
    machine = Machine()
    machine.gain = 8.8
    watch(machine).begin()
    (line,) = said
    assert "instead of 2 (OMP_NUM_THREADS=1" in line
    assert "about 8.8 times as fast" in line


def test_an_idle_processor_is_measured_once(said: list[str]) -> None:
    machine = Machine()
    watching = watch(machine)
    watching.begin()
    for _ in range(10):
        machine.pass_by(INTERVAL, 0.9)
        watching.look()
    assert said == []
    assert machine.measured == 1


def test_that_it_becomes_busy_is_said_once_each_time(said: list[str]) -> None:
    machine = Machine()
    watching = watch(machine)
    watching.begin()
    machine.gain = 4.0
    for share, lines in ((0.9, 0), (0.2, 1), (0.2, 1), (0.9, 1), (0.25, 2)):
        machine.pass_by(INTERVAL, share)
        watching.look()
        assert len(said) == lines
    assert "computed for 240 s in 600 s with 2 threads" in said[0]


def test_waiting_for_images_is_not_taken_for_it(said: list[str]) -> None:
    machine = Machine()
    watching = watch(machine)
    watching.begin()
    machine.pass_by(INTERVAL, 0.1)
    watching.look()
    assert machine.measured == 2
    assert said == []
    machine.gain = 4.0
    machine.pass_by(INTERVAL / 2, 0.1)
    watching.look()
    assert machine.measured == 2  # not again so soon
    machine.pass_by(INTERVAL, 0.1)
    watching.restart()  # a validation, say
    machine.pass_by(1, 0.9)
    watching.look()
    assert machine.measured == 2


def test_one_thread_has_nobody_to_wait_for(said: list[str]) -> None:
    machine = Machine()
    machine.gain = 9.0
    watching = watch(machine, threads=1)
    watching.begin()
    machine.pass_by(INTERVAL, 0.1, threads=1)
    watching.look()
    assert said == []
    assert machine.measured == 0


def test_measuring_leaves_threads_and_random_state_alone() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    assert gain_of_one_thread() > 0
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)

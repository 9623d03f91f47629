"""The number of threads follows what the machine can do, on machines made of two numbers."""

from hatcat.engines.threads import Threads


def run(threads: Threads, alone: dict[int, float], steps: int) -> tuple[float, list[int]]:
    """Mean time of a step on a machine where ``count`` threads take ``alone[count]`` seconds, and counts used."""
    used, total = [], 0.0
    for _ in range(steps):
        used.append(threads.count)
        total += alone[threads.count]
        threads.took(alone[threads.count])
    return total / steps, used


QUIET = {2: 0.010, 1: 0.017}
BUSY = {2: 0.040, 1: 0.014}


def test_a_quiet_machine_keeps_all_its_threads_and_pays_little_for_trying() -> None:
    mean, used = run(Threads(2), QUIET, 4000)
    assert mean < 1.01 * QUIET[2]
    assert used[-1] == 2


def test_a_busy_machine_gives_one_up_at_once() -> None:
    mean, used = run(Threads(2), BUSY, 400)
    assert used[-1] == 1 and mean < 1.25 * BUSY[1]


def test_it_notices_that_the_machine_became_busy_and_quiet_again() -> None:
    threads = Threads(2)
    run(threads, QUIET, 2000)  # trials are rare by now
    _, used = run(threads, BUSY, 100)
    assert used[20:].count(1) > 70
    _, used = run(threads, QUIET, 400)
    assert used[-1] == 2


def test_one_processor_leaves_nothing_to_choose() -> None:
    mean, used = run(Threads(1), {1: 0.02}, 100)
    assert set(used) == {1} and mean < 0.0201


def test_a_slowly_growing_context_is_no_alarm() -> None:
    threads = Threads(2)
    changes = 0
    for i in range(4000):
        before = threads.count
        threads.took((0.010 if before == 2 else 0.017) * (1 + i / 4000))
        changes += threads.count != before
    assert changes < 60

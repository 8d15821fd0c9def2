"""The one runner: tasks fed to an executor in a window, never all at once; what a dead worker had is done again."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from .executors import Executor

TRIES = 3  # workers that one task may take along before it is given up


def conduct(
    work: Callable[[Any], Any], tasks: Iterable[Hashable], executor: Executor, take: Callable[[Any], None]
) -> list[Hashable]:
    """take(work(task)) for every task, in the order in which they are done; the tasks that were given up."""
    left, again = iter(tasks), list[Hashable]()
    waiting: dict[Future, Hashable] = {}
    deaths: Counter = Counter()
    while True:
        while len(waiting) < executor.room and (task := again.pop() if again else next(left, None)) is not None:
            waiting[executor.submit(work, task)] = task
        if not waiting:
            return [task for task, n in deaths.items() if n == TRIES]
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            task = waiting.pop(future)
            try:
                found = future.result()
            except executor.died:
                deaths[task] += 1
                again += [task] * (deaths[task] < TRIES)
            except executor.cut_off:
                executor.reconnect()
                again.append(task)
            else:
                take(found)

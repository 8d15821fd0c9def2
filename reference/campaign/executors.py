"""Who does the work: this process, processes of this machine, a Dask cluster, or Ray. One class each.

All take a task and give a future, as `concurrent.futures` does, and say how many tasks they have room for, what a
future raises whose worker died, and what it raises where the connection to all of them was cut off.
"""

import contextlib
import logging
import os
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from importlib import import_module
from multiprocessing import get_context, parent_process
from types import ModuleType
from typing import Any, Self

NAMES = ("processes", "dask", "ray")
LIMIT = 10.0  # seconds that a scheduler may take to answer
AHEAD = 2  # tasks at hand for every worker of a cluster, so that none waits for the next


class Executor:
    """What the runner needs. As a context: left by an exception, what is still running is ended at once."""

    room: int = 1
    died: tuple[type[BaseException], ...] = ()
    cut_off: tuple[type[BaseException], ...] = ()

    def submit(self, work: Callable[..., Any], *given: Any) -> Future:
        raise NotImplementedError

    def reconnect(self) -> None:
        """Wait until work is taken again; a ValueError, in a sentence, where it is not."""

    def close(self, at_once: bool = False) -> None:
        """Let go of every worker; `at_once`: without waiting for what it is doing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: Any) -> None:
        self.close(at_once=error is not None)


def executor(on: str, jobs: int, scheduler: str | None = None) -> Executor:
    """The executor of this name, on `jobs` processes where it has no scheduler of its own."""
    if on == "processes":
        return Processes(jobs)
    return (Dask if on == "dask" else Ray)(jobs, scheduler)


class Here(Executor):
    """This very process: a task is done before its future is returned."""

    def submit(self, work: Callable[..., Any], *given: Any) -> Future:
        future: Future = Future()
        try:
            future.set_result(work(*given))
        except Exception as e:
            future.set_exception(e)
        return future


class Processes(Executor):
    """Processes of this machine. Each is a pool of its own: one that dies takes no other's task with it."""

    died = (BrokenExecutor,)

    def __init__(self, jobs: int) -> None:
        self.room = jobs
        self.idle: queue.SimpleQueue[ProcessPoolExecutor | None] = queue.SimpleQueue()
        self.pids: dict[ProcessPoolExecutor, Future] = {}
        for _ in range(jobs):
            self.idle.put(None)

    def submit(self, work: Callable[..., Any], *given: Any) -> Future:
        worker = self.idle.get() or self._started()
        try:
            future = worker.submit(work, *given)
        except BrokenExecutor:  # it was killed while it had nothing to do
            worker = self._started()
            future = worker.submit(work, *given)
        future.add_done_callback(lambda done: self._free(worker, done))
        return future

    def _started(self) -> ProcessPoolExecutor:
        worker = ProcessPoolExecutor(1, get_context("spawn"), initializer=_ends_with_its_parent)
        self.pids[worker] = worker.submit(os.getpid)
        return worker

    def _free(self, worker: ProcessPoolExecutor, done: Future) -> None:
        dead = not done.cancelled() and isinstance(done.exception(), BrokenExecutor)
        if dead:
            self.pids.pop(worker, None)
        self.idle.put(None if dead else worker)

    def close(self, at_once: bool = False) -> None:
        for worker, pid in list(self.pids.items()):
            if at_once and pid.done() and not pid.exception():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid.result(), signal.SIGTERM)
            worker.shutdown(wait=not at_once, cancel_futures=True)


def _ends_with_its_parent() -> None:
    """In a worker: Ctrl-C is for the parent, and whatever ends the parent, kill -9 too, ends the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def watch() -> None:
        parent.join()  # type: ignore[union-attr]
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Dask(Executor):
    """A Dask cluster: that of a scheduler which is there, or one of `jobs` workers on this machine."""

    def __init__(self, jobs: int, scheduler: str | None) -> None:
        distributed = _needed("distributed", "dask", "campaign")
        for name in [n for n in logging.root.manager.loggerDict if n.partition(".")[0] == "distributed"]:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters of it is said in a sentence
        import_module("dask").config.set({"logging.distributed": "critical"})
        self.died, self.cut_off = (distributed.KilledWorker,), (CancelledError,)
        self.address, self.cluster = scheduler, None
        if scheduler is None:
            self.cluster = distributed.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
        else:
            _answers(scheduler)
        try:
            self.client = distributed.Client(scheduler or self.cluster, timeout=LIMIT)
            self.client.wait_for_workers(1, timeout=LIMIT)
        except TimeoutError as e:
            raise ValueError(f"the scheduler {scheduler} answers, but has no worker within {LIMIT:g} s") from e
        except OSError as e:
            raise ValueError(_silent(scheduler)) from e
        self.futures = self.client.get_executor(pure=False)

    @property
    def room(self) -> int:
        """As many as its workers of today can be doing, and the next."""
        try:
            return max(1, AHEAD * sum(self.client.nthreads().values()))
        except (OSError, CancelledError):
            return 1

    def submit(self, work: Callable[..., Any], *given: Any) -> Future:
        try:
            return self.futures.submit(work, *given)
        except (OSError, RuntimeError) as e:
            raise ValueError(_gone(self.address)) from e

    def reconnect(self) -> None:
        end = time.monotonic() + LIMIT
        while self.client.status != "running":
            if time.monotonic() > end or self.client.status == "closed":
                raise ValueError(_gone(self.address))
            time.sleep(0.1)

    def close(self, at_once: bool = False) -> None:
        with contextlib.suppress(Exception):  # a scheduler that is gone cannot be left in order
            self.client.close(timeout=1 if at_once else LIMIT)
        if self.cluster is not None:
            self.cluster.close(timeout=1 if at_once else LIMIT)


class Ray(Executor):
    """Ray: a cluster whose address is given, or `jobs` workers on this machine."""

    def __init__(self, jobs: int, scheduler: str | None) -> None:
        self.ray = _needed("ray", "ray", "ray")
        self.died = self.ray.exceptions.WorkerCrashedError, self.ray.exceptions.NodeDiedError
        if scheduler is not None:
            _answers(scheduler)
        where: dict[str, Any] = {"num_cpus": jobs, "include_dashboard": False} if scheduler is None else {}
        quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
        try:
            self.ray.init(address=scheduler, **where, **quiet)
        except (ConnectionError, RuntimeError) as e:
            raise ValueError(_silent(scheduler)) from e
        self.remote = self.ray.remote(num_cpus=1, max_retries=0)(_called)

    @property
    def room(self) -> int:
        return max(1, AHEAD * int(self.ray.cluster_resources().get("CPU", 1)))

    def submit(self, work: Callable[..., Any], *given: Any) -> Future:
        return self.remote.remote(work, *given).future()

    def close(self, at_once: bool = False) -> None:
        self.ray.shutdown()


def _called(work: Callable[..., Any], *given: Any) -> Any:
    return work(*given)


def _needed(module: str, on: str, extra: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as e:
        told = f"--on {on} needs {module}, which is not installed here: pip install 'manualbp[{extra}]'"
        raise ValueError(f"{told}; --on processes needs nothing") from e


def _answers(scheduler: str) -> None:
    """A ValueError unless something listens at this address."""
    host, _, port = scheduler.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        raise ValueError(f"--scheduler takes an address as tcp://10.0.0.1:8786; it got {scheduler}")
    try:
        socket.create_connection((host, int(port)), LIMIT).close()
    except OSError as e:
        raise ValueError(_silent(scheduler)) from e


def _silent(scheduler: str | None) -> str:
    return f"no scheduler answers at {scheduler or 'this machine'}, within {LIMIT:g} s"


def _gone(scheduler: str | None) -> str:
    return f"the scheduler {scheduler or 'of this machine'} does not answer any more"

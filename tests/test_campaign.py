"""Campaigns: the same figures however the work is divided, by whom it is done, and whatever is killed on the way."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import filelock
import pytest
from wellformed import read
from wrong_campaign import off

import manualbp as m
from reference import cli, verify
from reference.campaign import executors, log, page
from reference.campaign.buckets import architecture, buckets
from reference.campaign.lines import digest, dumped, plain, tally_of
from reference.campaign.log import Done, Span, opened
from reference.campaign.runner import TRIES, conduct
from reference.plan import Plan
from reference.report.screen import certainty
from reference.tally import Figures, Tally
from reference.verify import chunk, covered

HERE = Path(__file__).parent
CLASSES = "Linear", "ReLU", "Embedding", "Identity", "Abs", "Neg", "Flatten", "LeakyReLU"
PLAN = Plan(24, layers=CLASSES)
OPTIONS = ["--cases", 24, "--task", 4, *(word for name in CLASSES for word in ("--layer", name))]


def needs(module: str, extra: str):
    there = importlib.util.find_spec(module) is not None
    return pytest.mark.skipif(not there, reason=f"{module} is not installed: pip install 'manualbp[{extra}]'")


@pytest.fixture(scope="module")
def right() -> Tally:
    return covered(PLAN, range(PLAN.cases), to_the_end=True)


@pytest.fixture(scope="module")
def parts() -> list[Tally]:
    """What the tasks of a campaign give where Embedding's gradient is doubled."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(m.Embedding, "backward", off(m.Embedding.backward))
        return [covered(PLAN, range(i, i + 4), to_the_end=True) for i in range(0, PLAN.cases, 4)]


def merged(parts) -> Tally:
    tally = Tally()
    for part in parts:
        tally.merge(part)
    return tally


@pytest.fixture
def run(monkeypatch, capsys):
    def called(*arguments):
        monkeypatch.setattr(sys, "argv", ["manualbp", "verify", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return called


# what one range gives, and how it adds up


def test_a_campaign_goes_on_after_a_mismatch_and_an_ordinary_share_ends_at_it(parts, monkeypatch):
    wrong = merged(parts)
    assert wrong.covered == PLAN.cases
    assert wrong.verdicts["wrong"] == len(wrong.failures) + len(wrong.further) > 1
    assert wrong.total.cases + wrong.verdicts["wrong"] + wrong.verdicts["not drawn"] == PLAN.cases
    monkeypatch.setattr(m.Embedding, "backward", off(m.Embedding.backward))
    share = chunk(PLAN, 0)
    assert len(share.failures) == 1
    assert share.failures[0].index == min(f.index for f in wrong.failures)
    assert share.covered == share.failures[0].index + 1


def test_of_many_mismatches_the_first_are_shrunk_and_the_others_counted(monkeypatch):
    monkeypatch.setattr(m.Embedding, "backward", off(m.Embedding.backward))
    monkeypatch.setattr(verify, "smallest", lambda *_: None)  # as where a mismatch comes and goes
    tally = covered(replace(PLAN, layers=("Embedding",)), range(12), to_the_end=True)
    assert len(tally.failures) == verify.SHRUNK
    assert tally.further
    assert tally.covered == 12
    assert verify.check(verify.drawn(replace(PLAN, layers=("Embedding",)), tally.further[0])).wrong


def test_an_error_ends_no_campaign_and_counts_nothing_twice(monkeypatch):
    def raises(case):
        if case.seed % 2:
            raise RuntimeError("no")
        return []

    monkeypatch.setattr(verify, "at_stake", raises)
    tally = covered(replace(PLAN, regime="exact"), range(16), to_the_end=True)
    assert tally.verdicts["error"] == 16 - tally.total.cases - tally.verdicts["not drawn"] > 0
    assert "RuntimeError: no" in tally.errors[0]
    assert len(tally.errors) <= verify.SHRUNK


def test_a_line_of_text_gives_the_same_tally_back(parts):
    for part in [*parts, Tally()]:
        again = tally_of(json.loads(dumped(plain(part))))
        assert dumped(plain(again)) == dumped(plain(part))
        for one, other in zip(part.failures, again.failures, strict=True):
            assert one.case == other.case
            assert one.report == other.report
            assert [t.worst() for t in one.comparison.tensors] == [t.worst() for t in other.comparison.tensors]


def test_the_digest_does_not_know_how_the_work_was_divided(right, parts):
    ranges = [range(17, 24), range(9), range(9, 17)]
    assert digest(merged(covered(PLAN, part, to_the_end=True) for part in ranges)) == digest(right)
    assert digest(merged(reversed(parts))) == digest(merged(parts)) != digest(right)


def test_the_digest_sees_whatever_is_counted(right):
    for name, value in vars(right).items():
        if isinstance(value, Counter):
            assert digest(replace(right, **{name: value + Counter({"more": 1})})) != digest(right), name
    assert digest(replace(right, blind=right.blind + 1)) != digest(right)
    assert digest(replace(right, further=[3])) != digest(right)


def test_the_median_of_powers_is_that_of_all_in_two_digits():
    powers = [3.14e-15, 2.718e-14, 1.414e-15, 9.99e-16, 5e-3, 1.04e-15]
    for n in range(1, len(powers) + 1):
        halves = Figures(), Figures()
        for i, power in enumerate(powers[:n]):
            halves[i % 2].powers[f"{power:.1e}"] += 1
        halves[0].merge(halves[1])
        assert f"{halves[0].power:.1e}" == f"{sorted(powers[:n])[n // 2]:.1e}"
    assert Figures().power is None


# the runner and its executors


class Slow(executors.Executor):
    """Threads that finish when they like; it notes how many tasks were in its hands at most."""

    room = 3

    def __init__(self):
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def submit(self, work, *given):
        future = Future()
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Timer(0.01, self._end, (future, work, given)).start()
        return future

    def _end(self, future, work, given):
        with self.lock:
            self.now -= 1
        future.set_result(work(*given))


def test_tasks_are_fed_in_a_window_and_taken_as_they_are_asked_for():
    slow, drawn, taken = Slow(), [], []
    tasks = (drawn.append(i) or i for i in range(20))
    assert conduct(lambda i: (i, len(drawn)), tasks, slow, taken.append) == []
    assert sorted(i for i, _ in taken) == list(range(20))
    assert slow.most == slow.room
    assert all(ahead <= len(taken[:k]) + 2 * slow.room for k, (_, ahead) in enumerate(taken))


def dies_once(mark: str) -> int:
    if not os.path.exists(mark):
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def dies(task: str) -> str:
    if task == "deadly":
        os._exit(1)
    return task


on_linux = pytest.mark.skipif(not Path("/proc").exists(), reason="it looks at processes as Linux shows them")


@on_linux
def test_a_process_that_is_killed_is_replaced_and_its_task_done_again(tmp_path):
    taken = []
    with executors.Processes(1) as workers:
        assert conduct(dies_once, [str(tmp_path / "a"), str(tmp_path / "b")], workers, taken.append) == []
        os.kill(taken[-1], signal.SIGKILL)  # while it has nothing to do
        with contextlib.suppress(ProcessLookupError):
            while True:  # until it is noticed, and nothing is left of it
                os.kill(taken[-1], 0)
                time.sleep(0.01)
        assert conduct(dies_once, [str(tmp_path / "b")], workers, taken.append) == []
    assert len(set(taken)) == 3


def test_a_task_that_no_process_survives_is_given_up_and_the_others_are_done():
    taken = []
    with executors.Processes(2) as workers:
        lost = conduct(dies, ["a", "deadly", "b", "c"], workers, taken.append)
    assert lost == ["deadly"]
    assert sorted(taken) == ["a", "b", "c"]
    assert TRIES == 3


def sleeps(seconds: float) -> None:
    time.sleep(seconds)


def test_what_runs_is_ended_at_once_when_an_exception_ends_the_work():
    start, workers = time.monotonic(), executors.Processes(1)
    workers.submit(sleeps, 0).result()
    workers.submit(sleeps, 60)
    workers.__exit__(KeyboardInterrupt)
    assert time.monotonic() - start < 40


class FakeRay:
    """The part of Ray's interface that is used, on threads, with a worker that crashes at its first task."""

    class exceptions:  # noqa: N801
        WorkerCrashedError, NodeDiedError = (type(n, (Exception,), {}) for n in ("WorkerCrashedError", "NodeDiedError"))

    def __init__(self):
        self.started, self.left, self.crashes = {}, False, 1

    def init(self, **options):
        self.started = options

    def cluster_resources(self):
        return {"CPU": 2.0}

    def shutdown(self):
        self.left = True

    def remote(self, **options):
        assert options == {"num_cpus": 1, "max_retries": 0}
        return lambda f: SimpleNamespace(remote=lambda *given: SimpleNamespace(future=lambda: self.future(f, given)))

    def future(self, f, given):
        future = Future()
        if self.crashes:
            self.crashes -= 1
            future.set_exception(self.exceptions.WorkerCrashedError())
        else:
            future.set_result(f(*given))
        return future


def test_ray_is_asked_for_what_it_has(monkeypatch):
    ray, taken = FakeRay(), []
    monkeypatch.setitem(sys.modules, "ray", ray)
    with executors.executor("ray", 2) as workers:
        assert workers.room == 4
        assert conduct(abs, [-1, -2, -3], workers, taken.append) == []
    assert sorted(taken) == [1, 2, 3]
    assert ray.started["num_cpus"] == 2
    assert ray.left


# the folder


def line_of(tally: Tally, start: int, stop: int, plan: Plan = PLAN) -> str:
    of = log.identity(plan)
    return dumped({"of": of, "range": [start, stop], "by": "a:1", "at": stop, "seconds": 1.0, "tally": plain(tally)})


@pytest.fixture
def folder(tmp_path, parts):
    """A campaign of which two of six tasks are done."""
    kept = opened(tmp_path / "run", PLAN, set(), 4)
    kept.take(line_of(parts[0], 0, 4))
    kept.take(line_of(parts[3], 12, 16))
    kept.close()
    return tmp_path / "run"


@contextlib.contextmanager
def resumed(folder, plan=PLAN, given=(), task=None):
    kept = opened(folder, plan, set(given), task)
    try:
        yield kept
    finally:
        kept.close()


def test_what_is_missing_is_what_is_not_in_the_log(folder, parts):
    with resumed(folder) as kept:
        assert list(kept.missing()) == [(4, 8), (8, 12), (16, 20), (20, 24)]
        assert digest(kept.tally) == digest(merged([parts[0], parts[3]]))
    with resumed(folder, replace(PLAN, cases=30), {"cases"}, 7) as kept:  # it grows, and in tasks of another size
        assert list(kept.missing()) == [(4, 11), (11, 12), (16, 23), (23, 30)]
    with resumed(folder) as kept:
        assert kept.plan.cases == 30


def test_a_line_that_was_cut_off_is_done_again_and_none_is_counted_twice(folder, parts):
    path = folder / "log.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[0] + b"\n" + line_of(parts[1], 4, 8).encode()[:-50])
    with resumed(folder) as kept:
        assert "cut off" in kept.note
        assert [d.span for d in kept.done] == [(0, 4), (12, 16)]
        kept.take(line_of(parts[1], 4, 8))
    with resumed(folder) as kept:
        assert kept.note == ""
        assert [d.span for d in kept.done] == [(0, 4), (4, 8), (12, 16)]


def test_a_line_that_is_none_is_told_and_left_alone(folder):
    path = folder / "log.jsonl"
    text = path.read_bytes().replace(b'{"at":4', b'{"at"#4')
    path.write_bytes(text)
    with resumed(folder) as kept:
        assert "1 of the lines" in kept.note
        assert [d.span for d in kept.done] == [(12, 16)]
    assert path.read_bytes() == text


def test_a_range_with_errors_is_done_again(folder, parts):
    with resumed(folder) as kept:
        kept.take(line_of(replace(parts[1], errors=["no"]), 4, 8))
    with resumed(folder) as kept:
        assert Span(4, 8) in kept.missing()
        kept.take(line_of(parts[1], 4, 8))
    with resumed(folder) as kept:
        assert Span(4, 8) not in kept.missing()
        assert not kept.tally.errors


def test_a_worker_of_another_version_is_refused(folder, parts):
    other = line_of(parts[1], 4, 8).replace(log.torch.__version__, "1.0.0")
    with (
        resumed(folder) as kept,
        pytest.raises(ValueError, match=r"worker a:1 has torch version 1\.0\.0, and this is torch version"),
    ):
        kept.take(other)
    with resumed(folder) as kept:
        assert len(kept.done) == 2


def of_another_torch(folder):
    plan = json.loads((folder / "plan.json").read_text())
    plan["of"]["torch version"] = "1.0.0"
    (folder / "plan.json").write_text(json.dumps(plan))


def of_another_format(folder):
    (folder / "plan.json").write_text(json.dumps({"format": 99}))


def cut(folder):
    (folder / "plan.json").write_text('{"format": 1, "pl')


def without_plan(folder):
    (folder / "plan.json").unlink()


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        (None, ["--seed", 7], "is a campaign with seed 0, and this is seed 7: give another folder"),
        (None, ["--layer", "Abs"], "give another folder"),
        (None, ["--cases", 8], "it can grow, not shrink to 8"),
        (of_another_torch, [], "is a campaign with torch version 1.0.0, and this is torch version"),
        (of_another_format, [], "was written in format 99, and this reads format 1"),
        (cut, [], "is not the plan of a campaign"),
        (without_plan, [], "has log.jsonl, but no plan.json"),
    ],
)
def test_the_folder_of_another_campaign_is_left_alone(folder, run, change, options, told):
    if change:
        change(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, _, err = run("--resume", folder, *options)
    assert code == 2
    assert told in " ".join(err.split())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_is_held_by_one(folder, run):
    with filelock.FileLock(folder / ".lock"):
        code, _, err = run("--resume", folder)
    assert code == 2
    assert "is being worked on by another process" in err


# the command


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--on", "dasc"], "did you mean dask?"),
        (["--on", "processes", "--scheduler", "tcp://a:1"], "--scheduler goes with --on dask or --on ray"),
        (["--on", "dask"], "pip install 'manualbp[campaign]'"),
        (["--on", "ray"], "pip install 'manualbp[ray]'"),
        (["--resume", "no/such/place"], "there is no folder"),
        (["--html", "no/such.html"], "--html no/such.html cannot be written"),
        (["--task", "0"], "--task"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(run, monkeypatch, tmp_path, options, told):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = run(*OPTIONS, *options)
    assert code == 2
    assert told in " ".join(err.split())
    assert "Traceback" not in err


def test_a_scheduler_that_does_not_answer_is_told_within_its_time(run, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    monkeypatch.setattr(executors, "LIMIT", 0.5)
    address = f"127.0.0.1:{free_port()}"
    code, _, err = run(*OPTIONS, "--on", "ray", "--scheduler", address, "--resume", tmp_path / "run")
    assert code == 2
    assert f"no scheduler answers at {address}" in err
    assert not (tmp_path / "run").exists()  # nothing had begun
    assert run(*OPTIONS, "--on", "processes", "--jobs", 1, "--resume", tmp_path / "run")[0] == 0
    code, _, err = run("--cases", 48, "--on", "ray", "--scheduler", address, "--resume", tmp_path / "run")
    assert "24 of 48 networks are done; to go on: manualbp verify --resume" in " ".join(err.split())
    assert run(*OPTIONS, "--on", "ray", "--scheduler", "here", "--resume", tmp_path / "run")[0] == 2


def test_a_campaign_is_gone_on_with_and_told(run, folder, parts, monkeypatch, tmp_path):
    """In threads, so that the mistake is there: two of six tasks are in the log, and are not done again."""
    spans = []
    work = log.work
    monkeypatch.setattr(log, "work", lambda plan, span: spans.append(span) or work(plan, span))
    monkeypatch.setattr("reference.campaign.command.executor", lambda *_: executors.Here())
    monkeypatch.setattr(m.Embedding, "backward", off(m.Embedding.backward))
    files = tmp_path / "a.json", tmp_path / "a.xml", tmp_path / "a.html"
    code, out, _ = run("--resume", folder, "--json", files[0], "--junit", files[1], "--html", files[2])
    assert code == 1
    assert spans == [(4, 8), (8, 12), (16, 20), (20, 24)]
    told = json.loads(files[0].read_text())
    whole = merged(parts)
    assert told["digest"] == digest(whole)
    assert f"{whole.verdicts['wrong']} in 24 networks differ. Digest {digest(whole)}." in out
    assert out.count("Mismatch in the smallest network found") == len(buckets(whole.failures))
    assert files[1].exists()
    found = read(files[2].read_text())
    assert found.faults == found.outside == []


def test_ctrl_c_ends_a_campaign_with_the_line_that_goes_on(run, folder, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("reference.campaign.command.conduct", interrupted)
    code, out, _ = run("--resume", folder)
    assert code == 1  # of what was covered
    assert f"to go on: manualbp verify --resume {folder} --on processes" in out


def test_no_mismatch_in_n_networks_is_worth_three_over_n(right):
    right = replace(right, verdicts=Counter(identical=1000, rounding=2000, vacuous=7))
    assert certainty(right).startswith("0 in 3,000: with 95 % fewer than 3/3,000 = 1.0e-03 of such networks differ")
    assert (1 - 3 / 3000) ** 3000 < 0.05 < (1 - 2.9 / 3000) ** 3000
    assert certainty(replace(right, verdicts=Counter(wrong=2, rounding=1))) == "2 in 3 networks differ."
    assert certainty(Tally()) == "0 in 0 networks differ."


# buckets and the page


def test_failures_that_are_alike_share_a_bucket_with_its_smallest(parts):
    failures = merged(parts).failures
    found = buckets(failures)
    assert sum(b.count for b in found) == len(failures)
    alone = next(b for b in found if b.signature.architecture == "Embedding")
    assert alone.signature[:3] == ("wrong", "backward", "Embedding")
    assert alone.count > 1
    alike = [repr(f.case) for f in failures if architecture(f.case.layer) == "Embedding"]
    assert len(repr(alone.smallest.case)) == min(map(len, alike))
    assert buckets(reversed(failures)) == found


def test_an_architecture_is_its_classes():
    net = m.Objective(m.Sequential(m.Linear(2, 3), m.Residual(m.Tanh())), m.MSELoss())
    assert architecture(net) == "Objective(Sequential(Linear, Residual(Tanh)), MSELoss)"


def test_the_page_is_whole_and_shows_coverage_buckets_and_rate(parts, right):
    wrong = merged(parts)
    done = [Done(Span(4 * i, 4 * i + 4), part, f"host:{i % 2}", 8.0, 100.0 + 5 * i) for i, part in enumerate(parts)]
    html = page.page(wrong, PLAN, done)
    found = read(html)
    assert found.faults == found.outside == []
    assert "prefers-color-scheme: dark" in html
    assert html.count('class="bucket"') == len(buckets(wrong.failures))
    assert "host:1" in html
    assert f"{len(set(CLASSES) & set(wrong.rows))} of 8 classes" in html
    assert digest(wrong) in html
    assert certainty(wrong) in html
    assert "None." in page.page(right, PLAN)


def test_the_chart_has_every_network_and_leaves_long_pauses_out(parts):
    done = [Done(Span(4 * i, 4 * i + 4), part, "a:1", 10.0, 10.0 * (i + 1)) for i, part in enumerate(parts)]
    done[-1] = replace(done[-1], at=1e6)
    drawn = page.chart(done)
    seconds = 100.0  # five tasks one after another, and at most five times a task's time
    area = sum(bar.rate * bar.width for bar in drawn["bars"]) * seconds / drawn["width"]
    assert area == pytest.approx(PLAN.cases)
    assert len(drawn["cuts"]) == 1
    assert page.chart([]) is None


# kill -9


class Campaign:
    """`manualbp` as a process of its own, with the mistake in it or as it is."""

    def __init__(self, folder, *options, program=(HERE / "wrong_campaign.py",)):
        self.log = folder / "log.jsonl"
        command = [sys.executable, *program, "verify", "--resume", folder, "--quiet", *options]
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def lines(self):
        text = self.log.read_bytes() if self.log.exists() else b""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]

    def until(self, n: int):
        """Wait until n tasks are done; the last of these."""
        end = time.monotonic() + 300
        while len(self.lines()) < n:
            assert time.monotonic() < end
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)
        return self.lines()[-1]

    def ended(self):
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out, err


def kill(by: str) -> None:
    """kill -9 of a worker by its name in the log."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(by.rpartition(":")[2]), signal.SIGKILL)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return "zombie" in Path(f"/proc/{pid}/status").read_text()


@on_linux
def test_killed_processes_and_a_killed_client_lose_nothing_and_double_nothing(tmp_path, parts):
    first = Campaign(tmp_path / "run", *OPTIONS, "--jobs", 2)
    kill(first.until(1)["by"])
    worker = first.until(2)["by"]
    first.process.kill()
    first.process.communicate()
    second = Campaign(tmp_path / "run")
    code, out, err = second.ended()
    assert code == 1, err
    assert f"Digest {digest(merged(parts))}." in out
    ranges = sorted(tuple(line["range"]) for line in second.lines())
    assert ranges == [(i, i + 4) for i in range(0, 24, 4)]
    assert gone(int(worker.rpartition(":")[2]))  # a worker ends with its client


class Cluster:
    """A Dask scheduler and two workers, as somebody starts them."""

    def __init__(self):
        self.address = f"tcp://127.0.0.1:{free_port()}"
        self.scheduler = self.start("dask_scheduler", "--host", "127.0.0.1", "--port", self.address.rpartition(":")[2])
        worker = (self.address, "--nworkers", "2", "--nthreads", "1", "--death-timeout", "20")
        self.workers = self.start("dask_worker", *worker, "--preload", str(HERE / "wrong_campaign.py"))

    def start(self, name, *options):
        command = [sys.executable, "-m", f"distributed.cli.{name}", *options, "--no-dashboard"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.scheduler, self.workers):
            process.terminate()
        for process in (self.scheduler, self.workers):
            process.wait(60)


@needs("distributed", "campaign")
def test_dask_loses_nothing_when_worker_client_and_scheduler_are_killed(tmp_path, parts):
    options = ["--on", "dask", "--scheduler"]
    with Cluster() as cluster:
        first = Campaign(tmp_path / "run", *OPTIONS, *options, cluster.address)
        kill(first.until(1)["by"])
        first.until(2)
        first.process.kill()
        first.process.communicate()
        second = Campaign(tmp_path / "run", *options, cluster.address)
        second.until(3)
        cluster.scheduler.kill()
        code, _, err = second.ended()
        assert code == 2
        assert f"the scheduler {cluster.address} does not answer any more" in err
        assert f"to go on: manualbp verify --resume {tmp_path / 'run'} --on dask" in err
    third = Campaign(tmp_path / "run", "--on", "dask", "--jobs", 2)
    code, out, err = third.ended()
    assert code == 1, err
    assert f"Digest {digest(merged(parts))}." in out
    assert sorted(line["range"][0] for line in third.lines()) == list(range(0, 24, 4))


@needs("ray", "ray")
def test_ray_gives_the_same_and_a_killed_worker_loses_nothing(tmp_path, right):
    """Its workers are no children of the program, so that the mistake would not be in them."""
    campaign = Campaign(tmp_path / "run", *OPTIONS, "--on", "ray", "--jobs", 2, program=("-m", "reference.cli"))
    kill(campaign.until(1)["by"])
    code, out, err = campaign.ended()
    assert code == 0, err
    assert f"Digest {digest(right)}." in out

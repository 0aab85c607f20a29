"""Runs whose networks are measured by processes: which may die, hang and stop, and change nothing."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from command_line import interrupt
from in_process import here
from worked import alive, children

from nat_core.contracts import Task
from nat_core.errors import ConfigError, NatError
from nat_executors.pool import Pool

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into procfs")


def by(workers, **options):
    given = {"workers": workers, **options}
    return ("--executor", "processes", *(w for n, v in given.items() for w in ("-s", f"processes.{n}={v}")))


@pytest.mark.promise(7)
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_finds_the_same(toy, undisturbed, workers, cases):
    toy.order("pause 1", "third")  # who begins first does not end first
    outcome = toy.run("worked", *by(workers))
    assert outcome.code == 0
    assert toy.archive("worked") == undisturbed
    assert not children(os.getpid())
    cases["evaluations by workers"] += len(toy.outcomes("worked"))


@pytest.mark.promise(31)
def test_every_third_evaluation_kills_its_worker(toy, undisturbed, cases):
    toy.order("kill 1", "third")
    outcome = toy.run("worked", *by(2))
    assert outcome.code == 0
    assert toy.archive("worked") == undisturbed
    again = [r for r in toy.outcomes("worked") if r.get("attempts") == 2]
    killed = [a for a, processes in toy.tried().items() if len(processes) > 1]  # the front is tested too
    assert len(again) == len(killed) >= 10
    assert "(0, 0, 0, 0): its worker was ended by SIGKILL; it is tried again, 2 times more at most" in outcome.err
    cases["killed workers"] += len(killed)


@pytest.mark.promise(31)
def test_workers_are_killed_at_any_moment(toy, undisturbed, cases):
    """While they start, load weights, measure, answer or wait."""
    toy.order("doze")
    draw, kills, done = random.Random(0), 0, threading.Event()

    def killer():
        nonlocal kills
        while kills < 5 and not done.wait(draw.uniform(0.2, 0.6)):
            if living := sorted(children(os.getpid())):
                os.kill(draw.choice(living), signal.SIGKILL)
                kills += 1

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        outcome = toy.run("worked", *by(2, retries=1000))
    finally:
        done.set()
        thread.join()
    assert outcome.code == 0, outcome.err
    assert toy.archive("worked") == undisturbed
    assert kills == 5
    cases["killed workers"] += kills


@pytest.mark.promise(32)
@pytest.mark.parametrize("how", ["hang", "stop", "hold"])
def test_who_hangs_is_given_up_after_its_limit(toy, how, cases):
    toy.order(how, "1230")
    limit = 1.0
    with crew(toy, Pool(1, limit, 0)) as members:
        assert not dict(members.do([task("0000")]))[0].reasons
        (worker,) = children(os.getpid())
        start = time.monotonic()
        ((_, answer),) = members.do([task("1230")])
        assert limit <= time.monotonic() - start < limit + 2
        assert answer.reasons == {
            "toy_distance": "its worker took longer than the 1 s of processes.limit, and was killed"
        }
        assert not alive(worker)
        assert not dict(members.do([task("0000")]))[0].reasons  # by another
    cases["hanging workers"] += 1


@pytest.mark.promise(32, 11)
def test_a_run_goes_on_past_those_who_hang_and_hears_no_late_answer(toy, undisturbed):
    """What stopped once is measured by another; what is always late has failed, and is recorded once."""
    stopped, late = [r["architecture"] for r in toy.outcomes("undisturbed")][:2]
    toy.order("stop 1", "".join(map(str, stopped)))
    toy.order("slow", "".join(map(str, late)))
    outcome = toy.run("worked", *by(2, limit=1))
    assert outcome.code == 0
    found = {tuple(r["architecture"]): r for r in toy.outcomes("worked")}
    assert len(found) == len(toy.outcomes("worked")) == len(undisturbed[0])
    assert found[tuple(stopped)]["attempts"] == 2
    assert found[tuple(late)]["kind"] == "failed"
    assert found[tuple(late)]["reason"].startswith(
        "toy_distance: its worker took longer than the 1 s of processes.limit"
    )
    assert sum(r["kind"] == "failed" for r in found.values()) == 1


@pytest.mark.promise(32)
def test_a_run_that_was_stopped_itself_gives_nobody_up(toy, undisturbed):
    """Its workers answer meanwhile, and are heard before anybody looks at how long they took."""
    toy.order("pause")
    process = toy.start("paused", *by(2, limit=1, retries=0))
    while len(toy.tried()) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert toy.archive("paused") == undisturbed


@pytest.mark.promise(33)
@pytest.mark.parametrize("workers", [1, 2])
def test_one_that_kills_every_worker_has_failed_and_costs_nobody_else_a_try(toy, workers, cases):
    others = [f"{i:04o}" for i in range(0o0024) if i % 8 < 4]
    tasks = [task(name) for name in ["1111", *others, "3333"]]
    toy.order("kill", "1111")
    with crew(toy, Pool(workers, 60.0, 2)) as members:
        found = dict(members.do(tasks))
    assert found.keys() == set(range(len(tasks)))
    poisonous = found.pop(0)
    assert poisonous.reasons == {"toy_distance": "its worker was ended by SIGKILL, 3 times"}
    assert len(set(toy.tried()["1111"])) == poisonous.attempts == 3
    assert all(answer.attempts == 1 and not answer.reasons for answer in found.values())
    cases["killed workers"] += 3


def test_who_runs_out_of_memory_beside_others_is_tried_alone(toy, undisturbed):
    toy.order("crowd")
    outcome = toy.run("worked", *by(3))
    assert outcome.code == 0
    assert "ran out of memory beside others: it is tried again alone" in outcome.err
    assert toy.archive("worked") == undisturbed


def test_what_a_lost_worker_has_started_ends_with_it(toy, undisturbed):
    toy.order("fork 1", "third")
    assert toy.run("worked", *by(2)).code == 0
    assert toy.archive("worked") == undisturbed
    left = [int(file.stem) for file in (toy.place / "orders").glob("*.child")]
    assert len(left) >= 10
    assert not any(map(alive, left))


def test_who_died_while_it_had_nothing_to_do_costs_nobody_a_try(toy):
    with crew(toy, Pool(1, 60.0, 0)) as members:
        for name in ("0000", "0001", "0002"):
            ((_, answer),) = members.do([task(name)])
            assert (dict(answer.reasons), answer.attempts) == ({}, 1)
            (worker,) = children(os.getpid())
            os.kill(worker, signal.SIGKILL)
            time.sleep(0.05)


def test_what_workers_print_takes_no_room(toy):
    toy.order("print")
    with crew(toy, Pool(1, 60.0, 0)) as members:
        for name in ("0000", "0001", "0002"):
            list(members.do([task(name)]))
        assert members._members[0]._words.seek(0, os.SEEK_END) == 0


def test_where_the_system_starts_no_process_the_run_says_so(toy, monkeypatch):
    def refuse(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("nat_executors.member.subprocess.Popen", refuse)
    outcome = toy.run("worked", *by(2))
    assert outcome.code == 4
    assert "can begin: each cannot be started: Resource temporarily unavailable" in outcome.err


@pytest.mark.promise(34)
@pytest.mark.parametrize("how", ["hang", "stop", "hold"])
def test_when_the_run_is_killed_so_are_its_workers_and_it_resumes_at_once(toy, undisturbed, how, cases):
    toy.order(f"{how} 1", "third")
    process = toy.start("killed", *by(3))
    try:
        while len(toy.tried()) < 2:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        workers = children(process.pid)
        assert len(workers) == 3
        process.kill()
        killed = time.monotonic()
        process.wait()
        while any(map(alive, workers)):
            assert time.monotonic() - killed < 5
            time.sleep(0.01)
    finally:
        process.kill()
        process.communicate()
    for file in (toy.place / "orders").iterdir():
        file.unlink()
    assert toy.run("killed").code == 0
    assert toy.archive("killed") == undisturbed
    cases["workers of a killed run"] += len(workers)


@pytest.mark.promise(8)
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_the_run_ends_it_and_its_workers(toy, undisturbed, signum, code):
    toy.order("hang 1", "third")
    process = toy.start("stopped", *by(2))
    while len(toy.tried()) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    workers = children(process.pid)
    outcome = interrupt(process, signum)
    assert outcome.code == code
    assert "Go on with: nat resume" in outcome.err
    assert not any(map(alive, workers))
    toy.order("pause", "third")
    assert toy.run("stopped", *by(2)).code == 0
    assert toy.archive("stopped") == undisturbed


@pytest.mark.promise(21)
@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("raise", "toy_distance: ValueError: I will not"),
        ("wrong", "toy_distance: AttributeError: 'str' object has no attribute 'value'"),
        ("hang", "toy_distance: its worker took longer than the 1 s of processes.limit, and was killed"),
        ("exit", "toy_distance: its worker ended with exit code 3 (I leave)"),
        ("leave", "toy_distance: its worker ended with exit code 7"),
    ],
)
@pytest.mark.usefixtures("undisturbed")
def test_a_hook_that_does_what_it_must_not_fails_what_it_was_asked(toy, what, reason, cases):
    bad = toy.outcomes("undisturbed")[3]["architecture"]
    toy.order(what, "".join(map(str, bad)))
    assert toy.run("worked", *by(2, limit=1, retries=0)).code == 0
    failed = {tuple(r["architecture"]): r["reason"] for r in toy.outcomes("worked") if r["kind"] == "failed"}
    assert failed == {tuple(bad): reason}
    cases["hooks"] += 1


@pytest.mark.promise(21)
def test_too_many_lost_workers_end_the_run_by_its_failure_budget(toy):
    toy.order("exit")
    outcome = toy.run("worked", *by(2, retries=0))
    assert outcome.code == 5
    assert "its worker ended with exit code 3 (I leave)" in outcome.err


@pytest.mark.promise(21)
def test_strictly_the_first_failure_ends_the_run_and_is_measured_again(toy, undisturbed):
    bad = toy.outcomes("undisturbed")[9]["architecture"]
    name = "".join(map(str, bad))
    toy.order("raise", name)
    outcome = toy.run("strict", *by(2), "--strict-plugins")
    assert outcome.code == 2
    assert f"architecture {tuple(bad)} could not be measured: toy_distance: ValueError: I will not" in outcome.err
    assert not any(r["kind"] == "failed" for r in toy.outcomes("strict"))
    (toy.place / "orders" / name).unlink()
    assert here("resume", toy.place / "strict", "--strict-plugins").code == 0
    assert toy.archive("strict") == undisturbed


def test_what_plugins_print_and_read_is_not_taken_for_an_answer(toy, undisturbed):
    toy.order("print", "third")
    assert toy.run("worked", *by(2)).code == 0
    assert toy.archive("worked") == undisturbed


def test_no_worker_can_begin(toy):
    toy.order("", "birth")
    outcome = toy.run("worked", *by(2))
    assert outcome.code == 4
    expected = "no worker of the executor processes can begin: each ended with exit code 9 (there is no room for me)"
    assert expected in outcome.err
    assert not children(os.getpid())


def test_where_no_more_can_begin_those_who_live_go_on(toy, undisturbed):
    toy.order("", "one")
    toy.order("pause")
    outcome = toy.run("worked", *by(3))
    assert outcome.code == 0
    said = r"no further worker can begin \(each ended with exit code 9 \(there is no room for me\)\): [12] at a time"
    assert re.search(said, outcome.err)
    assert toy.archive("worked") == undisturbed


def test_a_worker_that_finds_another_space_or_damaged_weights_refuses(toy):
    with pytest.raises(NatError, match="the space of this run changed while it ran") as found:
        list(members_do(toy, {"space": "0" * 64}, task("0000")))
    assert found.value.exit_code == 3
    weights = toy.place / "weights"
    weights.write_bytes(b"x" * 32)
    damaged = Task((0, 0, 0, 0), {"toy_distance": (weights, "0" * 64)})
    with pytest.raises(NatError, match="weights is not what was saved"):
        list(members_do(toy, {}, damaged))


def members_do(toy, identity, *tasks):
    with crew(toy, Pool(1, 60.0, 0), identity) as members:
        yield from members.do(tasks)


def test_what_times_the_machine_is_not_measured_beside_others(toy):
    words = ("--space", "mbv3", "--objective", "measured", "--objective", "macs", "--out", toy.place / "timed")
    outcome = here("run", *words, *by(2))
    assert outcome.code == 2
    assert "measured_ms would be measured 2 at a time" in outcome.err


def test_wrong_options(toy):
    for given in (by(-1), by(2, retries=-1)):
        outcome = toy.run("wrong", *given)
        assert outcome.code == 2
        assert "must be at least 0" in outcome.err
    for limit in (0.0, -1.0, 1e9, float("nan"), float("inf")):
        with pytest.raises(ConfigError, match=r"processes\.limit is"):
            Pool(1, limit, 0)
    assert "unknown executor 'proceses'. Did you mean 'processes'?" in toy.run("w", "--executor", "proceses").err


def test_the_executor_is_no_part_of_what_a_run_is_recognised_by(toy, undisturbed):
    assert toy.run("undisturbed", *by(2)).code == 0  # gone on with: it is complete
    assert toy.run("worked", *by(2)).code == 0
    assert toy.run("worked").code == 0
    assert here("resume", toy.place / "worked", "--executor", "none").code == 0
    assert toy.archive("worked") == undisturbed
    file = toy.place / "run.toml"
    file.write_text('executor = "processes"\n[options.processes]\nworkers = 3\n')
    words = toy.words("worked")
    assert here("run", file, *words[1:], "--executor", "none").code == 0


def test_nothing_is_left_behind(toy):
    def state():
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count(), children(os.getpid())

    toy.order("kill 1", "third")
    before = state()
    for folder in ("one", "two"):
        assert toy.run(folder, *by(2)).code == 0
    assert state() == before


def task(name):
    return Task(tuple(map(int, name)), {})


def crew(toy, pool, identity=None):
    """The workers of a toy, without its run."""
    from nat_core.config import resolve
    from nat_core.run import build, find_parts, identity_of, recipe

    words = {"space": "toy_grid", "objectives": ("toy_distance", "toy_size"), "surrogate": "none"}
    settings = [f"toy_distance.orders={toy.place / 'orders'}"]
    run = build(find_parts(resolve(None, None, words | {"optimizer": "random"}, settings)), Path())
    made = recipe(run, identity_of(run))
    return pool.crew(made | {"identity": made["identity"] | (identity or {})})

"""Ctrl-C, SIGTERM and `kill -9`, on the real command line; most in forks of a process that has imported everything."""

import random
import signal
import time

import pytest
from command_line import SMALL_SEARCH, TINY, interrupt, records, start

KILLS = 20
OWN = 10  # of so many kills, one is that of a process with imports of its own


@pytest.mark.parametrize(
    ("signum", "code", "said", "own"),
    [(signal.SIGINT, 130, "Stopped.", False), (signal.SIGTERM, 143, "Stopped by SIGTERM.", True)],
)
def test_a_signal_ends_cleanly_and_says_how_to_resume(tmp_path, tiny_run, warm, signum, code, said, own):
    folder = tmp_path / "r"
    process = (start if own else warm.start)("run", "--out", folder, *TINY, *SMALL_SEARCH)
    while not (folder / "journal.jsonl").exists() or not (folder / "journal.jsonl").read_bytes().count(b"measured"):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    outcome = interrupt(process, signum)
    assert outcome.code == code
    assert outcome.err.splitlines()[-1] == f"{said} Nothing recorded is lost. Go on with: nat resume {folder}"
    assert "Error" not in outcome.err
    assert "Traceback" not in outcome.err
    assert warm.nat("resume", folder, "--json").json["front"] == tiny_run[1].json["front"]
    assert records(folder)[1:] == records(tiny_run[0])[1:]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_kills_at_random_moments(tmp_path, tiny_run, warm, cases):
    """Killed again and again, at every phase, adaptation included; every archive equals the undisturbed one."""
    folder, outcome = tiny_run
    draw, kills, phases, runs = random.Random(0), 0, set(), 0
    while kills < KILLS:
        runs += 1
        target = tmp_path / str(runs)
        words = ("run", "--out", target, "--json", *TINY, *SMALL_SEARCH)
        while kills < KILLS:
            process = (warm.start if kills % OWN else start)(*words)
            if not _killed(process, target, draw):
                break
            kills += 1
            phases.add(records_or_nothing(target))
        assert warm.nat(*words).json["front"] == outcome.json["front"]
        assert records(target)[1:] == records(folder)[1:]
    assert {"begun", "proposed", "adapted", "measured"} & phases
    cases["SIGKILLs of the command"] += kills
    print(f"\n{kills} kills in {runs} runs, after {sorted(map(str, phases))}: 0 differences")  # noqa: T201 - the figure that this test is for


def _killed(process, target, draw) -> bool:
    """Whether the process was killed before it came to its end: some time after it took up the journal."""
    while process.poll() is None and not (target / "lock").exists():
        time.sleep(0.005)
    grown = _size(target)
    while process.poll() is None and _size(target) == grown:
        time.sleep(0.002)
    time.sleep(draw.uniform(0, 1.2))
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def _size(target):
    try:
        return (target / "journal.jsonl").stat().st_size
    except FileNotFoundError:
        return 0


def records_or_nothing(target):
    """The kind of the last whole record at the moment of a kill."""
    lines = (target / "journal.jsonl").read_text().split("\n")[:-1] if _size(target) else []
    return lines[-1].split('"')[3] if lines else "nothing"

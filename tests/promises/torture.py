# ruff: noqa: T201 - a script that prints
"""Real SIGKILLs of the real command: `make torture`, or `python tests/promises/torture.py --kills 1000`.

A run is killed at a random moment, taken up again, killed again, until it comes to its end; then its records are
compared with those of an undisturbed run, but for their order, and the next one begins. Children are forked from a
process that has imported everything, and draw no pictures, so that moments are spent on the journal and not on imports
and lines; every so often it is a process of its own, with all that a user has. Moments are drawn from the time of an
undisturbed run, which is taken anew every ten runs: a machine is not always equally busy.

With `--workers 2` networks are measured by worker processes, of which none may live on five seconds after its run was
killed; and records come in any order.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from command_line import COSTS, command, records
from worked import alive, children

MOST = 30  # kills of one run: on a machine that has become slower, it would be killed for ever before it gets on


def child(words: list[object], *, own: bool) -> int:
    """The number of a process that runs a command line, its output thrown away."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    with contextlib.suppress(BaseException):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        if own:
            os.execv(sys.executable, command(*words))
        import nat_plots.files
        from nat_core import cli

        nat_plots.files.draw_front = lambda *_: None
        sys.argv = ["nat", *map(str, words)]
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
    os._exit(code)


def ended(pid: int, after: float | None) -> tuple[int, int]:
    """The exit code of a process that is killed after so many seconds, or left alone; and the workers it had then."""
    workers = set[int]()
    if after is not None:
        time.sleep(after)
        workers = children(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if left := outliving(workers):
        sys.exit(f"workers {left} lived on for five seconds after their run was killed")
    return code, len(workers)


def undisturbed(words: list[object]) -> float:
    """Seconds of a run that nobody kills."""
    start = time.monotonic()
    assert ended(child(words, own=False), None)[0] == 0
    return time.monotonic() - start


def outliving(workers: set[int]) -> set[int]:
    """The workers of a killed run that are there after five seconds."""
    until = time.monotonic() + 5
    while (left := {pid for pid in workers if alive(pid)}) and time.monotonic() < until:
        time.sleep(0.01)
    return left


def found(folder: Path) -> list[str]:
    """The records of a run, but for their order."""
    return sorted(map(str, records(folder)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--own-process-every", type=int, default=25)
    parser.add_argument("--workers", type=int, default=0, help="measure by so many; 0: in the run's own process")
    chosen = parser.parse_args()
    by = ["--executor", "processes", "-s", f"processes.workers={chosen.workers}"] if chosen.workers else []
    draw, began = random.Random(chosen.seed), time.monotonic()
    kills = runs = different = torn = own_kills = tries = unharmed = orphans = 0
    with tempfile.TemporaryDirectory() as place:
        from in_process import here

        here("run", "--out", Path(place) / "warm", *COSTS)  # imports, once for all children

        long = undisturbed(["run", "--out", Path(place) / "undisturbed", *COSTS, *by])
        expected = found(Path(place) / "undisturbed")
        while kills < chosen.kills:
            runs += 1
            folder = Path(place) / f"run{runs}"
            words, before = ["run", "--out", folder, *COSTS, *by], kills
            if runs % 10 == 0:
                long = undisturbed(words)
                shutil.rmtree(folder)
            while True:
                tries += 1
                own = tries % chosen.own_process_every == 0
                goes_on = kills >= chosen.kills or kills - before >= MOST
                soon = (1.0 if chosen.workers else 0.5) * long + (1.5 if own else 0.0)
                code, workers = ended(child(words, own=own), None if goes_on else draw.uniform(0, soon))
                if code == 0:
                    break
                if code != -signal.SIGKILL:
                    print(f"run {runs}: exit code {code} after a kill: {folder}")
                    return 1
                kills += 1
                own_kills += own
                orphans += workers
                with contextlib.suppress(OSError):
                    torn += not (folder / "journal.jsonl").read_bytes().endswith(b"\n")
            unharmed += kills == before
            if found(folder) != expected:
                different += 1
                shutil.copytree(folder, Path.cwd() / "build" / folder.name, dirs_exist_ok=True)
            shutil.rmtree(folder)
            if runs % 20 == 0:
                print(f"{kills} kills in {runs} runs, {different} differences", flush=True)
    took = time.monotonic() - began
    print(
        f"{kills:,} SIGKILLs ({own_kills} of processes of their own) in {runs} runs, {unharmed} of which ended before "
        f"they were killed; {torn} torn journals, {orphans} workers: "
        f"{different} differences; {took:.0f} s, {kills / took:.2f} kills a second, seed {chosen.seed}"
    )
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())

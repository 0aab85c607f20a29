"""The command line in processes of their own, without the seconds that its imports take.

One process imports everything and does nothing else; each command is a fork of it. Such a child has its own memory,
files, folder, environment, signals and end, as a process that was started from a shell: it can be killed, stopped and
starved. Only the imports are not its own: what is about them, `command_line.nat` is for.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from command_line import Outcome

# What a run imports as it goes, the heavy things by name; the rest comes with them.
MODULES = """
    torch torch._dynamo safetensors.torch moocore scipy.interpolate scipy.optimize scipy.stats sklearn.datasets
    matplotlib.figure matplotlib.backends.backend_agg matplotlib.backends.backend_svg
    nat_core.cli.front nat_core.cli.resume nat_core.cli.run nat_core.report.page nat_core.run
    nat_datasets.handwriting nat_datasets.pictures nat_datasets.tree nat_estimators.accuracy nat_estimators.alone
    nat_mbv3.space nat_mbv3.supernet nat_optimizers.evolution nat_plots.files nat_surrogates.rbf_ensemble
"""
PACE = 0.005  # seconds between looks at the children


class Command:
    """A command that is running or has ended: what tests need of a `subprocess.Popen`."""

    def __init__(self, warm: Warm, pid: int, place: Path):
        self._warm, self.pid, self._place = warm, pid, place

    @property
    def returncode(self) -> int | None:
        return self._warm.ended.get(self.pid)

    def poll(self) -> int | None:
        self._warm.listen(0)
        return self.returncode

    def wait(self, timeout: float = 280) -> int:
        last = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > last:
                self.kill()
                raise TimeoutError(f"process {self.pid} did not end within {timeout} s")
            self._warm.listen(0.1)
        return code

    def communicate(self, timeout: float = 280) -> tuple[str, str]:
        self.wait(timeout)
        return (self._place / "out").read_text(), (self._place / "err").read_text()

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Warm:
    """The process that all commands are forks of, seen from the tests."""

    def __init__(self, folder: Path):
        self._folder, self._rest = folder, b""
        self.ended: dict[int, int] = {}
        self._begun: list[int] = []
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
        words = [sys.executable, __file__]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def start(self, *words: object, cwd: Path | None = None, largest: int | None = None, **environment: str) -> Command:
        """Begin a command; no file of its may grow beyond `largest` bytes."""
        place = Path(tempfile.mkdtemp(dir=self._folder))
        about = {"words": list(map(str, words)), "cwd": str(cwd or Path.cwd()), "place": str(place)}
        about |= {"environment": environment, "largest": largest}
        self._process.stdin.write(json.dumps(about).encode() + b"\n")
        self._process.stdin.flush()
        while not self._begun:
            self.listen(60)
        return Command(self, self._begun.pop(), place)

    def nat(self, *words: object, **about) -> Outcome:
        """Run a command line to its end."""
        process = self.start(*words, **about)
        out, err = process.communicate()
        assert "Traceback" not in err, err
        return Outcome(process.returncode, out, err)

    def listen(self, patience: float) -> None:
        """Take in what the process has to say."""
        pipe = self._process.stdout.fileno()
        while select.select([pipe], [], [], patience)[0]:
            said = os.read(pipe, 65536)
            if not said:
                raise EOFError("the process that all commands are forks of has ended")
            *lines, self._rest = (self._rest + said).split(b"\n")
            for line in lines:
                kind, pid, code = json.loads(line)
                if kind == "begun":
                    self._begun.append(pid)
                else:
                    self.ended[pid] = code
            patience = 0


def serve() -> None:
    """Fork a child for every line, and say when each has ended."""
    import importlib

    for name in MODULES.split():
        importlib.import_module(name)
    children, rest = set[int](), b""
    while True:
        if select.select([0], [], [], PACE if children else None)[0]:
            said = os.read(0, 65536)
            if not said:
                break
            *lines, rest = (rest + said).split(b"\n")
            for line in lines:
                if not (pid := os.fork()):
                    command(json.loads(line))
                children.add(pid)
                say("begun", pid)
        for pid in list(children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                children.remove(pid)
                say("ended", pid, os.waitstatus_to_exitcode(status))
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def say(kind: str, pid: int, code: int = 0) -> None:
    os.write(1, json.dumps([kind, pid, code]).encode() + b"\n")


def command(about: dict) -> None:
    """Be the command, and end with it."""
    place = Path(about["place"])
    for descriptor, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, place / "out", os.O_WRONLY | os.O_CREAT),
        (2, place / "err", os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(name, flags, 0o644)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(about["cwd"])
    os.environ.update(about["environment"])
    if (largest := about["largest"]) is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    sys.argv = ["nat", *about["words"]]
    code = 1
    try:
        from nat_core.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - a process prints its traceback, whatever ended it
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()

"""Whether exported files compute what the network computes, and how fast, by running them as their user would."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nat_core.contracts import Split
from nat_core.errors import ConfigError
from nat_core.stopping import stop_if_asked

if TYPE_CHECKING:
    from torch import nn

Logits = NDArray[np.float32]  # (n, n_classes)

TOLERANCE = 1e-3  # of fp32: the root mean square of the difference, as a share of the logits'; a wrong file is about 1
_AT_ONCE = 50  # pictures: as floats they take some MB
_ROUNDS, _TIMES, _WARM = 9, 5, 5


@dataclass(frozen=True)
class Parity:
    """The files beside the network, on real pictures."""

    images: int
    max_logit_error: float  # of the files, given the same tensors as the network in PyTorch
    relative_error: float  # the root mean square of that, as a share of the logits'
    top1_agreement: float  # of the files, prepared by the script, with the framework from the picture on
    top1_error: Mapping[str, float]  # of the framework, and of the files: a share of these pictures


@dataclass(frozen=True)
class Latency:
    """Of one image, in milliseconds, in turns with the network in PyTorch."""

    file_ms: float  # the median
    eager_ms: float
    spread: float  # half the range between the quartiles of the file's times, as a share of the median
    threads: int


class Client:
    """A process that runs the script of a folder."""

    def __init__(self, process: subprocess.Popen[str], errors: Path, folder: Path) -> None:
        self._process, self._errors, self._folder = process, errors, folder

    def ask(self, **question: Any) -> dict[str, Any]:
        """Raises `ConfigError` with what the runtime said last, where the process ended instead."""
        stop_if_asked()
        assert self._process.stdin is not None  # noqa: S101 - it was started with pipes
        assert self._process.stdout is not None  # noqa: S101 - as above
        line = ""
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            pass
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = self._process.wait()
        said = self._errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = said[-1] if said else "nothing"
        raise ConfigError(f"the exported file does not run: its process ended with {code} and said {last!r:.500}")


@contextlib.contextmanager
def running(folder: Path, threads: int) -> Iterator[Client]:
    """The script of a folder in a process of its own, the network loaded."""
    with tempfile.TemporaryDirectory(prefix="nat-") as scratch:
        errors = Path(scratch) / "errors"
        # -P: no folder of ours on its path; what it imports is what is installed. -B: it leaves nothing in the folder
        command = [sys.executable, "-P", "-B", str(Path(__file__).with_name("driver.py")), str(folder.absolute())]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with (
            errors.open("w") as stderr,
            subprocess.Popen(command, stderr=stderr, text=True, encoding="utf-8", **pipes) as process,  # type: ignore[call-overload]  # noqa: S603
        ):
            client = Client(process, errors, folder)
            try:
                client.ask(threads=threads)
                yield client
            finally:
                process.kill()
                with contextlib.suppress(OSError):  # a question that a dead process has not read would be sent again
                    process.stdin.close()


def parity(client: Client, network: nn.Module, reference: Logits, split: Split, *, exact: bool) -> Parity:
    """Compare on all pictures of a split; `reference` is what the framework answers to them.

    Raises `ConfigError` where files that should be exact give other logits than rounding explains.
    """
    import torch

    mine, theirs = list[Logits](), list[Logits]()
    with tempfile.TemporaryDirectory(prefix="nat-") as scratch, torch.inference_mode():
        pictures, images, logits = (Path(scratch) / f"{name}.npy" for name in ("pictures", "images", "logits"))
        for start in range(0, len(split), _AT_ONCE):
            np.save(pictures, split.images[start : start + _AT_ONCE])
            client.ask(pictures=str(pictures), images=str(images), logits=str(logits))
            mine.append(network(torch.from_numpy(np.load(images))).numpy())
            theirs.append(np.load(logits))
    own, found = np.concatenate(mine), np.concatenate(theirs)
    if own.shape != found.shape or not np.isfinite(found).all():
        raise ConfigError(f"the exported file answers with {found.shape} numbers, not all finite or not {own.shape}")
    size = max(float(np.sqrt(np.square(own).mean())), float(np.finfo(np.float32).tiny))
    relative = float(np.sqrt(np.square(found - own).mean())) / size
    if exact and not relative <= TOLERANCE:
        raise ConfigError(
            f"the exported file computes other logits than the network: they differ by {relative:.2g} of their size, "
            f"and {TOLERANCE:g} is tolerated. Choose another format"
        )
    answers = found.argmax(1)
    errors = {"framework": _error(reference.argmax(1), split.labels), "file": _error(answers, split.labels)}
    agreement = float((answers == reference.argmax(1)).mean())
    return Parity(len(split), float(np.abs(found - own).max()), relative, agreement, errors)


def _error(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    return float((answers != labels).mean())


def latency(client: Client, network: nn.Module, shape: tuple[int, int, int], threads: int) -> Latency:
    """Median times of one image, measured in turns so that a busy machine slows both."""
    import torch

    files, eager = list[float](), list[float]()
    image = torch.zeros(1, *shape)
    with tempfile.TemporaryDirectory(prefix="nat-") as scratch, torch.inference_mode():
        file = Path(scratch) / "image.npy"
        np.save(file, image.numpy())
        client.ask(time=str(file), times=_WARM)
        for _ in range(_WARM):
            network(image)
        for _ in range(_ROUNDS):
            files += client.ask(time=str(file), times=_TIMES)["seconds"]
            for _ in range(_TIMES):
                start = time.perf_counter()
                network(image)
                eager.append(time.perf_counter() - start)
    low, middle, high = np.quantile(files, (0.25, 0.5, 0.75))
    spread = float((high - low) / 2 / middle)
    return Latency(1e3 * float(middle), 1e3 * float(np.median(eager)), spread, threads)

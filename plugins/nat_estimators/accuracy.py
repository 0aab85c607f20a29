"""The estimator `top1_error`: a subnet with inherited weights, its batch-norm statistics measured again."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from nat_core.contracts import Checkpoint, Dataset, Measurement, Progress, Rehearsal, SearchSpace, SupernetSpace
from nat_core.encoding import Architecture, Encodings, as_architectures
from nat_core.errors import ConfigError
from nat_core.seeding import rng
from nat_estimators import engines
from nat_estimators.adaptation import Schedule, adapt, require
from nat_estimators.batches import Batches, batches
from nat_estimators.devices import device_named, threads_of
from nat_estimators.engines.memory import keep_freed_memory
from nat_estimators.engines.parity import require_parity
from nat_estimators.recalibration import recalibrate


class Top1Error:
    """Share of images classified wrongly, 0 … 1. Adaptive: `adapt` trains the supernet it measures with."""

    def __init__(
        self,
        space: SearchSpace,
        data: Dataset,
        schedule: Schedule,
        recalibration_images: int,
        evaluation_batch: int,
        device: str,
        threads: int = 0,
        engine: str = "torch",
        precision: str = "fp32",
    ) -> None:
        if not isinstance(space, SupernetSpace):
            raise ConfigError(f"top1_error needs a space with a supernet, and {type(space).__name__} has none")
        if len(data.train) < 2 or len(data.val) < 1:
            raise ConfigError(
                f"top1_error needs two training images and a validation image at least, and the data have "
                f"{len(data.train)} and {len(data.val)}"
            )
        require("recalibration_images", recalibration_images, at_least=2)
        require("evaluation_batch", evaluation_batch, at_least=2)
        require("threads", threads, at_least=0)
        keep_freed_memory()
        self.threads = threads
        self.space = space
        self.data = data
        self.schedule = schedule
        self.device = device_named(device, "top1_error")
        self.engine = engines.engine(engine, precision, self.device)
        self._checked = False  # whether the engine has been compared with the plain network
        self.train, self.val = (batches(split, data, self.device) for split in (data.train, data.val))
        self.evaluation_batch = evaluation_batch
        self.supernet = _module(space.supernet(len(data.classes))).to(self.device).eval()
        self._recalibration = _sample(len(self.train), recalibration_images, evaluation_batch, schedule.seed)

    def __call__(self, X: Encodings) -> list[Measurement]:
        """Errors on the validation split."""
        with self._threads():
            return [self._error(architecture, self.val) for architecture in as_architectures(X)]

    def test(self, X: Encodings) -> list[Measurement]:
        """Errors on the test split, which nothing else looks at."""
        with self._threads():
            return [self._error(architecture, self._test) for architecture in as_architectures(X)]

    def _threads(self) -> AbstractContextManager[None]:
        """Compute with the wanted number of threads inside."""
        return threads_of(self.threads)

    @cached_property
    def _test(self) -> Batches:
        return batches(self.data.test, self.data, self.device)

    def adapt(self, X: Encodings, iteration: int, iterations: int, progress: Progress) -> list[float]:
        """Train the supernet on architectures drawn from the marginals of X; the mean loss of each epoch."""
        return self._adapt(X, iteration, iterations, progress)

    def adapt_resumably(
        self, X: Encodings, iteration: int, iterations: int, progress: Progress, checkpoint: Checkpoint
    ) -> list[float]:
        """As `adapt`, from what the checkpoint holds."""
        return self._adapt(X, iteration, iterations, progress, checkpoint)

    def _adapt(
        self, X: Encodings, iteration: int, iterations: int, progress: Progress, checkpoint: Checkpoint | None = None
    ) -> list[float]:
        how, of = self.data.augmentation, (self.schedule, iteration, iterations)
        with self._threads():
            return adapt(self.supernet, self.space, self.train, how, X, *of, progress, checkpoint)

    def save(self, file: Path) -> None:
        """Write the supernet's state as safetensors."""
        state = {name: tensor.contiguous() for name, tensor in self.supernet.state_dict().items()}
        file.write_bytes(save(state))  # by Python, so that a full disk is an OSError

    def load(self, file: Path) -> None:
        """Read what `save` wrote."""
        self.supernet.load_state_dict(load_file(file, device=str(self.device)))

    def rehearse(self, iterations: int) -> Rehearsal:
        """The time that this run will take, by a trial of a few steps and four architectures."""
        X = self.space.sample(4, rng(self.schedule.seed, "rehearse"))
        before = {name: tensor.clone() for name, tensor in self.supernet.state_dict().items()}
        few = 4 * min(self.schedule.batch_size, len(self.train))
        some = replace(self.train, images=self.train.images[:few], labels=self.train.labels[:few])
        trial = replace(self.schedule, warmup_epochs=1, largest_first=0.0)  # as most steps are

        def train() -> None:
            with self._threads():
                adapt(self.supernet, self.space, some, self.data.augmentation, X, trial, 0, 0, _silent)

        a_step = _seconds(train) / trial.steps(0, len(some))
        a_measurement = _seconds(lambda: self(X)) / len(X)
        self.supernet.load_state_dict(before)
        steps = (self.schedule.steps(i, len(self.train)) for i in range(iterations + 1))
        return Rehearsal(tuple(a_step * n for n in steps), a_measurement)

    def _error(self, architecture: Architecture, split: Batches) -> Measurement:
        if not len(split):
            return Measurement(math.nan, "the split has no images")
        side = self.space.input_shape(architecture)[1]
        pictures = (_fast(split.plain(rows, side)) for rows in split.in_order(self.evaluation_batch))
        first = next(pictures)
        forward = self._prepared(self.network(architecture), first)
        logits = torch.cat([forward(images) for images in itertools.chain([first], pictures)])
        if not bool(logits.isfinite().all()):
            return Measurement(math.nan, "the network's outputs are not finite: has the training diverged?")
        return Measurement(int((logits.argmax(1) != split.labels).sum()) / len(split))

    def _prepared(self, network: nn.Module, images: Tensor) -> engines.Forward:
        """The network as the engine runs it; the first time, beside the plain network on these images."""
        if self._checked:
            return self.engine.prepare(network, images)
        with torch.inference_mode():
            plain = network(images)
        forward = self.engine.prepare(network, images)
        if bool(plain.isfinite().all()):  # else the network is broken, not the engine
            require_parity(self.engine.name, self.engine.precision, plain, forward(images))
            self._checked = True
        return forward

    def network(self, architecture: Architecture) -> nn.Module:
        """The plain network of an architecture, recalibrated on training images, in eval mode."""
        side = self.space.input_shape(architecture)[1]
        network = _module(self.supernet.subnet(architecture)).to(memory_format=torch.channels_last)  # type: ignore[operator]
        recalibrate(network, self._training_images(side))
        return network

    def _training_images(self, side: int) -> Iterator[Tensor]:
        for rows in self._recalibration:
            yield _fast(self.train.plain(rows.to(self.device), side))


def _sample(n: int, wanted: int, batch_size: int, seed: int) -> list[Tensor]:
    """Row numbers of some training images in batches of equal size."""
    batch_size = min(batch_size, n)
    n_batches = max(min(wanted, n) // batch_size, 1)
    rows = rng(seed, "recalibration").permutation(n)[: n_batches * batch_size]
    return list(torch.split(torch.from_numpy(rows), batch_size))


def _seconds(task: Callable[[], object]) -> float:
    """How long a task takes once it has been done before: the first time pays for set-up."""
    task()
    start = time.perf_counter()
    task()
    return time.perf_counter() - start


def _silent(_what: str, _done: int, _total: int) -> None:
    """Report nothing."""


def _fast(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _module(network: object) -> nn.Module:
    if not isinstance(network, nn.Module):
        raise ConfigError(f"a supernet and its subnets have to be torch modules, and one is a {type(network).__name__}")
    return network

"""The training loop behind adaptation and pretraining: stretches of steps that are done wholly or not at all.

What a step learns depends on the weights and its number alone: its random stream is named by the number. So a stretch
in which the loss is no longer finite is taken back and done again more slowly, and one that needs too much memory is
done again in smaller parts, each from the state at its beginning; and what comes out does not depend on the clock.
For the same reason the state between two stretches is all there is to keep of a training that may be cut short.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from nat_core.contracts import Checkpoint, Progress
from nat_core.encoding import Architecture
from nat_core.errors import FailureBudgetError, ResourceError
from nat_core.machine import out_of_memory
from nat_core.seeding import rng
from nat_estimators import snapshot
from nat_estimators.drawing import Lesson
from nat_estimators.losses import loss
from nat_estimators.schedule import Schedule

log = logging.getLogger("nat_core")

STRETCH = 32  # steps between two copies of the state
LEAST = 2  # pictures at once: batch normalisation has nothing to say about one
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

Pictures = Callable[[Tensor, int, np.random.Generator], tuple[Tensor, Tensor]]  # rows, side → images, labels


@dataclass(frozen=True)
class Course:
    """The steps of a phase of training."""

    lessons: list[Lesson]  # one a step
    side: Callable[[Architecture], int]  # of the pictures that a network takes
    pictures: Pictures
    n_images: int
    rate: Callable[[int], float]  # learning rate of a step
    purpose: str  # names the random streams


class _Fault(enum.Enum):
    """Why a stretch has to be done again."""

    NOT_FINITE = enum.auto()
    MEMORY = enum.auto()


class Training:
    """A supernet while it learns."""

    def __init__(self, supernet: nn.Module, schedule: Schedule, device: torch.device) -> None:
        self.supernet = supernet
        self.schedule = schedule
        self.device = device
        self.optimizer = _optimizer(supernet, schedule, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=schedule.precision == "fp16")
        self.state = list(_floating(supernet))
        self.average = [tensor.clone() for tensor in self.state] if schedule.ema else []
        self.at_once = schedule.batch_size  # pictures
        self.pace = 1.0  # of the learning rate
        self.rollbacks = 0

    def follow(self, course: Course, progress: Progress, checkpoint: Checkpoint | None = None) -> list[float]:
        """Learn a course; leave the supernet in eval mode, with the averaged weights where there are such.

        Gives the mean loss of each epoch. Raises `FailureBudgetError` where the loss does not stay finite, and
        `ResourceError` where memory does not suffice; the weights are those of the last good stretch then. With a
        checkpoint it goes on from what that holds, and comes to the same weights and losses.
        """
        start, n = 0, self._epoch(course)
        sums = [0.0] * math.ceil(len(course.lessons) / n)
        belongs = {} if checkpoint is None else self._belongs(course)
        if checkpoint is not None and (kept_before := checkpoint.load()) is not None:
            start, sums = self._taken_up(kept_before, belongs, sums)
        self.supernet.train()
        try:
            while start < len(course.lessons):
                stretch = range(start, min(start + STRETCH, len(course.lessons)))
                kept = self._copy()
                outcome = self._attempt(course, stretch, progress)
                if isinstance(outcome, dict):
                    start = stretch.stop
                    for epoch, part in outcome.items():
                        sums[epoch] += part
                    if checkpoint is not None and start < len(course.lessons):
                        checkpoint.offer(partial(self._packed, belongs, start, sums), start, len(course.lessons))
                else:
                    self._restore(*kept)
                    self._react(outcome, stretch)
            if course.lessons and self.average:
                _copy_into(self.state, self.average)
        finally:
            self.supernet.eval()
        return [total / min(n, len(course.lessons) - epoch * n) for epoch, total in enumerate(sums)]

    def _epoch(self, course: Course) -> int:
        """Steps in an epoch."""
        return max(course.n_images // self.schedule.batch_size, 1)

    def _attempt(self, course: Course, stretch: range, progress: Progress) -> dict[int, float] | _Fault:
        """The sum of the losses of a stretch by the epochs that it is in, or why it has to be done again."""
        losses = dict[int, Tensor]()
        try:
            for step in stretch:
                progress("adapt", step, len(course.lessons))
                epoch = step // self._epoch(course)
                losses[epoch] = losses.get(epoch, torch.zeros((), device=self.device)) + self._step(course, step)
                if self.device.type == "cpu" and not math.isfinite(losses[epoch].item()):  # elsewhere it would wait
                    return _Fault.NOT_FINITE
            sums = {epoch: loss.item() for epoch, loss in losses.items()}
            return sums if all(map(math.isfinite, sums.values())) and self._finite() else _Fault.NOT_FINITE
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            return _Fault.MEMORY

    def _step(self, course: Course, step: int) -> Tensor:
        """Learn one lesson; the mean loss of its networks."""
        stream = rng(self.schedule.seed, f"{course.purpose} step", step)
        lesson = course.lessons[step]
        rows = shuffled(course.n_images, min(self.schedule.batch_size, course.n_images), step, self._order(course))
        images, labels = course.pictures(rows.to(self.device), course.side(lesson.networks[0]), stream)
        for group in self.optimizer.param_groups:
            group["lr"] = course.rate(step) * self.pace
        mean = torch.zeros((), device=self.device)
        for part in parts(len(images), self.at_once):
            weight = (part.stop - part.start) / len(images)
            for value in self._backward(lesson, images[part], labels[part], weight):
                mean = mean + value / len(lesson.networks)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        if self.average:
            decay = min(self.schedule.ema, (1 + step) / (10 + step))  # the average begins with the first steps' weights
            with torch.no_grad():
                get_ema_multi_avg_fn(decay)(self.average, self.state, None)  # type: ignore[no-untyped-call]
        return mean

    def _order(self, course: Course) -> tuple[int, str]:
        return self.schedule.seed, f"{course.purpose} order"

    def _backward(self, lesson: Lesson, images: Tensor, labels: Tensor, weight: float) -> Iterator[Tensor]:
        """Add the gradients of every network of a lesson, as slimmable networks do; their losses, weighted."""
        smoothing, distillation = self.schedule.label_smoothing, self.schedule.distillation
        target: Tensor | None = None
        if lesson.teacher is not None and lesson.teacher not in lesson.networks:
            with torch.no_grad(), self._precision():
                target = self.supernet(images, lesson.teacher)
        for network in lesson.networks:
            with self._precision():
                logits = self.supernet(images, network)
            value = weight * loss(logits, labels, target, distillation, smoothing)
            self.scaler.scale(value).backward()  # type: ignore[no-untyped-call]
            if network == lesson.teacher:
                target = logits.detach()
            yield value.detach()

    def _precision(self) -> torch.autocast:
        lower = self.schedule.precision != "fp32"
        return torch.autocast(self.device.type, _TYPES[self.schedule.precision] if lower else None, enabled=lower)

    def _react(self, fault: _Fault, stretch: range) -> None:
        """Do it again more slowly, or with fewer pictures at once; or give up."""
        self.optimizer.zero_grad()
        steps = f"steps {stretch.start} … {stretch.stop - 1}"
        if fault is _Fault.MEMORY:
            if self.at_once <= LEAST:
                raise ResourceError(
                    f"memory does not suffice to train on {self.at_once} pictures at once: choose smaller resolutions "
                    "or networks, or another device"
                )
            self.at_once = max(self.at_once // 2, LEAST)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            log.warning("out of memory in %s: now %d pictures at once, with the same batch", steps, self.at_once)
            return
        if self.rollbacks >= self.schedule.rollbacks:
            raise FailureBudgetError(
                f"the loss was not finite in {steps}, after {self.rollbacks} rollbacks, each to half the learning rate "
                f"(now {self.schedule.learning_rate * self.pace:g} at most): set a lower learning_rate"
            )
        self.rollbacks += 1
        self.pace /= 2
        log.warning(
            "the loss was not finite in %s: they are taken back and done again at %g of the learning rate (%d of %d)",
            steps,
            self.pace,
            self.rollbacks,
            self.schedule.rollbacks,
        )

    def _changing(self) -> dict[str, Tensor]:
        """Every tensor that a step changes."""
        moments = [t for s in self.optimizer.state.values() for t in s.values() if isinstance(t, Tensor)]
        return {
            **{f"supernet.{name}": tensor for name, tensor in self.supernet.state_dict().items()},
            **{f"momentum.{i}": tensor for i, tensor in enumerate(moments)},
            **{f"average.{i}": tensor for i, tensor in enumerate(self.average)},
        }

    def _copy(self) -> tuple[list[Tensor], dict[str, float]]:
        return [tensor.clone() for tensor in self._changing().values()], self.scaler.state_dict()

    def _restore(self, tensors: Iterable[Tensor], scale: dict[str, float]) -> None:
        _copy_into(self._changing().values(), tensors)
        if scale:
            self.scaler.load_state_dict(scale)

    def _belongs(self, course: Course) -> dict[str, Any]:
        """What a state in the middle of a course depends on, besides the pictures."""
        digest = hashlib.sha256()
        for step, lesson in enumerate(course.lessons):
            digest.update(repr((lesson.networks, lesson.teacher, course.rate(step))).encode())
        return {
            "schedule": asdict(self.schedule),
            "course": [course.purpose, course.n_images, digest.hexdigest()],
            "weights at the beginning": snapshot.checksum(self.supernet.state_dict().values()),
            "version of PyTorch": torch.__version__,
            "steps in a stretch": STRETCH,
        }

    def _packed(self, belongs: dict[str, Any], step: int, sums: list[float]) -> bytes:
        """The state between two stretches."""
        reactions = {"at_once": self.at_once, "pace": self.pace, "rollbacks": self.rollbacks}
        place = {"step": step, "losses": sums, "scale": self.scaler.state_dict(), **reactions}
        return snapshot.pack(self._changing(), {"belongs": belongs, **place})

    def _taken_up(self, content: bytes, belongs: dict[str, Any], none: list[float]) -> tuple[int, list[float]]:
        """Take a state that was kept: the step to go on with, and the sums of the losses before. All of it, or none."""
        try:
            facts = snapshot.facts(content)
            before = dict(facts["belongs"])
            if other := [name for name, value in belongs.items() if before.get(name) != value]:
                log.warning("that state is of no use, for its %s changed: beginning anew", " and ".join(other))
                return 0, none
            tensors = snapshot.unpack(content, self._changing())
            at_once, pace, rollbacks = int(facts["at_once"]), float(facts["pace"]), int(facts["rollbacks"])
            step, scale = int(facts["step"]), dict(facts["scale"])
            sums = [float(total) for total, _ in zip(facts["losses"], none, strict=True)]
        except (KeyError, TypeError, ValueError) as error:
            log.warning("that state cannot be used (%r): beginning anew", error)
            return 0, none
        self._restore((tensors[name] for name in self._changing()), scale)
        self.at_once, self.pace, self.rollbacks = at_once, pace, rollbacks
        return step, sums

    def _finite(self) -> bool:
        """Whether every weight is a number. A norm that overflows counts as none."""
        with torch.no_grad():
            return bool(torch.stack([p.sum() for p in self.supernet.parameters()]).isfinite().all())


def _optimizer(supernet: nn.Module, schedule: Schedule, device: torch.device) -> torch.optim.SGD:
    """SGD in one pass over the weights where the device has that."""
    optimizer = torch.optim.SGD(
        supernet.parameters(),
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        nesterov=schedule.momentum > 0,
        fused=device.type in {"cpu", "cuda"},
    )
    if schedule.momentum:  # made here: the fused kernel takes no mixture of weights with and without one
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def _floating(module: nn.Module) -> Iterator[Tensor]:
    return (tensor for tensor in module.state_dict().values() if tensor.is_floating_point())


def _copy_into(targets: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    with torch.no_grad():
        for target, source in zip(targets, sources, strict=True):
            target.copy_(source)


def parts(n: int, at_once: int) -> list[slice]:
    """`n` pictures in parts of about equal size, of at most `at_once` and at least two."""
    edges = np.linspace(0, n, max(min(math.ceil(n / at_once), n // LEAST), 1) + 1).round().astype(int).tolist()
    return [slice(a, b) for a, b in itertools.pairwise(edges)]


def shuffled(n: int, batch_size: int, step: int, order: tuple[int, str]) -> Tensor:
    """The row numbers of a step: each epoch in an order of its own, its remainder left out."""
    epoch, position = divmod(step, n // batch_size)
    return torch.from_numpy(_order(n, order, epoch)[position * batch_size :][:batch_size].copy())


@lru_cache(maxsize=2)
def _order(n: int, order: tuple[int, str], epoch: int) -> NDArray[np.int64]:
    return rng(*order, epoch).permutation(n)

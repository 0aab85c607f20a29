"""The fine-tuner `finetune`: one network of a run, trained alone, and taught by the run's largest one where wanted.

An epoch is a course of the training that adapts a supernet. The momentum of SGD begins anew in each, so that the
weights are the whole state, and a training can go on from any epoch; within one, a checkpoint holds the rest too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save
from torch import Tensor, nn

from nat_core.contracts import Checkpoint, Dataset, Progress, SupernetSpace
from nat_core.encoding import Architecture
from nat_core.errors import ConfigError
from nat_estimators.augmentation import Augmenter
from nat_estimators.batches import batches
from nat_estimators.devices import device_named, threads_of
from nat_estimators.drawing import Lesson, largest_alike
from nat_estimators.engines.memory import keep_freed_memory
from nat_estimators.schedule import Schedule, require, share
from nat_estimators.training import Course, Training

PART = "finetune"


class SubnetTraining:
    """A fine-tuner by the loop that adapts supernets."""

    def __init__(
        self, space: SupernetSpace, data: Dataset, schedule: Schedule, epochs: int, device: str, threads: int
    ) -> None:
        if not isinstance(space, SupernetSpace):
            raise ConfigError(f"{PART} needs a space with a supernet, and {type(space).__name__} has none")
        if len(data.train) < 2:
            raise ConfigError(f"{PART} needs two training images at least, and the data have {len(data.train)}")
        require("epochs", epochs, at_least=1, part=PART)
        require("threads", threads, at_least=0, part=PART)
        keep_freed_memory()
        self.space = space
        self.schedule = schedule
        self.epochs = epochs
        self.device = device_named(device, PART)
        self.threads = threads
        self.how = data.augmentation
        self.train_images = batches(data.train, data, self.device)
        self._alone: _Alone | None = None

    def begin(self, architecture: Architecture, subnet: Callable[[Architecture], nn.Module]) -> None:
        """Take up a network; and the largest one for the same pictures, if it is to teach and is another."""
        largest = largest_alike(self.space, architecture) if self.schedule.distillation > 0 else architecture
        teacher = subnet(largest).to(self.device).eval() if largest != architecture else None
        network = subnet(architecture).to(self.device).eval()
        self._alone = _Alone(architecture, network, largest, teacher)

    @property
    def _taken(self) -> _Alone:
        if self._alone is None:
            raise RuntimeError("begin() comes first")
        return self._alone

    @property
    def network(self) -> nn.Module:
        """The network as it is now, in eval mode."""
        return self._taken.network

    def train(self, epoch: int, progress: Progress) -> float:
        """Train for an epoch; the mean loss."""
        return self._train(epoch, progress)

    def train_resumably(self, epoch: int, progress: Progress, checkpoint: Checkpoint) -> float:
        """As `train`, from what the checkpoint holds."""
        return self._train(epoch, progress, checkpoint)

    def _train(self, epoch: int, progress: Progress, checkpoint: Checkpoint | None = None) -> float:
        alone, schedule, n = self._taken, self.schedule, len(self.train_images)
        steps = max(n // schedule.batch_size, 1)
        lesson = Lesson((alone.architecture,), alone.largest if alone.teachers else None)
        course = Course(
            lessons=[lesson] * steps,
            side=lambda architecture: self.space.input_shape(architecture)[1],
            pictures=Augmenter(self.train_images, self.how, schedule.recipe, self.train_images.n_classes),
            n_images=n,
            rate=lambda step: schedule.learning_rate * share(epoch * steps + step, self.epochs * steps),
            purpose=f"{PART} {epoch}",
        )
        with threads_of(self.threads):
            (loss,) = Training(alone, schedule, self.device).follow(course, progress, checkpoint)
        return loss

    def save(self, file: Path) -> None:
        """Write the network as safetensors."""
        state = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        file.write_bytes(save(state))  # by Python, so that a full disk is an OSError

    def load(self, file: Path) -> None:
        """Read what `save` wrote."""
        self.network.load_state_dict(load_file(file, device=str(self.device)))


class _Alone(nn.Module):
    """A network and its teacher, called as the training loop calls a supernet. The teacher does not learn."""

    def __init__(
        self, architecture: Architecture, network: nn.Module, largest: Architecture, teacher: nn.Module | None
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.network = network
        self.largest = largest
        self.teachers = [] if teacher is None else [teacher]  # no submodule: not in the state, always in eval mode

    def forward(self, images: Tensor, architecture: Architecture) -> Tensor:
        """Logits (n, n_classes) of one of the two."""
        network = self.network if architecture == self.architecture else self.teachers[0]
        logits: Tensor = network(images)
        return logits

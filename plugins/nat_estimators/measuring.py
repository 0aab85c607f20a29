"""The evaluator `errors`: a network that stands alone, on pictures prepared as the estimator's are."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nat_core.classification import assess
from nat_core.contracts import Dataset, Split, StaticNetwork
from nat_core.errors import ConfigError
from nat_core.stopping import stop_if_asked
from nat_estimators import engines
from nat_estimators.batches import batches, by_channel
from nat_estimators.devices import device_named, threads_of
from nat_estimators.engines.memory import keep_freed_memory
from nat_estimators.engines.parity import require_parity
from nat_estimators.schedule import require

PART = "errors"


class Errors:
    """Shares of images classified wrongly, 0 … 1: top-1, and top-5 where more than five classes are told apart."""

    def __init__(
        self,
        data: Dataset,
        batch_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        engine: str,
        precision: str,
        device: str,
        threads: int,
    ) -> None:
        require("batch_size", batch_size, at_least=1, part=PART)
        require("threads", threads, at_least=0, part=PART)
        keep_freed_memory()
        self.data = data
        self.batch_size = batch_size
        self.mean, self.std = mean, std
        self.device = device_named(device, PART)
        self.engine = engines.engine(engine, precision, self.device, PART)
        self.threads = threads

    def __call__(self, network: StaticNetwork, split: Split) -> Mapping[str, float]:
        """Errors on the images of a split. The first batch is compared with the network in plain PyTorch."""
        return assess(self.logits(network, split), split.labels).errors

    def logits(self, network: StaticNetwork, split: Split) -> NDArray[np.float32]:
        """What the network answers to each image, (n, n_classes), in the order of the split."""
        if not len(split):
            raise ConfigError("the split has no images: there is nothing to measure on")
        if network.n_classes != len(self.data.classes):
            raise ConfigError(
                f"the network tells {network.n_classes} classes apart, and the data have {len(self.data.classes)}"
            )
        with threads_of(self.threads):
            logits = self._logits(network, split)
        if not bool(logits.isfinite().all()):
            raise ConfigError("the network's outputs are not finite: are these its weights?")
        return logits.float().cpu().numpy()

    def _logits(self, network: StaticNetwork, split: Split) -> Tensor:
        """(n, n_classes), in the order of the split."""
        pictures = batches(split, self.data, self.device)
        mean, std = by_channel(self.mean, self.device), by_channel(self.std, self.device)
        pictures = replace(pictures, mean=mean, std=std)
        inputs = (_fast(pictures.plain(rows, network.side)) for rows in pictures.in_order(self.batch_size))
        first = next(inputs)
        forward = self._prepared(network.network, first)
        parts = []
        for images in itertools.chain([first], inputs):
            stop_if_asked()
            parts.append(forward(images))
        return torch.cat(parts)

    def _prepared(self, network: nn.Module, images: Tensor) -> engines.Forward:
        """A copy as the engine runs it, which is to compute what the network computes."""
        network = copy.deepcopy(network).to(self.device).eval()
        with torch.inference_mode():
            plain = network(images)
        forward = self.engine.prepare(network, images)
        if bool(plain.isfinite().all()):  # else the network is broken, not the engine
            require_parity(self.engine.name, self.engine.precision, plain, forward(images))
        return forward


def _fast(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)

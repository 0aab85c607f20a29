"""Pictures in memory → normalised tensors of the side that an architecture takes, augmented or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nat_core.contracts import Augmentation, Dataset, Split


@dataclass(frozen=True)
class Batches:
    """One split as uint8 (n, 3, size, size), on the device that computes; too many pictures stay in main memory."""

    images: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    n_classes: int

    def __len__(self) -> int:
        return len(self.labels)

    def plain(self, rows: Tensor, side: int) -> Tensor:
        """The pictures `rows` resized to `side` with antialiasing, normalised: (len(rows), 3, side, side)."""
        pictures = self._taken(rows)
        if side < pictures.shape[-1]:
            return self.normalised(_shrunk(pictures, side))
        if side == pictures.shape[-1]:
            return self.normalised(pictures)
        return functional.interpolate(self.normalised(pictures), size=(side, side), mode="bilinear")

    def cropped(self, rows: Tensor, side: int, how: Augmentation, rng: np.random.Generator) -> Tensor:
        """A random crop of each picture, maybe mirrored, at `side`: one bilinear sampling for the whole batch.

        Values are 0 … 255. Normalised after sampling: `side` is rarely larger than the pictures.
        """
        crops = torch.from_numpy(random_crops(len(rows), how, rng)).to(self.labels.device)
        grid = _grid(crops, side)
        images = self._taken(rows).float()
        return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def _taken(self, rows: Tensor) -> Tensor:
        """The pictures `rows` on the device that computes."""
        return self.images[rows.to(self.images.device)].to(self.labels.device)

    def normalised(self, images: Tensor) -> Tensor:
        """Pictures of 0 … 255 as a network takes them."""
        return torch.addcmul(-self.mean / self.std, images.float(), 1 / (255 * self.std))  # in one pass

    def in_order(self, batch_size: int) -> Iterator[Tensor]:
        """Row numbers of all pictures, batch by batch."""
        yield from torch.split(torch.arange(len(self), device=self.labels.device), batch_size)


def batches(split: Split, data: Dataset, device: torch.device) -> Batches:
    """Move a split to a device once."""
    return Batches(
        images=_tensor(split.images, _home(split.images.nbytes, device)),
        labels=_tensor(split.labels, device),
        mean=by_channel(data.mean, device),
        std=by_channel(data.std, device),
        n_classes=len(data.classes),
    )


def by_channel(values: Sequence[float], device: torch.device) -> Tensor:
    """Numbers of red, green and blue as (3, 1, 1), of float32 as pictures are: NumPy's would make it doubles."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(3, 1, 1)


def _shrunk(pictures: Tensor, side: int) -> Tensor:
    """Smaller pictures of whole numbers, as torchvision's resize gives them.

    On a processor bytes are resized several times faster than floats. CUDA has no such kernel, and the processor's
    fails for a single pixel: there the result is rounded.
    """
    if pictures.device.type == "cpu" and side > 1:
        return functional.interpolate(pictures, size=(side, side), mode="bilinear", antialias=True)
    return functional.interpolate(pictures.float(), size=(side, side), mode="bilinear", antialias=True).round_()


def _grid(crops: Tensor, side: int) -> Tensor:
    """Where to sample, (n, side, side, 2), as `functional.affine_grid`; maps without rotation make it much cheaper."""
    middles = (torch.arange(side, device=crops.device) * 2 + 1) / side - 1
    x, y = (crops[:, i, i, None] * middles + crops[:, i, 2, None] for i in (0, 1))  # (n, side)
    shape = (len(crops), side, side)
    return torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], dim=3)


def _home(n_bytes: int, device: torch.device) -> torch.device:
    """Where pictures stand: on a GPU they may take half of what is free, for networks need the rest."""
    if device.type == "cuda" and n_bytes > torch.cuda.mem_get_info(device)[0] / 2:
        return torch.device("cpu")
    return device


def _tensor(array: NDArray[np.generic], device: torch.device) -> Tensor:
    writeable = array if array.flags.writeable else array.copy()  # torch has no read-only tensors
    return torch.from_numpy(writeable).to(device)


def random_crops(
    n: int, how: Augmentation, rng: np.random.Generator
) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Affine maps (n, 2, 3) from the unit square of the result to a random part of the picture.

    The part has a share of the area uniform in [min_scale, 1] and an aspect ratio log-uniform in [3/4, 4/3], as
    torchvision's RandomResizedCrop; the ratio is held where a part of that area still fits into the picture.
    """
    area = rng.uniform(how.min_scale, 1.0, n)
    aspect = np.exp(rng.uniform(-1, 1, n) * np.log(4 / 3) / 2)
    aspect = np.clip(aspect, np.sqrt(area), 1 / np.sqrt(area))
    width, height = np.sqrt(area) * aspect, np.sqrt(area) / aspect
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0) if how.flip else np.ones(n)
    maps = np.zeros((n, 2, 3), dtype=np.float32)
    maps[:, 0, 0], maps[:, 1, 1] = width * mirror, height
    maps[:, 0, 2] = rng.uniform(-1, 1, n) * (1 - width)
    maps[:, 1, 2] = rng.uniform(-1, 1, n) * (1 - height)
    return maps

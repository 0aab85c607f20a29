"""What a network of a step is asked for: the labels, and in part what a larger network answers."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def loss(logits: Tensor, labels: Tensor, target: Tensor | None, distillation: float, smoothing: float) -> Tensor:
    """Cross-entropy with the labels, and with a teacher's logits `target` in the share that distillation has.

    Labels are classes (n,), or shares of all classes (n, n_classes) where pictures are mixed. In float32 also where the
    logits are not: a sum over classes would lose what the network tells apart.
    """
    logits = logits.float()
    hard = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    if target is None:
        return hard
    soft = functional.cross_entropy(logits, target.float().softmax(1))
    return (1 - distillation) * hard + distillation * soft

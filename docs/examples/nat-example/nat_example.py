"""A whole plugin for nat in one module: a surrogate, a cost model, an optimizer, and a search space with its supernet.

Nothing here inherits from nat, and nothing heavy is imported before it is used: `nat plugins` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from nat_core import hookimpl
from nat_core.contracts import Function, Operator, OperatorSpace, SearchSpace
from nat_core.encoding import Variable, as_encodings, random_encodings, sizes
from nat_core.errors import ConfigError
from nat_core.proposals import propose, visit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nat_core.archive import Archive
    from nat_core.contracts import PredictedProblem
    from nat_core.encoding import Architecture, Encodings, Values


# A surrogate: fit(X, y) returns a function of the objective's own type.


@dataclass(frozen=True)
class Nearest:
    """Predicts the mean of the k measured architectures that differ in the fewest variables, the nearer the heavier."""

    k: int

    def fit(self, X: Encodings, y: Values) -> Function:
        """A function that remembers X and y."""
        k = min(self.k, len(X))

        def predict(rows: Encodings) -> Values:
            differing = (rows[:, None, :] != X[None, :, :]).sum(axis=2)
            nearest = np.argsort(differing, axis=1, kind="stable")[:, :k]
            weights = 1.0 / (1 + np.take_along_axis(differing, nearest, axis=1))
            mean: Values = (weights * y[nearest]).sum(axis=1) / weights.sum(axis=1)
            return mean

        return predict


def nearest(
    space: SearchSpace,  # noqa: ARG001  (every surrogate factory takes it)
    k: Annotated[int, "measured architectures that a prediction is the mean of"] = 5,
) -> Nearest:
    """The weighted mean of the k nearest measured architectures."""
    if k < 1:
        raise ConfigError(f"nearest.k is {k}: give at least 1")
    return Nearest(k)


# A cost model: a function of thousands of rows at once, here a sum over the operators of the space.


def weight_mb(
    space: SearchSpace,
    bytes_per_weight: Annotated[float, "4 for float32, 2 for float16, 1 for int8"] = 4.0,
) -> Function:
    """Size of the weights in megabytes (10^6 bytes)."""
    if not isinstance(space, OperatorSpace):
        raise ConfigError(f"weight_mb needs a space made of operators, and {type(space).__name__} has none")
    size = np.array([*(bytes_per_weight * o.params / 1e6 for o in space.operators), 0.0])  # the last: an empty slot, −1

    def cost(X: Encodings) -> Values:
        total: Values = size[space.layers(X)].sum(axis=1)
        return total

    return cost


# An optimizer: it looks for rows worth measuring on the predictions. `propose` of nat_core.proposals keeps its promise.


@dataclass(frozen=True)
class Neighbours:
    """Everything one change away from the archive's front, and from what that finds, a few times."""

    rounds: int

    def propose(self, problem: PredictedProblem, archive: Archive, n: int, rng: np.random.Generator) -> Encodings:
        """`n` new rows, the best of all that were visited."""
        width = len(problem.space.variables)
        known = archive.front.X if len(archive.front) else problem.space.sample(n, rng)
        visited = visit(problem, problem.space.canonicalize(known.reshape(-1, width)))
        for _ in range(self.rounds):
            best = propose(problem, visited, archive, n, rng)
            rows = np.vstack([visited.X, best, *(self._around(x, problem.space) for x in best)])
            visited = visit(problem, np.unique(problem.space.canonicalize(rows), axis=0))
        return propose(problem, visited, archive, n, rng)

    def _around(self, x: NDArray[np.int64], space: SearchSpace) -> Encodings:
        choices = sizes(space.variables)
        changes = [(i, c) for i in range(len(x)) for c in range(choices[i]) if c != x[i]]
        rows = np.tile(x, (len(changes), 1))
        for row, (i, c) in zip(rows, changes, strict=True):
            row[i] = c
        return rows


def neighbours(
    space: SearchSpace,  # noqa: ARG001  (every optimizer factory takes it)
    rounds: Annotated[int, "how far from the front: changes in a row"] = 2,
) -> Neighbours:
    """Local search from the front."""
    if rounds < 0:
        raise ConfigError(f"neighbours.rounds is {rounds}: give 0 or more")
    return Neighbours(rounds)


# A search space with a supernet: perceptrons of one to three hidden layers, whose weights are slices of the largest.

DEPTHS = (1, 2, 3)


@dataclass(frozen=True)
class PerceptronSpace:
    """Meets `SupernetSpace` and `OperatorSpace`. Variables: the depth, and the width of each hidden layer."""

    widths: tuple[int, ...]
    classes: int
    image_size: int
    seed: int

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The depth, then a width for each layer that there may be."""
        return (Variable("depth", DEPTHS), *(Variable(f"layer{i + 1}", self.widths) for i in range(max(DEPTHS))))

    def canonicalize(self, X: Encodings) -> Encodings:
        """The width of a layer that is not there makes no difference: it is 0."""
        X = X.copy()
        X[:, 1:][self._absent(X)] = 0
        return X

    def _absent(self, X: Encodings) -> NDArray[np.bool_]:
        return np.arange(max(DEPTHS)) >= np.array(DEPTHS)[X[:, :1]]

    def sample(self, n: int, rng: np.random.Generator) -> Encodings:
        """Every choice equally likely."""
        return self.canonicalize(random_encodings(self.variables, n, rng))

    def hidden(self, architecture: Architecture) -> list[int]:
        """The widths of the layers that are there."""
        depth = DEPTHS[architecture[0]]
        return [self.widths[i] for i in architecture[1 : 1 + depth]]

    def describe(self, architecture: Architecture) -> dict[str, object]:
        """The widths, joined: `64-16`."""
        hidden = self.hidden(architecture)
        return {"architecture": "-".join(map(str, hidden)), "hidden": hidden}

    def parse(self, text_or_dict: object) -> Architecture:
        """Read `64-16`, the dictionary of `describe`, or a tuple of choice indices."""
        given = text_or_dict.get("hidden") if isinstance(text_or_dict, Mapping) else text_or_dict
        try:
            if isinstance(text_or_dict, Sequence) and not isinstance(text_or_dict, str):
                return self._checked([int(i) for i in text_or_dict])
            widths = given.split("-") if isinstance(given, str) else given
            chosen = [self.widths.index(int(w)) for w in widths]  # type: ignore[union-attr]
            return self._checked([DEPTHS.index(len(chosen)), *chosen, *[0] * (max(DEPTHS) - len(chosen))])
        except (TypeError, ValueError):
            raise ConfigError(
                f"cannot read a perceptron from {text_or_dict!r}: accepted are 1 to 3 widths of "
                f"{', '.join(map(str, self.widths))} such as '64-16', a dictionary with hidden, or 4 choice indices"
            ) from None

    def _checked(self, indices: list[int]) -> Architecture:
        X = as_encodings([indices], len(self.variables))  # a ValueError if there are too few or too many
        if not ((X >= 0) & (sizes(self.variables) > X)).all():
            raise ValueError(indices)
        return tuple(self.canonicalize(X)[0].tolist())

    @cached_property
    def _prices(self) -> tuple[list[Operator], dict[tuple[int, int], int]]:
        inputs = 3 * self.image_size**2
        pairs = list(dict.fromkeys(product((inputs, *self.widths), (*self.widths, self.classes))))
        operators = [Operator(f"linear-{a}-{b}", macs=a * b, params=(a + 1) * b) for a, b in pairs]
        return operators, {pair: i for i, pair in enumerate(pairs)}

    @property
    def operators(self) -> Sequence[Operator]:
        """A linear layer for every pair of widths."""
        return self._prices[0]

    def layers(self, X: Encodings) -> NDArray[np.int64]:
        """Indices into `operators`, (n, 4): three hidden layers, −1 where one is absent, and the classifier."""
        _, index = self._prices
        table = np.full((len(X), max(DEPTHS) + 1), -1, dtype=np.int64)
        for row, architecture in zip(table, X.tolist(), strict=True):
            chain = [3 * self.image_size**2, *self.hidden(architecture)]
            row[: len(chain) - 1] = [index[pair] for pair in pairwise(chain)]
            row[-1] = index[chain[-1], self.classes]
        return table

    def input_shape(self, architecture: Architecture) -> tuple[int, int, int]:
        """The same for all."""
        del architecture
        return 3, self.image_size, self.image_size

    def supernet(self, n_classes: int, weights: object = None) -> Any:
        """The supernet, random by the space's seed. A larger plugin would keep it in a module of its own."""
        if weights is not None:
            raise ConfigError("mlp reads no checkpoint: leave weights out")
        import torch  # noqa: PLC0415  (seconds to import: nobody waits for it who does not train)
        from torch import Tensor, nn  # noqa: PLC0415
        from torch.nn import functional  # noqa: PLC0415

        space = self

        class Supernet(nn.Module):
            """The largest perceptron; a smaller one takes the leading rows and columns of its matrices."""

            def __init__(self) -> None:
                super().__init__()
                top = max(space.widths)
                self.hidden = nn.ModuleList(nn.Linear(a, top) for a in (3 * space.image_size**2, top, top))
                self.classifier = nn.Linear(top, n_classes)

            def slices(self, architecture: Architecture) -> list[tuple[Tensor, Tensor]]:
                """Weight and bias of every layer of an architecture, as views: gradients reach the shared weights."""
                shapes = [*space.hidden(architecture), n_classes]
                modules = [*list(self.hidden)[: len(shapes) - 1], self.classifier]
                found, c_in = [], 3 * space.image_size**2
                for module, c_out in zip(modules, shapes, strict=True):
                    found.append((module.weight[:c_out, :c_in], module.bias[:c_out]))
                    c_in = c_out
                return found

            def forward(self, images: Tensor, architecture: Architecture) -> Tensor:
                """Logits (n, n_classes)."""
                x, slices = images.flatten(1), self.slices(architecture)
                for i, (weight, bias) in enumerate(slices):
                    x = functional.linear(x if i == 0 else x.relu(), weight, bias)
                return x

            def subnet(self, architecture: Architecture) -> nn.Module:
                """A plain stack of linear layers with copies of the slices."""
                layers: list[nn.Module] = [nn.Flatten()]
                for weight, bias in self.slices(architecture):
                    layers += [nn.Linear(weight.shape[1], weight.shape[0]), nn.ReLU()]
                    layers[-2].weight.data.copy_(weight)
                    layers[-2].bias.data.copy_(bias)
                return nn.Sequential(*layers[:-1]).to(weight.device).train(self.training)

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return Supernet()


def mlp(
    widths: Annotated[Sequence[int], "hidden units that a layer may have, in rising order"] = (16, 32, 64, 128),
    classes: Annotated[int, "outputs of the classifier"] = 10,
    image_size: Annotated[int, "side of the pictures, in pixels"] = 8,
    seed: Annotated[int, "of the random weights"] = 0,
) -> PerceptronSpace:
    """Perceptrons of one to three hidden layers: small enough to search in seconds."""
    if not widths or list(widths) != sorted(set(widths)) or widths[0] < 1:
        raise ConfigError(f"mlp.widths is {tuple(widths)}: give widths of at least 1 in rising order, each once")
    return PerceptronSpace(tuple(widths), classes, image_size, seed)


# The hooks: names and factories, and nothing else.


@hookimpl
def register_surrogates() -> Mapping[str, Callable[..., Nearest]]:
    """The surrogate `nearest`."""
    return {"nearest": nearest}


@hookimpl
def register_cost_models() -> Mapping[str, Callable[..., Function]]:
    """The cost `weight_mb`."""
    return {"weight_mb": weight_mb}


@hookimpl
def register_optimizers() -> Mapping[str, Callable[..., Neighbours]]:
    """The optimizer `neighbours`."""
    return {"neighbours": neighbours}


@hookimpl
def register_search_spaces() -> Mapping[str, Callable[..., PerceptronSpace]]:
    """The search space `mlp`."""
    return {"mlp": mlp}

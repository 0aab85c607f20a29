"""Surrogates: they learn a costly objective from few measurements, and stand in for it while the optimizer searches.

No module of this package may have the name of a factory: importing the module would put it in the factory's place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from nat_core import hookimpl
from nat_core.contracts import SearchSpace, Surrogate


@hookimpl
def register_surrogates() -> Mapping[str, Callable[..., Surrogate]]:
    """NAT's ensemble of radial-basis interpolants (the default choice), what rivals it, and a choice among them."""
    return {
        "rbf": rbf,
        "rbf-single": rbf_single,
        "gp": gp,
        "mlp": mlp,
        "cart": cart,
        "forest": forest,
        "boosting": boosting,
        "ridge": ridge,
        "adaptive": adaptive,
    }


def rbf(
    space: SearchSpace,
    members: Annotated[int, "interpolants in the ensemble"] = 500,
    subsets: Annotated[int, "random subsets of features; members share them, and predictions cost as many"] = 25,
    least_share: Annotated[float, "the smallest subset's share of all features"] = 0.6,
    sample_fraction: Annotated[float, "share of the measurements that each member sees"] = 0.9,
    max_samples: Annotated[int, "measurements that a member sees at most"] = 400,
    kernel: Annotated[Literal["cubic", "linear", "thin-plate"], "the radial function of each member"] = "cubic",
    smoothing: Annotated[float, "how far members may miss their measurements; 0 goes through them"] = 0.3,
    seed: Annotated[int, "of the random subsets"] = 0,
) -> Surrogate:
    """NAT's ensemble of radial-basis interpolants, each on random subsets of features and of measurements."""
    from nat_surrogates.kriging import Kriged
    from nat_surrogates.learning import Learner
    from nat_surrogates.rbf_ensemble import RbfEnsemble

    fit = RbfEnsemble(members, subsets, least_share, sample_fraction, max_samples, kernel, smoothing, seed)
    return Learner(space, Kriged(fit, kernel, smoothing))


def gp(
    space: SearchSpace,
    max_points: Annotated[int, "measurements to learn from; of more, the best half and a spread of the rest"] = 500,
) -> Surrogate:
    """A Gaussian process with a Matérn 5/2 kernel and noise, by scikit-learn."""
    from nat_surrogates.gaussian_process import GaussianProcess

    return GaussianProcess(space, max_points)


def rbf_single(
    space: SearchSpace,
    kernel: Annotated[
        Literal["cubic", "linear", "thin-plate"], "the radial function; linear has a constant tail"
    ] = "cubic",
    smoothing: Annotated[float, "how far it may miss the measurements; 0 goes through them"] = 0.1,
) -> Surrogate:
    """One radial-basis interpolant on all variables, by scipy; linear where the points do not determine its tail."""
    from nat_surrogates.kriging import Kriged
    from nat_surrogates.learning import Learner
    from nat_surrogates.single_interpolant import Interpolant

    return Learner(space, Kriged(Interpolant(kernel, smoothing), kernel, smoothing))


def mlp(
    space: SearchSpace,
    networks: Annotated[int, "networks in the ensemble"] = 5,
    hidden: Annotated[int, "units in the hidden layer of each"] = 20,
    weight_decay: Annotated[float, "L2 penalty on the weights, over the number of measurements"] = 1.0,
    iterations: Annotated[int, "of L-BFGS at most"] = 200,
    seed: Annotated[int, "of the first weights"] = 0,
) -> Surrogate:
    """Small multi-layer perceptrons, averaged, by scikit-learn."""
    from nat_surrogates.learning import Learner
    from nat_surrogates.perceptrons import Perceptrons

    return Learner(space, Perceptrons(networks, hidden, weight_decay, iterations, seed))


def cart(
    space: SearchSpace,
    trees: Annotated[int, "trees in the ensemble"] = 300,
    min_leaf: Annotated[int, "measurements in a leaf at least"] = 1,
    seed: Annotated[int, "of the random subsets"] = 0,
) -> Surrogate:
    """Regression trees, each on a random subset of inputs, averaged: MSuNAS's CARTs."""
    from nat_surrogates.learning import Learner
    from nat_surrogates.trees import Carts

    return Learner(space, Carts(trees, min_leaf, seed))


def forest(
    space: SearchSpace,
    trees: Annotated[int, "trees in the forest"] = 200,
    max_features: Annotated[float, "share of the inputs that each split may choose from"] = 0.33,
    min_leaf: Annotated[int, "measurements in a leaf at least"] = 1,
    seed: Annotated[int, "of the random splits"] = 0,
) -> Surrogate:
    """Extremely randomised trees, by scikit-learn."""
    from nat_surrogates.learning import Learner
    from nat_surrogates.trees import Forest

    return Learner(space, Forest(trees, max_features, min_leaf, seed))


def boosting(
    space: SearchSpace,
    rounds: Annotated[int, "trees, one after another"] = 400,
    learning_rate: Annotated[float, "share of each tree's correction that is taken"] = 0.05,
    depth: Annotated[int, "splits in a row at most: how many inputs may interact"] = 3,
    subsample: Annotated[float, "share of the measurements that each tree sees"] = 0.7,
    max_features: Annotated[float, "share of the inputs that each split may choose from"] = 0.3,
    seed: Annotated[int, "of the random choices"] = 0,
) -> Surrogate:
    """Stochastic gradient boosting of small trees, by scikit-learn."""
    from nat_surrogates.learning import Learner
    from nat_surrogates.trees import Boosting

    return Learner(space, Boosting(rounds, learning_rate, depth, subsample, max_features, seed))


def ridge(
    space: SearchSpace,
    penalty: Annotated[float | None, "on the squared slopes; none chooses the one with the least error"] = None,
    inputs: Annotated[
        Literal["levels", "features"], "look at the features and an indicator of each level, or at the features alone"
    ] = "levels",
) -> Surrogate:
    """Ridge regression on features and their levels, its penalty found by leaving one out."""
    from nat_surrogates.learning import Learner
    from nat_surrogates.linear_model import Ridge

    return Learner(space, Ridge(penalty, inputs))


def adaptive(
    space: SearchSpace,
    members: Annotated[
        tuple[Literal["rbf", "rbf-single", "gp", "mlp", "cart", "forest", "boosting", "ridge"], ...],
        "surrogates to choose from, with their own defaults",
    ] = ("rbf", "gp", "boosting"),
    folds: Annotated[int, "of the cross-validation that compares them"] = 5,
    max_points: Annotated[int, "measurements to compare on, drawn at random from more; the winner sees all"] = 300,
    seed: Annotated[int, "of the split into folds"] = 0,
) -> Surrogate:
    """MSuNAS's adaptive switching: the member with the best rank correlation in cross-validation."""
    from nat_core.errors import ConfigError, unknown
    from nat_surrogates.switching import Candidate, Switching

    known = {name: factory for name, factory in register_surrogates().items() if name != "adaptive"}
    trials = {"rbf": {"members": 50}}  # ranks nearly as well as 500, in a tenth of the time
    for name in members:
        if name not in known:
            raise ConfigError(unknown("member", name, known))
    candidates = (Candidate(n, known[n](space), known[n](space, **trials.get(n, {}))) for n in members)
    return Switching(tuple(candidates), folds, max_points, seed)

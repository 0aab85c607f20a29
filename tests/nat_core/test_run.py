"""From a config to the parts of a run: what measures what, who is given data, and what a folder is recognised by."""

from __future__ import annotations

import functools
import hashlib
from types import SimpleNamespace

import numpy as np
import pytest

from nat_core import plugins
from nat_core.config import RunConfig, resolve
from nat_core.contracts import Measurement
from nat_core.errors import ConfigError, PluginError, StateError
from nat_core.plugins import Offer, Registry
from nat_core.run import _measured_on, _require_same, build, find_parts, identity_of, new_folder
from nat_core.testing import SmallSpace


class Toy(SmallSpace):
    def __init__(self, size=1):
        super().__init__()
        object.__setattr__(self, "size", size)


class Half:
    """An estimator that answers 0.5, and keeps what it was given."""

    fingerprint = "f" * 64

    def __init__(self, space, *given, **options):
        self.space, self.given, self.options = space, given, options

    def __call__(self, X):
        return [Measurement(0.5)] * len(X)


def namesake(space, *, bias: float = 0.0, seed: int = 3):
    return Half(space, bias=bias, seed=seed)


def on_data(space, data, *, classes: int = -1):
    return Half(space, data, classes=classes)


class Direct:
    def propose(self, problem, archive, n, rng):
        raise NotImplementedError

    ask = propose


class Predicting:
    def propose(self, problem, archive, n, rng):
        raise NotImplementedError


def cost(space):
    assert space.variables
    return lambda X: X.sum(axis=1).astype(float)


def plain():
    return SmallSpace()


def toy(*, size: int):
    return Toy(size)


def loose(*given):
    return Half(*given)


def direct(space):
    assert space.variables
    return Direct()


def predicting(space):
    assert space.variables
    return Predicting()


def broken(space):
    raise ZeroDivisionError(space)


OFFERS = {
    "search_spaces": {"toy": toy, "plain": plain, "mixed": plain},
    "estimators": {"toy": namesake, "mixed": on_data, "on-data": on_data, "loose": loose},
    "cost_models": {"sum": cost, "toy": cost},
    "optimizers": {"direct": direct, "predicting": predicting, "broken": broken, "partial": functools.partial(direct)},
}


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Our own plugins, and some toys beside them."""
    own = plugins.load()
    toys = [Offer(kind, name, "toys", "1.0", f) for kind, offers in OFFERS.items() for name, f in offers.items()]
    together = Registry(own._manager, (*own.offers, *toys))
    monkeypatch.setattr(plugins, "registry", lambda: together)
    return together


def config(*settings, **words):
    return resolve(None, None, {"objectives": ["top1_error", "sum"], "optimizer": "predicting", **words}, settings)


@pytest.mark.parametrize(
    ("words", "estimator", "data"),
    [
        ({}, "top1_error", "digits"),
        ({"space": "plain"}, "top1_error", "digits"),
        ({"space": "toy"}, "toy", None),
        ({"space": "toys:toy"}, "toys:toy", None),
        ({"space": "mixed"}, "mixed", "digits"),
        ({"space": "mixed", "data": "folder"}, "mixed", "folder"),
        ({"space": "plain", "estimator": "toy"}, "toy", None),
        ({"space": "toy", "estimator": "on-data"}, "on-data", "digits"),
        ({"space": "toy", "estimator": "top1_error"}, "top1_error", "digits"),
        ({"space": "toy", "objectives": ["top1_error", "on-data"]}, "toy", "digits"),
        ({"space": "toy", "objectives": ["sum", "macs"]}, "toy", None),
        ({"objectives": ["macs", "params"]}, "top1_error", None),
        ({"objectives": ["macs", "nat-core:top1_error"], "space": "toy"}, "toy", "digits"),
    ],
    ids=str,
)
def test_what_measures_and_on_what(words, estimator, data):
    found = config(**words)
    assert (found.estimator, found.data) == (estimator, data)


@pytest.mark.parametrize(("estimator", "given"), [("toy", 0), ("on-data", 1), ("loose", 1), ("mixed", 1)], ids=str)
def test_data_go_to_the_estimators_that_take_some(estimator, given):
    run = build(find_parts(config("toy.size=3", space="toy", estimator=estimator)), "folder")
    half = run.problem.estimators["top1_error"]
    assert half.space is run.space
    assert half.given == (run.data,) * given
    assert (run.data is None) == (not given)


def test_the_context_knows_classes_where_there_are_data():
    run = build(find_parts(config(space="plain", estimator="on-data")), "folder")
    assert run.problem.estimators["top1_error"].options == {"classes": 10}
    run = build(find_parts(config("toy.size=3", space="toy", seed=8)), "folder")
    assert run.problem.estimators["top1_error"].options == {"bias": 0.0, "seed": 8}


def test_parts_of_one_name_share_a_table_of_options():
    run = build(find_parts(config("toy.size=3", "toy.bias=0.5", space="toy")), "folder")
    assert run.space.size == 3
    assert run.problem.estimators["top1_error"].options["bias"] == 0.5
    with pytest.raises(ConfigError, match=r"unknown option of toy 'biass'"):
        find_parts(config("toy.size=3", "toy.biass=0.5", space="toy"))
    with pytest.raises(ConfigError, match=r"toy needs size: set it with -s toy.size="):
        find_parts(config("toy.bias=0.5", space="toy"))
    with pytest.raises(ConfigError, match=r"toy.bias is 'much'"):
        find_parts(config("toy.size=3", "toy.bias=much", space="toy"))


def test_options_of_an_estimator_are_set_by_its_own_name():
    assert config("toy.bias=1", space="plain", estimator="toy").options["toy"] == {"bias": 1}
    with pytest.raises(ConfigError, match="options are set for 'top1_error', which is not a part of this run"):
        config("top1_error.epochs=1", space="plain", estimator="toy")
    assert "top1_error" not in config(space="plain", estimator="toy").options  # the preset's
    assert "top1_error" in config(space="plain").options


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            {"space": "plain", "estimator": "toy", "data": "digits"},
            r"'digits', and .* any \(top1_error by toy\)",
        ),
        ({"space": "plain", "objectives": ["sum", "macs"], "data": "digits"}, "all are costs"),
        ({"space": "plain", "estimator": "toi"}, r"unknown estimator 'toi'. Did you mean 'toy'"),
        ({"space": "plain", "estimator": "sum"}, r"unknown estimator 'sum'"),
        ({"space": "plain", "estimator": "toy", "objectives": ["sum", "macs"]}, "the objectives are sum, macs"),
        ({"space": "plain", "estimator": ""}, "unknown estimator ''"),
        ({"space": "plain", "objectives": ["top1_error", "summ"]}, "unknown estimator or cost model 'summ'.*'sum'"),
    ],
)
def test_what_does_not_go_together(words, said):
    with pytest.raises(ConfigError, match=said):
        find_parts(config(**words))


def test_a_config_that_was_made_without_its_data():
    bare = RunConfig(space="plain", estimator="on-data", objectives=("top1_error", "sum"))
    with pytest.raises(ConfigError, match=r"top1_error cannot be measured without data: .*--data digits"):
        find_parts(bare)


def test_an_estimator_goes_before_a_cost_of_its_name(registry):
    assert registry.find("estimators", "toy", "cost_models").kind == "estimators"
    assert registry.find("estimators", "sum", "cost_models").kind == "cost_models"
    assert registry.find("cost_models", "toy", "estimators").kind == "cost_models"
    with pytest.raises(PluginError, match="unknown estimator or cost model 'nothing'"):
        registry.find("estimators", "nothing", "cost_models")
    with pytest.raises(PluginError, match="unknown kind of plugin 'costs'"):
        registry.find("estimators", "nothing", "costs")


def test_no_surrogate_needs_an_optimizer_that_can_do_without():
    words = {"space": "toy", "surrogate": "none"}
    for optimizer in ("direct", "partial"):
        run = build(find_parts(config("toy.size=3", optimizer=optimizer, **words)), "folder")
        assert run.surrogate is None
        assert run.parts.surrogate is None
        assert not any(name.startswith("surrogates.") for name in run.parts.versions())
    with pytest.raises(ConfigError, match=r"and predicting cannot; these can: .*\bdirect\b") as caught:
        build(find_parts(config("toy.size=3", optimizer="predicting", **words)), "folder")
    assert "broken" not in str(caught.value)
    with pytest.raises(ConfigError, match="options are set for 'rbf'"):
        config("rbf.members=3", "toy.size=3", optimizer="direct", **words)


def test_it_is_refused_before_any_estimator_is_built(monkeypatch):
    monkeypatch.setattr(Half, "__init__", lambda *_, **__: pytest.fail("an estimator was built"))
    with pytest.raises(ConfigError, match="without a surrogate"):
        build(find_parts(config("toy.size=3", space="toy", surrogate="none", optimizer="predicting")), "folder")


def test_a_folder_without_data_is_named_by_its_space(tmp_path):
    assert new_folder(config(space="toys:toy"), tmp_path).name.startswith("toy-20")
    assert new_folder(config(), tmp_path).name.startswith("digits-mbv3-20")


def test_what_values_come_out_of_is_recognised():
    data = SimpleNamespace(fingerprint="d" * 64)
    space, plain = SimpleNamespace(fingerprint="f" * 64), SimpleNamespace()

    def of(data, space, *estimators):
        named = dict(enumerate(estimators))
        problem = SimpleNamespace(estimators=named, costs={})
        return _measured_on(SimpleNamespace(data=data, space=space, problem=problem))

    assert of(None, plain, plain) is None
    assert of(data, plain, plain) == "d" * 64  # as in a run of version 0.1
    assert of(None, space, plain) == of(None, plain, space) == of(None, space, space) == "f" * 64
    both = hashlib.sha256(f"{'d' * 64}\n{'f' * 64}".encode()).hexdigest()
    assert of(data, plain, space, plain) == of(data, space, space) == both


def test_a_run_without_data_says_so_in_its_identity():
    run = build(find_parts(config(space="plain", objectives=["sum", "toy"])), "f")
    assert run.data is None
    identity = identity_of(run)
    assert identity["data"] == "f" * 64
    assert identity["config"]["data"] is None


def test_a_journal_of_version_01_is_the_journal_of_this_run(tmp_path):
    """It knew no estimator: what it lacks was as the default is."""
    run = build(find_parts(config(space="plain", objectives=["sum", "toy"])), "f")
    now = identity_of(run)
    begun = {"kind": "begun", "format": 1, **now}
    old = {k: v for k, v in now["config"].items() if k != "estimator"}
    _require_same(tmp_path, {**begun, "config": old}, now, frozenset(), {})
    for changed in (old | {"seed": 5}, now["config"] | {"estimator": "toy"}, old | {"options.x.y": 1}, 3, None):
        with pytest.raises(StateError, match="its config changed"):
            _require_same(tmp_path, {**begun, "config": changed}, now, frozenset(), {})


def test_values_of_a_toy_run():
    run = build(find_parts(config("toy.size=3", space="toy")), "folder")
    X = run.space.sample(3, np.random.default_rng(0))
    assert [m.value for m in run.problem.estimators["top1_error"](X)] == [0.5] * 3
    assert run.subject == "toy"

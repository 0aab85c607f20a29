"""Finding plugins: every entry point of the group `nat_core`, loaded one by one, so that a broken one stops nothing.

pluggy's own loader drops a second distribution that uses the same entry-point name, and lets one broken plugin stop all
others; so we walk the entry points ourselves and register what loads.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import pluggy

from nat_core import hookspecs
from nat_core.errors import PluginError, unknown
from nat_core.hookspecs import Factory

log = logging.getLogger("nat_core")

GROUP = "nat_core"
OWN = "nat-core"
HOOKS: Mapping[str, str] = MappingProxyType(
    {
        "search_spaces": "register_search_spaces",
        "surrogates": "register_surrogates",
        "optimizers": "register_optimizers",
        "estimators": "register_estimators",
        "cost_models": "register_cost_models",
        "datasets": "register_datasets",
    }
)
LISTENERS = ("on_iteration", "on_finish")


@dataclass(frozen=True)
class Offer:
    """One name of one kind, as a distribution offers it. `factory` is None where the plugin is broken."""

    kind: str
    name: str
    distribution: str
    version: str
    factory: Factory | None = field(default=None, compare=False, repr=False)
    status: str = "ok"  # ok | conflict | broken | off
    error: str = ""

    @property
    def where(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"


class Registry:
    """All plugins of this environment, and what they offer."""

    def __init__(self, manager: pluggy.PluginManager, offers: tuple[Offer, ...]) -> None:
        self._manager = manager
        self.offers = offers

    def of(self, kind: str) -> dict[str, Offer]:
        """The working offers of a kind by name; a name claimed twice is there as `distribution:name` alone."""
        usable = [o for o in self.offers if o.kind == kind and o.factory is not None]
        plain = {o.name: o for o in usable if o.status == "ok"}
        return plain | {f"{o.distribution}:{o.name}": o for o in usable if o.status == "conflict"}

    def find(self, kind: str, name: str) -> Offer:
        """The offer of that name; `distribution:name` picks one of several.

        Raises `PluginError` where nothing, or more than one distribution, goes by the name.
        """
        if kind not in HOOKS:
            raise PluginError(unknown("kind of plugin", kind, HOOKS))
        distribution, _, bare = name.rpartition(":")
        claims = [o for o in self.offers if o.kind == kind and o.name == bare and o.factory is not None]
        if distribution:
            claims = [o for o in claims if o.distribution == distribution]
        if len(claims) == 1:
            return claims[0]
        if claims:
            raise PluginError(
                f"two plugins offer the {_singular(kind)} {bare!r}: {' and '.join(c.where for c in claims)}. "
                f"Pick one as {' or '.join(repr(f'{c.distribution}:{bare}') for c in claims)}, or uninstall the other."
            )
        raise PluginError(unknown(_singular(kind), name, self.of(kind), self._broken_hint()))

    def _broken_hint(self) -> str:
        broken = [o for o in self.offers if o.status == "broken"]
        listed = "; ".join(f"{o.name} of {o.where}: {o.error}" for o in broken)
        return f"Plugins that failed to load: {listed}." if broken else ""

    def announce(self, hook: str, **arguments: Any) -> None:
        """Call a listener hook of every plugin; one that fails is reported by name, and the others still run."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except Exception as error:  # noqa: BLE001 - any error of a plugin is the plugin's
                log.warning("plugin %s failed in %s: %s", implementation.plugin_name, hook, _reason(error))


def load() -> Registry:
    """Load every plugin of the environment. Never raises for a plugin's fault: the fault is in its offer."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    offers = [offer for entry in _entry_points() for offer in _load(manager, entry)]
    return Registry(manager, tuple(_mark_conflicts(offers)))


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The plugins of this process, loaded once."""
    return load()


def find(kind: str, name: str) -> Factory:
    """The factory of a plugin: `find("search_spaces", "mbv3")()`. Raises `PluginError` for an unknown name."""
    factory = registry().find(kind, name).factory
    assert factory is not None  # noqa: S101 - find() returns working offers alone
    return factory


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    """Our own first, then by distribution; each once, however often its metadata lies about."""
    found = {(_distribution(e), e.name): e for e in reversed(importlib.metadata.entry_points(group=GROUP))}
    return [found[key] for key in sorted(found, key=lambda key: (key[0] != OWN, key))]


def _distribution(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist else "unknown"


def _load(manager: pluggy.PluginManager, entry: importlib.metadata.EntryPoint) -> list[Offer]:
    """What one entry point offers, or a single offer that says why it cannot be used."""
    distribution = _distribution(entry)
    version = (entry.dist.version if entry.dist else None) or "unknown"
    plugin = Offer("plugin", entry.name, distribution, version)
    if distribution != OWN and not _wanted(distribution, entry.name):
        return [replace(plugin, status="off", error="not in NAT_PLUGINS")]
    try:
        module = entry.load()
        _require_known_hooks(manager, module)
        manager.register(module, name=f"{distribution}:{entry.name}")
        offers = list(_offers(module, plugin))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything on import, SystemExit too
        if manager.has_plugin(f"{distribution}:{entry.name}"):
            manager.unregister(name=f"{distribution}:{entry.name}")
        return [replace(plugin, status="broken", error=_reason(error))]
    return offers


def _wanted(distribution: str, name: str) -> bool:
    """`NAT_PLUGINS`: unset loads all; `none` or empty, only our own; else a comma list of distributions or plugins."""
    allowed = os.environ.get("NAT_PLUGINS")
    return allowed is None or bool({distribution, name} & {a.strip() for a in allowed.split(",")})


def _require_known_hooks(manager: pluggy.PluginManager, module: object) -> None:
    for name in dir(module):
        if manager.parse_hookimpl_opts(module, name) is not None and not hasattr(hookspecs, name):
            raise PluginError(unknown("hook", name, [*HOOKS.values(), *LISTENERS]))


def _offers(module: object, plugin: Offer) -> Iterator[Offer]:
    for kind, hook in HOOKS.items():
        if (function := getattr(module, hook, None)) is None:
            continue
        names = function()
        if not isinstance(names, Mapping) or not all(isinstance(n, str) and callable(f) for n, f in names.items()):
            raise PluginError(f"{hook}() has to return a mapping from names to factories, and returned {names!r}")
        for name, factory in names.items():
            yield replace(plugin, kind=kind, name=name, factory=factory)
    if any(hasattr(module, listener) for listener in LISTENERS):
        yield replace(plugin, kind="listeners")


def _mark_conflicts(offers: list[Offer]) -> Iterator[Offer]:
    for offer in offers:
        rivals = [o.where for o in offers if (o.kind, o.name) == (offer.kind, offer.name) and o.factory is not None]
        clash = offer.factory is not None and len(rivals) > 1
        yield replace(offer, status="conflict", error=f"offered by {' and '.join(rivals)}") if clash else offer


def _singular(kind: str) -> str:
    return {"search_spaces": "search space", "cost_models": "cost model", "datasets": "data set"}.get(kind, kind[:-1])


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

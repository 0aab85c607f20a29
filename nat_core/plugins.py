"""Finding plugins: every entry point of the group `nat_core`, loaded one by one, so that a broken one stops nothing.

pluggy's own loader drops a second distribution that uses the same entry-point name, and lets one broken plugin stop all
others; so we walk the entry points ourselves and register what loads.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import pluggy

from nat_core import hookspecs
from nat_core.errors import PluginError, blame, unknown
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
        "executors": "register_executors",
        "baselines": "register_baselines",
        "pretrainers": "register_pretrainers",
        "finetuners": "register_finetuners",
        "evaluators": "register_evaluators",
        "trackers": "register_trackers",
        "exporters": "register_exporters",
        "engines": "register_engines",
    }
)
LISTENERS = ("on_iteration", "on_finish")
_NAME = re.compile(r"\w[\w@-]*")  # also the name of a file, of an option's table, and of a constraint


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

    def find(self, kind: str, name: str, *others: str, hint: str = "") -> Offer:
        """The offer of that name and kind, or of the first of the other kinds that has it.

        `distribution:name` picks one of several. Raises `PluginError` where nothing, or more than one distribution,
        goes by the name; `hint` is said of nothing.
        """
        kinds = (kind, *others)
        for k in kinds:
            if k not in HOOKS:
                raise PluginError(unknown("kind of plugin", k, HOOKS))
            claims = self._claims(k, name)
            if len(claims) == 1:
                return claims[0]
            if claims:
                bare = claims[0].name
                raise PluginError(
                    f"two plugins offer the {_singular(k)} {bare!r}: {' and '.join(c.where for c in claims)}. Pick one "
                    f"as {' or '.join(repr(f'{c.distribution}:{bare}') for c in claims)}, or uninstall the other."
                )
        known = [known for k in kinds for known in self.of(k)]
        hints = " ".join(filter(None, (hint, self._broken_hint())))
        raise PluginError(unknown(" or ".join(map(_singular, kinds)), name, known, hints))

    def _claims(self, kind: str, name: str) -> list[Offer]:
        """The working offers of a name, of one distribution where that is named.

        `name@instance` is the offer `name` once more, with options of its own.
        """
        distribution, _, bare = name.rpartition(":")
        base, at, instance = bare.partition("@")
        claims = self._named(kind, bare)
        if not claims and at and _NAME.fullmatch(instance):
            claims = [replace(o, name=bare) for o in self._named(kind, base)]
        return [o for o in claims if not distribution or _normal(o.distribution) == _normal(distribution)]

    def _named(self, kind: str, name: str) -> list[Offer]:
        return [o for o in self.offers if o.kind == kind and o.name == name and o.factory is not None]

    def _broken_hint(self) -> str:
        broken = [o for o in self.offers if o.status == "broken"]
        listed = "; ".join(f"{o.name} of {o.where}: {o.error}" for o in broken)
        return f"Plugins that failed to load: {listed}." if broken else ""

    def announce(self, hook: str, *, strict: bool = False, **arguments: Any) -> None:
        """Call a listener hook of every plugin; one that fails is reported by name, and the others still run.

        With `strict` it is a `PluginError` instead.
        """
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            try:
                implementation.function(*(arguments[name] for name in implementation.argnames))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - any error of a plugin is the plugin's
                blame(f"plugin {implementation.plugin_name} failed in {hook}: {_reason(error)}", strict=strict)


def load() -> Registry:
    """Load every plugin of the environment. Never raises for a plugin's fault: the fault is in its offer."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    entries, unreadable = _entry_points()
    offers = [offer for entry in entries for offer in _load(manager, entry)]
    return Registry(manager, tuple(_mark_conflicts([*offers, *unreadable])))


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The plugins of this process, loaded once."""
    return load()


def find(kind: str, name: str) -> Factory:
    """The factory of a plugin: `find("search_spaces", "mbv3")()`. Raises `PluginError` for an unknown name."""
    factory = registry().find(kind, name).factory
    assert factory is not None  # noqa: S101 - find() returns working offers alone
    return factory


def _entry_points() -> tuple[list[importlib.metadata.EntryPoint], list[Offer]]:
    """Our own first, then by distribution, each once; and an offer for each distribution whose list is unreadable."""
    try:
        entries, unreadable = list(importlib.metadata.entry_points(group=GROUP)), list[Offer]()
    except Exception:  # noqa: BLE001 - one unreadable list of some distribution spoils them all: ask one by one
        entries, unreadable = _readable()
    found = {(_about(e.dist)[0], e.name): e for e in reversed(entries)}
    return [found[key] for key in sorted(found, key=lambda key: (key[0] != OWN, key))], unreadable


def _readable() -> tuple[list[importlib.metadata.EntryPoint], list[Offer]]:
    """The entry points of every distribution that can list them, first on the path first; and those that cannot."""
    entries, broken = list[importlib.metadata.EntryPoint](), list[Offer]()
    for distribution in importlib.metadata.distributions():
        try:
            entries += distribution.entry_points.select(group=GROUP)
        except Exception as error:  # noqa: BLE001 - whatever is in that file, it is that distribution's fault
            reason = f"its entry_points.txt cannot be read: {_reason(error)}"
            broken.append(Offer("plugin", "entry points", *_about(distribution), status="broken", error=reason))
    return entries, broken


def _about(distribution: importlib.metadata.Distribution | None) -> tuple[str, str]:
    """Its name and version, as far as its metadata tell."""
    name = version = None
    with contextlib.suppress(Exception):  # metadata may be missing or unreadable
        name, version = (distribution.name, distribution.version) if distribution else (None, None)
    return name or "unknown", version or "unknown"


def _normal(distribution: str) -> str:
    """`My_Plugin` and `my-plugin` are one distribution."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _load(manager: pluggy.PluginManager, entry: importlib.metadata.EntryPoint) -> list[Offer]:
    """What one entry point offers, or a single offer that says why it cannot be used."""
    distribution, version = _about(entry.dist)
    plugin = Offer("plugin", entry.name, distribution, version)
    if distribution != OWN and not _wanted(distribution, entry.name):
        return [replace(plugin, status="off", error="not in NAT_PLUGINS")]
    try:
        module = entry.load()
        _require_known_hooks(manager, module)
        manager.register(module, name=f"{distribution}:{entry.name}")
        offers = list(_offers(module, plugin))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything on import; a signal passes
        if manager.has_plugin(f"{distribution}:{entry.name}"):
            manager.unregister(name=f"{distribution}:{entry.name}")
        return [replace(plugin, status="broken", error=_reason(error))]
    return offers


def _wanted(distribution: str, name: str) -> bool:
    """`NAT_PLUGINS`: unset loads all; `none` or empty, only our own; else a comma list of distributions or plugins."""
    allowed = os.environ.get("NAT_PLUGINS")
    return allowed is None or bool(
        {_normal(distribution), _normal(name)} & {_normal(a.strip()) for a in allowed.split(",")}
    )


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
            if not _NAME.fullmatch(name):
                raise PluginError(f"{hook}() offers {name!r}: a name is letters, digits and any of _ - @")
            yield replace(plugin, kind=kind, name=name, factory=factory)
    if any(hasattr(module, listener) for listener in LISTENERS):
        yield replace(plugin, kind="listeners")
    if not any(hasattr(module, hook) for hook in (*HOOKS.values(), *LISTENERS)):
        raise PluginError(f"it has none of the hooks {', '.join((*HOOKS.values(), *LISTENERS))}")


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

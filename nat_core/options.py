"""A factory's signature is the schema of its options: names, types, defaults, and the line that describes each."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from nat_core.errors import ConfigError, unknown
from nat_core.hookspecs import Factory


@dataclass(frozen=True)
class Option:
    """One option of a plugin; `default` is `inspect.Parameter.empty` where the user has to set it."""

    name: str
    type: Any
    default: Any
    description: str

    def __str__(self) -> str:
        default = "required" if self.default is inspect.Parameter.empty else f"default {self.default!r}"
        about = f": {self.description}" if self.description else ""
        return f"{self.name} ({type_name(self.type)}, {default}){about}"


def options(factory: Factory) -> dict[str, Option]:
    """The options of a factory, in the order of its signature. Its context (`space`, `data`) is not one."""
    found = {}
    for name, parameter in _parameters(factory).items():
        if parameter.kind in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL} or name in {"space", "data"}:
            continue
        annotation, description = _hint(factory, parameter), ""
        if typing.get_origin(annotation) is Annotated:
            texts = [note for note in annotation.__metadata__ if isinstance(note, str)]
            description = texts[0] if texts else ""
            if len(texts) == len(annotation.__metadata__):
                annotation = annotation.__origin__
        found[name] = Option(name, annotation, parameter.default, description)
    return found


def takes_data(factory: Factory | None) -> bool:
    """Whether an estimator's factory is `(space, data, **options)`; without `data` it is `(space, **options)`."""
    parameters = _parameters(factory) if factory is not None else {}
    several = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    return not parameters or several or "data" in parameters


def checked(part: str, factory: Factory, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given options, converted to their types. Raises `ConfigError` with the whole schema for a wrong one."""
    schema = options(factory)
    for name in given:
        if name not in schema:
            raise ConfigError(f"{unknown(f'option of {part}', name, schema)}\n{describe(part, factory)}")
    missing = [o.name for o in schema.values() if o.default is inspect.Parameter.empty and o.name not in given]
    if missing:
        raise ConfigError(
            f"{part} needs {', '.join(missing)}: set it with -s {part}.{missing[0]}=…\n{describe(part, factory)}"
        )
    return {name: _convert(part, schema[name], value) for name, value in given.items()}


def unit(factory: Factory | None) -> str:
    """The unit of what a factory's product measures, as `-> Annotated[CostModel, "ms"]` says it; empty for none."""
    function: Any = factory
    while isinstance(function, functools.partial):
        function = function.func
    returned = getattr(function, "__annotations__", {}).get("return", inspect.Parameter.empty)
    if function is None or returned is inspect.Parameter.empty:
        return ""
    holder = types.SimpleNamespace(__annotations__={"return": returned})
    with contextlib.suppress(Exception):  # an annotation is an expression: evaluating it may raise anything
        annotation = typing.get_type_hints(holder, globalns=_globals(function), include_extras=True)["return"]
        if typing.get_origin(annotation) is Annotated:
            return next((note for note in annotation.__metadata__ if isinstance(note, str)), "")
    return ""


def at_least(least: float, **options: float) -> None:
    """Raise `ConfigError` for an option that is smaller."""
    for name, value in options.items():
        if not value >= least:
            raise ConfigError(f"{name} must be at least {least:g}, not {value!r}")


def describe(part: str, factory: Factory) -> str:
    """The options of a factory, a line each."""
    lines = [f"  {part}.{option}" for option in options(factory).values()]
    return "\n".join([f"Options of {part}:", *lines]) if lines else f"{part} takes no options."


def type_name(annotation: Any) -> str:
    """A type as a person would write it."""
    if typing.get_origin(annotation) is Annotated:
        return type_name(annotation.__origin__)
    if annotation is type(None):
        return "none"
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return " or ".join(type_name(a) for a in typing.get_args(annotation))
    if typing.get_origin(annotation) is typing.Literal:
        return " | ".join(map(str, typing.get_args(annotation)))
    if typing.get_origin(annotation) is not None:
        inner = ", ".join(type_name(a) for a in typing.get_args(annotation) if a is not Ellipsis)
        return f"{annotation.__origin__.__name__.lower()} of {inner}"
    return getattr(annotation, "__name__", str(annotation))


def _parameters(factory: Factory) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(factory).parameters
    except (TypeError, ValueError):  # something built in that has no signature
        return {}


def _hint(factory: Factory, parameter: inspect.Parameter) -> Any:
    """The type of a parameter; `Any` where it has none, or one whose name exists for type checkers alone."""
    if parameter.annotation is parameter.empty:
        return Any
    holder = types.SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    try:
        return typing.get_type_hints(holder, globalns=_globals(factory), include_extras=True)[parameter.name]
    except Exception:  # noqa: BLE001 - an annotation is an expression: evaluating it may raise anything
        return Any


def _globals(factory: Factory) -> dict[str, Any]:
    """Where the annotations of a function, a class, a callable object or a partial one of these were written."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if not isinstance(factory, type) and not hasattr(factory, "__globals__"):
        factory = getattr(factory, "__func__", type(factory))
    module = sys.modules.get(factory.__module__)
    return {**vars(module)} if module else {}


def _convert(part: str, option: Option, value: Any) -> Any:
    if isinstance(value, str) and value.lower() == "none" and type(None) in typing.get_args(option.type):
        return None  # TOML has no word for it
    adapter = _adapter(option.type)
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        with contextlib.suppress(ValidationError):
            if isinstance(value, str | float | int):  # a list of one is written without brackets
                return adapter.validate_python([value])
        found = "; ".join(dict.fromkeys(e["msg"] for e in error.errors()))
        raise ConfigError(f"{part}.{option.name} is {value!r}: {found}. It is {option}") from None


def _adapter(annotation: Any) -> TypeAdapter[Any] | None:
    """What converts a value to a type; nothing for a type that no word on a command line could give."""
    usual = ConfigDict(coerce_numbers_to_str=True, arbitrary_types_allowed=True, allow_inf_nan=False)
    for settings in (usual, None):
        with contextlib.suppress(PydanticUserError):  # a model brings its own settings
            return TypeAdapter(annotation, config=settings)
    return None

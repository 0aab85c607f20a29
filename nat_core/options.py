"""A factory's signature is the schema of its options: names, types, defaults, and the line that describes each."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

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
    hints = _hints(factory)
    found = {}
    for name, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind in {parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL} or name in {"space", "data"}:
            continue
        annotation, description = hints.get(name, Any), ""
        if typing.get_origin(annotation) is Annotated:
            annotation, description = annotation.__origin__, str(annotation.__metadata__[0])
        found[name] = Option(name, annotation, parameter.default, description)
    return found


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


def describe(part: str, factory: Factory) -> str:
    """The options of a factory, a line each."""
    lines = [f"  {part}.{option}" for option in options(factory).values()]
    return "\n".join([f"Options of {part}:", *lines]) if lines else f"{part} takes no options."


def type_name(annotation: Any) -> str:
    """A type as a person would write it."""
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


def _hints(factory: Factory) -> dict[str, Any]:
    try:
        return typing.get_type_hints(factory, include_extras=True)
    except (NameError, TypeError):  # names that exist for type checkers alone: take what can be had
        return {
            n: p.annotation
            for n, p in inspect.signature(factory).parameters.items()
            if not isinstance(p.annotation, str)
        }


def _convert(part: str, option: Option, value: Any) -> Any:
    try:
        return TypeAdapter(option.type).validate_python(value)
    except ValidationError as error:
        found = "; ".join(dict.fromkeys(e["msg"] for e in error.errors()))
        raise ConfigError(f"{part}.{option.name} is {value!r}: {found}. It is {option}") from None

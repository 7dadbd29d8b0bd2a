"""A command line made from a dataclass of settings: one option for each field, with its help, default and choices."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar, get_type_hints

S = TypeVar("S")


def parse(kind: type[S], arguments: Sequence[str], *, prog: str, description: str) -> S:
    """Command line -> settings of the dataclass `kind`.

    A field's metadata holds its `help`; `choices` if only some values are allowed; `repeat`, the name of a value, if the option may
    be given several times. Exits with status 2 and one line that names the option if a value is not allowed.
    """
    # One line of usage and whole names only: an error must not drown in a page of options, nor a misspelt one pass for another.
    parser = argparse.ArgumentParser(prog=prog, usage="%(prog)s [options], see --help", allow_abbrev=False, description=description)
    types = get_type_hints(kind)
    for each in dataclasses.fields(kind):  # type: ignore[arg-type]  # a dataclass, says the docstring
        _add_option(parser, each, types[each.name])
    options = parser.parse_args(arguments)
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in vars(options).items()})
    except ValueError as error:
        parser.error(str(error))


def arguments(settings: Any) -> list[str]:
    """The arguments that `parse` makes these settings of; those that are the default are left out."""
    words: list[str] = []
    for each in dataclasses.fields(settings):
        value, name = getattr(settings, each.name), "--" + each.name.replace("_", "-")
        if value == each.default:
            continue
        if isinstance(value, bool):
            words.append(name if value else f"--no-{name.removeprefix('--')}")
        elif each.metadata.get("repeat"):
            words += [f"{name}={one}" for one in value]
        else:
            words.append(f"{name}={','.join(value) if isinstance(value, tuple) else value}")
    return words


def _add_option(parser: argparse.ArgumentParser, option: dataclasses.Field[Any], kind: Any) -> None:
    name = "--" + option.name.replace("_", "-")
    help_text = f"{option.metadata['help']} (default: {_shown(option.default)})".replace("%", "%%")
    if kind is bool:
        parser.add_argument(name, action=argparse.BooleanOptionalAction, default=option.default, help=help_text)
    elif option.metadata.get("repeat"):
        parser.add_argument(name, action="append", default=[], metavar=option.metadata["repeat"], help=help_text)
    elif kind == tuple[str, ...]:
        split = lambda text: tuple(part for part in text.split(",") if part)  # noqa: E731
        parser.add_argument(name, type=split, default=option.default, metavar="A,B", help=help_text)
    else:
        choices = option.metadata.get("choices") or (list(kind) if hasattr(kind, "__members__") else None)
        parser.add_argument(name, type=kind, default=option.default, choices=choices, help=help_text)


def _shown(value: Any) -> str:
    return (",".join(value) or "none") if isinstance(value, tuple) else str(value) or "none"

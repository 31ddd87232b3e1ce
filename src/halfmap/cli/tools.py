"""Commands that are no jobs: each a function whose signature its arguments and flags are read from.

Owns what a tool is. A tool imports what it needs when it runs, so that a list of jobs is quick.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cyclopts import App, Parameter

from halfmap.cli.flags import flag


@dataclass(frozen=True)
class Argument:
    """One argument of a tool: what the user types, its default, its help."""

    written: str
    default: object
    help: str
    is_flag: bool


@dataclass(frozen=True)
class Tool:
    """A command ``halfmap NAME``; the first line of the docstring of ``function`` says what it does."""

    name: str
    function: Callable[..., int]

    @property
    def summary(self) -> str:
        return inspect.getdoc(self.function).splitlines()[0]

    def arguments(self) -> Iterator[Argument]:
        """All arguments in the order of the signature. Those in capitals go by their place."""
        kinds = typing.get_type_hints(self.function, include_extras=True)
        for name, parameter in inspect.signature(self.function).parameters.items():
            told = next(extra for extra in typing.get_args(kinds[name])[1:] if isinstance(extra, Parameter))
            is_flag = parameter.kind is inspect.Parameter.KEYWORD_ONLY
            several = parameter.kind is inspect.Parameter.VAR_POSITIONAL
            default = None if several else parameter.default
            yield Argument(_written(name, parameter, told), default, told.help or "", is_flag)


def _written(name: str, parameter: inspect.Parameter, told: Parameter) -> str:
    if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
        return told.name[0] if told.name else flag(name)
    word = name.upper()
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return f"{word} ..."
    return word if parameter.default is inspect.Parameter.empty else f"[{word}]"


def add(app: App, tools: tuple[Tool, ...]) -> None:
    """Give an application these commands."""
    plain = Parameter(name_transform=lambda name: flag(name).lstrip("-"))  # the dashes of arguments come by themselves
    for tool in tools:
        command = App(name=tool.name, help=tool.summary, default_parameter=plain)
        command.default(tool.function)
        app.command(command)

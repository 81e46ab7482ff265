"""Command-line options as the fields of a frozen dataclass.

A command states its options once, as a dataclass whose fields carry help texts; absl flags, the help
page and ``run.flags`` are made from it. Nothing is defined at import, so any number of commands can live
in one process.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from absl import flags

from nasjax.types import InputError

Config = TypeVar("Config")
_METADATA = "nasjax.option"
_HELP_FLAGS = ("h", "help", "helpshort", "helpfull")
_NEEDED = {int: "a whole number, as in 3,", float: "a number, as in 0.5,", bool: "true or false"}
_LONGEST = 100  # characters of a flag's name


@dataclasses.dataclass(frozen=True)
class _Option:
    """What a field's metadata holds; see ``option``."""

    help: str
    section: str
    kind: type
    choices: tuple[str, ...]
    minimum: int | float | None
    required: bool


def option(
    default: Any,
    help: str,
    *,
    section: str,
    kind: type | None = None,
    choices: Sequence[str] = (),
    minimum: int | float | None = None,
    required: bool = False,
) -> Any:
    """A dataclass field that is also a flag.

    Args:
      default: value without the flag; None stands for absent.
      help: what the option does, for a person who has never used it.
      section: title under which the help page lists it.
      kind: str, int, float or bool; needed only where the default is None.
      choices: allowed values of a text option.
      minimum: smallest allowed number.
      required: whether the command refuses to start without it.

    Returns:
      The field.
    """
    kind = kind or (str if default is None else type(default))
    if kind not in (str, int, float, bool):
        raise TypeError(f"an option cannot be a {kind.__name__}")
    described = _Option(help, section, kind, tuple(choices), minimum, required)
    return dataclasses.field(default=default, metadata={_METADATA: described})


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Says which names exist, the likely ones first.

    Args:
      name: what the user wrote.
      allowed: what exists.

    Returns:
      "Did you mean a or b? Allowed: a, b, c." with the question left out when nothing is close.
    """
    names = list(allowed)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    question = f"Did you mean {' or '.join(close)}? " if close else ""
    return f"{question}Allowed: {', '.join(names)}."


def listed(config_type: Any) -> list[tuple[dataclasses.Field[Any], Any]]:
    """The options of a configuration, a command's own before the shared ones.

    Args:
      config_type: a dataclass with ``option`` fields.

    Returns:
      Pairs of a field and what ``option`` says of it: help, section, kind, choices, minimum, required.
    """
    found = [(f, f.metadata[_METADATA]) for f in dataclasses.fields(config_type) if _METADATA in f.metadata]
    own = set(config_type.__dict__.get("__annotations__", {}))
    return sorted(found, key=lambda pair: pair[0].name not in own)


def make_flags(config_type: type) -> flags.FlagValues:
    """Defines one absl flag for each option of a configuration.

    Args:
      config_type: a dataclass with ``option`` fields.

    Returns:
      Flags of their own: not those of the process.
    """
    values = flags.FlagValues()
    define: dict[type, Any] = {str: flags.DEFINE_string, int: flags.DEFINE_integer, float: flags.DEFINE_float,
                               bool: flags.DEFINE_bool}
    for field, described in listed(config_type):
        define[described.kind](field.name, field.default, described.help, flag_values=values)
    for name in _HELP_FLAGS:
        flags.DEFINE_bool(name, False, "Shows this help.", flag_values=values)
    return values


def parse(config_type: type[Config], argv: Sequence[str]) -> tuple[Config | None, str]:
    """Reads a command line.

    Args:
      config_type: a dataclass with ``option`` fields.
      argv: the words after the program's name; ``--flagfile=FILE`` reads more from a file.

    Returns:
      The configuration, or None where help was asked for; and the flags that differ from their defaults,
      one a line, as ``--flagfile`` reads them.

    Raises:
      InputError: unknown flag, a value that is none of those allowed, a stray word, a required flag missing.
    """
    values = make_flags(config_type)
    names = [field.name for field, _ in listed(config_type)]
    for word in argv:
        if word.startswith("-") and len(word.partition("=")[0]) > _LONGEST:  # absl would compare it at any length
            raise InputError(f"Unknown flag {word[:_LONGEST]}... --helpshort lists all flags.")
    try:
        rest = values(["", *argv])[1:]
    except flags.UnrecognizedFlagError as error:
        name = error.flagname
        close = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
        question = f" Did you mean {' or '.join(f'--{n}' for n in close)}?" if close else ""
        raise InputError(f"Unknown flag --{name}.{question} --helpshort lists all flags.") from None
    except (flags.CantOpenFlagFileError, UnicodeDecodeError):
        named = next((word.partition("=")[2] for word in argv if word.lstrip("-").startswith("flagfile=")), "")
        raise InputError(f"--flagfile={named}: it, or a file that it names, is no text file that can be read. Name a"
                         " run.flags of an earlier run, or write one flag a line.") from None
    except flags.IllegalFlagValueError as error:
        found = re.match(r"flag --(\w+)=(.*?): ", str(error), re.DOTALL)
        kinds = {field.name: described.kind for field, described in listed(config_type)}
        needed = _NEEDED.get(kinds.get(found[1], bool) if found else bool)
        if not found or needed is None:
            raise InputError(f"{str(error)[:1].upper()}{str(error)[1:]}. --helpshort explains the flags.") from None
        raise InputError(f"--{found[1]}={found[2]}: {needed} is needed. --helpshort explains the flag.") from None
    except flags.Error as error:
        raise InputError(f"{str(error)[:1].upper()}{str(error)[1:]}. --helpshort explains the flags.") from None
    except (OSError, ValueError, RecursionError) as error:  # bytes that are no text, or a name that no file can have
        raise InputError(f"--flagfile cannot be read ({error}). Name the run.flags of a run.") from None
    if any(values[name].value for name in _HELP_FLAGS):
        return None, ""
    if rest:
        raise InputError(f"{rest[0]!r} is no flag; write --name=value. --helpshort lists all flags.")
    for field, described in listed(config_type):
        _check(field.name, values[field.name].value, described)
    given = [flag.serialize() for flag in (values[name] for name in names) if not flag.using_default_value]
    return config_type(**{name: values[name].value for name in names}), "".join(f"{line}\n" for line in given)


def help_text(config_type: type, *, program: str, about: str, width: int | None = None) -> str:
    """The help page of a command.

    Args:
      config_type: a dataclass with ``option`` fields.
      program: how the command is called.
      about: what it does, with examples; shown first.
      width: columns; that of the terminal by default, at most 100.

    Returns:
      The page.
    """
    width = min(100, width or shutil.get_terminal_size().columns)
    sections: dict[str, list[str]] = {}
    for field, described in listed(config_type):
        lines = sections.setdefault(described.section, [])
        facts = [f"one of {', '.join(described.choices)}"] if described.choices else []
        if described.required:
            facts.append("required")
        elif field.default not in (None, ""):
            facts.append(f"default {str(field.default).lower() if described.kind is bool else field.default}")
        text = described.help + (f" ({'; '.join(facts)})" if facts else "")
        value = "" if described.kind is bool else {str: "=TEXT", int: "=N", float: "=X"}[described.kind]
        name = f"  --{'[no]' if described.kind is bool else ''}{field.name}{value}"
        indent = " " * 22
        body = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
        if len(name) < len(indent) - 1:
            body[0] = name + body[0][len(name) :]
        else:
            lines.append(name)
        lines.extend(body)
    pages = [f"{title}:\n" + "\n".join(lines) for title, lines in sections.items()]
    return f"{about.strip()}\n\nUsage: {program} [--flag=value ...]\n\n" + "\n\n".join(pages) + (
        "\n\n--flagfile=FILE reads flags from a file; the run.flags of a run repeats it.\n"
    )


def _check(name: str, value: Any, described: _Option) -> None:
    if value in (None, ""):
        if described.required:
            raise InputError(f"--{name} is missing: {described.help}")
        return
    if described.choices and value not in described.choices:
        raise InputError(f"--{name}={value}: {nearest(value, described.choices)}")
    if described.minimum is not None and not value >= described.minimum:
        raise InputError(f"--{name}={value}: must be at least {described.minimum}.")

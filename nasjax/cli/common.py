"""What all commands share: run options, error messages, the compilation cache, the record of a run."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import pathlib
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeVar, cast

import jax
from rich.console import Console

from nasjax import parallel, records
from nasjax.cli import interrupt, plugins
from nasjax.cli.options import help_text, nearest, option, parse
from nasjax.cli.program import again, command, program, spelled
from nasjax.cli.progress import Sparse, duration, latest, progress, shown, speed
from nasjax.locking import FILENAME, Lock
from nasjax.types import InputError

__all__ = [
    "NOT_COMPARED",
    "CommandConfig",
    "JobConfig",
    "MeasureConfig",
    "PluginsConfig",
    "ProcessesConfig",
    "RunConfig",
    "Sparse",
    "check_writable",
    "compared",
    "duration",
    "enable_compile_cache",
    "exclusive",
    "nearest",
    "note",
    "option",
    "program",
    "progress",
    "run",
    "speed",
    "stdout",
    "watched",
    "write_run_flags",
]

RUN_FLAGS = "run.flags"
PROCESS_FLAGS = ("coordinator_address", "num_processes", "process_id")
NOT_COMPARED = ("engine", "devices", "chunk", "batching")  # how a job runs; they change no score
_SECTION, _PROCESSES = "How to run", "Several processes, on one machine or many"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_LINGER = 3 * parallel.LOOK  # seconds in which the other processes learn why process 0 ends

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CommandConfig:
    """Base of every command's configuration; it has no options of its own.

    Attributes:
      run_flags: the flags that were given, one a line, as ``--flagfile`` reads them; set by ``run``.
    """

    run_flags: str = dataclasses.field(default="", compare=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureConfig(CommandConfig):
    """Options of every command that computes."""

    workdir: str = option(
        None, "Directory of this run: results, figures and all that is needed to go on after a stop. The same command"
        " goes on where it was.", section="Output", required=True,
    )
    seed: int = option(0, "Seed of everything random; the same seed gives the same numbers.", section=_SECTION,
                       minimum=0)
    precision: str = option("highest", "Precision of convolutions and products; fast is TF32 or bfloat16 on"
                            " accelerators and the same on a CPU.", section=_SECTION, choices=("highest", "fast"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class JobConfig(MeasureConfig):
    """Options of every command that uses several devices."""

    devices: int | None = option(None, "How many devices to use; all by default.", section=_SECTION, kind=int,
                                 minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(JobConfig):
    """Options of every command that works on many architectures."""

    engine: str = option("auto", "How devices are used: auto is pmap on several devices and jit on one; host sends"
                         " blocks to devices in turn. No engine changes a score.", section=_SECTION,
                         choices=("auto", "pmap", "shard_map", "jit", "host"))
    chunk: int | None = option(None, "Architectures in one block on a device: results are saved after each. Chosen by"
                               " device by default.", section=_SECTION, kind=int, minimum=1)
    batching: str = option("auto", "Whether the architectures of a block run one after another (map) or together"
                           " (vmap); auto chooses by space and device.", section=_SECTION,
                           choices=("auto", "map", "vmap"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessesConfig(CommandConfig):
    """Options of commands that several processes run together, named before `RunConfig` or `JobConfig`."""

    coordinator_address: str | None = option(
        None, "host:port of process 0, the same for all processes. Under SLURM, GKE, Cloud TPU and Open MPI the three"
        " are found without flags.", section=_PROCESSES,
    )
    num_processes: int | None = option(None, "How many processes work together; 1 lets this one work alone in any"
                                       " case.", section=_PROCESSES, kind=int, minimum=1)
    process_id: int | None = option(None, "Number of this process, from 0. Process 0 writes the results.",
                                    section=_PROCESSES, kind=int, minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PluginsConfig(CommandConfig):
    """Options of commands that know spaces and proxies by name."""

    plugins: str = option("", "Modules of your own, separated by commas, which register spaces or proxies; imported"
                          " first, also from the directory where the command is called.", section=_SECTION)


def run(
    main: Callable[[Config], None],
    config_type: type[Config],
    *,
    argv: Sequence[str] | None = None,
    kept: str | Callable[[Config], str] = "",
) -> None:
    """Runs a command and ends the process: 0 done, 1 failed, 2 bad input, 130 and 143 stopped by Ctrl-C and SIGTERM.

    Bad input (``InputError``) prints its message alone; anything else is a bug and keeps its traceback. A command of
    several processes (``ProcessesConfig``) joins them first, and one that ends early tells the others.

    Args:
      main: takes the configuration.
      config_type: a dataclass of ``option`` fields, with a field ``run_flags`` as in ``CommandConfig``; the
        docstring of its module heads the help page.
      argv: the words after the program's name; those of the process by default.
      kept: what a stopped run leaves behind, such as "every finished epoch"; or a function that tells it from the
        configuration. Nothing by default.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    begun: list[Any] = []  # the configuration, once there is one
    with interrupt.listening(lambda: _farewell(words, begun, kept), restore=argv is not None) as listener:
        try:
            config, given = parse(config_type, words)
            if config is None:
                about = spelled(sys.modules[config_type.__module__].__doc__ or "")
                print(spelled(help_text(config_type, program=program(), about=about)), end="")
                listener.finished()
                sys.exit(0)
            if isinstance(config, ProcessesConfig):
                flags = {name: getattr(config, name) for name in PROCESS_FLAGS}
                if parallel.initialize(**flags):
                    listener.install()  # JAX takes SIGTERM for itself
                # Where a run takes place is no part of it.
                own = tuple(f"--{name}=" for name in PROCESS_FLAGS)
                given = "".join(line for line in given.splitlines(keepends=True) if not line.startswith(own))
            if isinstance(config, PluginsConfig):
                plugins.load(config.plugins)
            ready = cast(Any, dataclasses.replace(cast(Any, config), run_flags=given))
            begun.append(ready)
            main(ready)
            sys.stdout.flush()
            listener.finished()
        except KeyboardInterrupt:
            _stopped(listener, words, begun, kept)
        except InputError as error:
            if listener.number is not None:  # an interrupt that became one, as where a file is cut short
                _stopped(listener, words, begun, kept)
            _complain(str(error))
            listener.finished()
            _leave(2, str(error))
        except BrokenPipeError:  # the reader of our output, such as head, is gone
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            listener.finished()
            _leave(1, "the reader of its output is gone")
        except Exception as error:
            if listener.number is not None:  # a library has wrapped the interrupt
                _stopped(listener, words, begun, kept)
            listener.finished()
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                where = f" ({error.filename})" if error.filename else ""
                _complain(f"{error.strerror}{where}. Make room, or name a --workdir that you may write to, and run the"
                          " same command again: finished results are kept.")
                _leave(2, str(error.strerror))
            if not isinstance(error, jax.errors.JaxRuntimeError) or "RESOURCE_EXHAUSTED" not in str(error):
                _fail()
                raise
            _complain("Out of memory on the device. Use a smaller --chunk, --batching=map or a smaller --batch_size; "
                      "finished results are kept.")
            _leave(1, "out of memory on the device")
        sys.exit(0)


def _stopped(listener: interrupt.Listener, words: Sequence[str], begun: Sequence[Any], kept: Any) -> NoReturn:
    """Ends a process that was told to stop."""
    _complain(_words_of_farewell(words, begun, kept))
    listener.finished()
    _leave(listener.code, "stopped by the user")


def _farewell(words: Sequence[str], begun: Sequence[Any], kept: Any) -> str:
    """The last words of a process that ends at once; the others are told, if that is quick."""
    if parallel.process_count() > 1:
        telling = threading.Thread(target=parallel.give_up, args=("stopped by the user",), daemon=True)
        telling.start()
        telling.join(1.0)
    return spelled(_words_of_farewell(words, begun, kept))


def _words_of_farewell(words: Sequence[str], begun: Sequence[Any], kept: Any) -> str:
    """What is saved, and the command that goes on."""
    config = begun[0] if begun else None
    workdir = getattr(config, "workdir", None)
    kept = kept(config) if callable(kept) and config is not None else kept
    flags = pathlib.Path(workdir) / RUN_FLAGS if workdir and parallel.process_count() == 1 else None
    repeat = again(words, config.run_flags if config is not None else "", flags)
    if not kept and config is not None:
        return f"Stopped. Results are written at the end, so this run leaves none. Run it again by\n  {repeat}"
    if workdir is None or not pathlib.Path(workdir).is_dir():
        return f"Stopped while starting; nothing was written. Run it again by\n  {repeat}"
    if latest() is None:
        return f"Stopped while starting; what {workdir} holds is as it was. Go on by\n  {repeat}"
    return f"Stopped at {latest()}. Saved in {workdir}: {kept}. Go on by\n  {repeat}"


def _fail() -> None:
    """Ends one of several processes after a bug, with its traceback; a lone one raises as usual."""
    if parallel.process_count() > 1:
        traceback.print_exc()
        _leave(1, f"a bug: {sys.exception()!r}")


def _leave(code: int, reason: str) -> NoReturn:
    """Ends the process; of several, without waiting for the others, which are told."""
    if parallel.process_count() == 1:
        sys.exit(code)
    parallel.give_up(reason)
    if parallel.is_main():  # what connects the processes ends with it
        time.sleep(_LINGER)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # JAX's own end would wait for all to end well


def stdout() -> Console:
    """The console for results; wide where nobody watches, so that files and pipes get whole lines."""
    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=200)


def note(text: str) -> None:
    """Prints a remark on standard error, so that results can be piped; of several processes, in the first."""
    if not parallel.is_main():
        return
    console = shown() or Console(stderr=True, emoji=False)
    terminal = console.is_terminal
    console.print(spelled(text), style="dim" if terminal else None, markup=False, highlight=False,
                  soft_wrap=not terminal)  # fmt: skip


def watched() -> bool:
    """Whether remarks and progress go to a terminal, not to a log."""
    return Console(stderr=True).is_terminal


def check_writable(workdir: pathlib.Path) -> None:
    """Makes a working directory, before anything is computed.

    Args:
      workdir: the directory.

    Raises:
      InputError: it cannot be made, or not be written to.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        if not os.access(workdir, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise InputError(f"Cannot write {workdir}: {error.strerror}. Use a --workdir that you may write to.") from None


def enable_compile_cache() -> pathlib.Path | None:
    """Keeps compiled programs on disk: a second run starts in seconds.

    The directory is $NASJAX_CACHE, by default ~/.cache/nasjax/xla; NASJAX_CACHE=off turns it off. A directory
    that JAX has been told about already is left alone.

    Returns:
      The directory, or None without a cache.
    """
    known = getattr(jax.config, "jax_compilation_cache_dir", None)
    if known:
        return pathlib.Path(known)
    wanted = os.environ.get("NASJAX_CACHE") or "~/.cache/nasjax/xla"
    if wanted.lower() in ("off", "0", "none"):
        return None
    directory = pathlib.Path(wanted).expanduser()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        note(f"Compiled programs are not kept: cannot make {directory} ({error.strerror}). Set NASJAX_CACHE to a"
             " directory that you may write to.")
        return None
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return directory


def write_run_flags(workdir: pathlib.Path, config: CommandConfig) -> pathlib.Path:
    """Writes the flags of a run so that ``--flagfile`` repeats it; of several processes, in the first.

    Args:
      workdir: directory of the run.
      config: its configuration.

    Returns:
      The file.
    """
    path = workdir / RUN_FLAGS
    if parallel.is_main():
        with records.replaced(path) as file:
            file.write(f"# Repeats this run: {command(config)} --flagfile={path}\n{config.run_flags}")
    return path


@contextlib.contextmanager
def exclusive(workdir: pathlib.Path, *, name: str = FILENAME) -> Iterator[None]:
    """Lets one run at a time use a working directory; of several processes, the first takes it for all.

    A run that is killed leaves it free.

    Args:
      workdir: the directory, made when absent.
      name: of the file that is locked; runs that may go on beside each other lock different ones.

    Yields:
      Nothing.

    Raises:
      InputError: another run uses it, or it cannot be written.
    """
    if not parallel.is_main():
        yield
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = Lock.take(workdir, what="The working directory", name=name)
    except OSError as error:
        raise InputError(f"Cannot use {workdir} as a working directory: {error.strerror}. Make room, or name a"
                         " --workdir that you may write to.") from None
    try:
        yield
    finally:
        lock.release()


def compared(config: CommandConfig) -> dict[str, Any]:
    """The fields of a configuration that ``config.json`` holds: all but where it takes place."""
    fields = dataclasses.asdict(config)
    left_out = ("workdir", "run_flags", "plugins", *PROCESS_FLAGS)
    return {name: value for name, value in fields.items() if name not in left_out}


def _complain(message: str) -> None:
    console = Console(stderr=True, highlight=False, emoji=False)
    message = spelled(message).replace("; do: did you mean", "; did you mean")  # "do" before what is no order
    console.print(message, style="red" if console.is_terminal else None, markup=False, soft_wrap=True)

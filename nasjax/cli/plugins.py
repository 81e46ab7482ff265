"""Modules of the user's own that register spaces and proxies."""

from __future__ import annotations

import importlib
import os
import sys

from nasjax.types import InputError


def load(names: str) -> None:
    """Imports the modules that register spaces and proxies of the user's.

    Args:
      names: separated by commas; empty for none.

    Raises:
      InputError: a module is not found, or fails.
    """
    for name in filter(None, (part.strip() for part in names.split(","))):
        here = os.getcwd()
        sys.path.insert(0, here)  # a console script does not look where it is called
        try:
            importlib.import_module(name)
        except InputError:
            raise
        except Exception as error:
            raise InputError(f"--plugins={names}: importing {name!r} failed ({type(error).__name__}: {error}). Name a"
                             f" module in {here} or one that is installed, without .py.") from error
        finally:
            sys.path.remove(here)

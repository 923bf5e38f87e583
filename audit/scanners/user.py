"""Scanners that the user brings: ``--scanner FILE.py``."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import get_args

from audit.scanners.base import Beside, Scanner, ScannerError, registered

_EXAMPLE = (
    "The file must decorate a function with @explanation_scanner('my.name') or @turn_scanner('my.name') from audit.scanners.base; "
    "the function takes passages and returns one Judgement for each."
)


def load_user_scanner(path: str | Path) -> list[Scanner]:
    """Execute the user's own Python file, with the user's rights, and return the scanners that it registers.

    Raises ``ScannerError`` if the file is absent, is not Python, fails while it runs, takes a name in use, or registers nothing.
    """
    file = Path(path).expanduser().resolve()
    if not file.is_file() or file.suffix != ".py":
        raise ScannerError(f"The scanner file '{path}' is not there, or is no .py file.", "Check the path after --scanner.")
    registered()  # built-in names come first, so that a user's file cannot take one
    # The hash keeps two files of the same name in different folders apart.
    name = f"nla_audit_user_scanner_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ScannerError(f"'{path}' cannot be read as a Python module.", "Check the file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ScannerError:
        del sys.modules[name]
        raise
    except Exception as error:  # the user's own code may raise anything
        del sys.modules[name]
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        where = f" at line {lines[-1]}" if lines else ""
        raise ScannerError(f"The scanner file '{path}' fails{where}: {type(error).__name__}: {error}", "Correct the file.") from error
    every = registered(graded=True, beside=get_args(Beside))
    found = [scanner for scanner in every if getattr(scanner.core, "__module__", "") == name]
    if not found:
        raise ScannerError(f"The scanner file '{path}' registers no scanner.", _EXAMPLE)
    return found

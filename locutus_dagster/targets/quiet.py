"""Keep the libraries of cloud stores from writing tokens and addresses into logs.

At DEBUG botocore logs the headers of each request, among them the session token, and what a login
was answered; google-auth logs what it asks for tokens, and urllib3 the addresses of uploads, which
whoever has them may write to. Nothing of theirs below WARNING may pass, whatever level somebody
sets on those loggers.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["hush_loggers_of"]


def _only_warnings(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


@cache
def hush_loggers_of(*packages: str) -> None:
    """Drop records below WARNING of every module of these packages in this process; idempotent.

    A filter and not a level: levels are set by whoever configures logging last. One for each
    module, because a logger's filters are not asked about what its children say. Nothing is
    imported for it, and a package that is not installed has nothing to say.
    """
    for package in packages:
        for name in (package, *_modules(package)):
            logging.getLogger(name).addFilter(_only_warnings)


def _modules(package: str) -> Iterator[str]:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        return
    for place in (spec and spec.submodule_search_locations) or ():
        yield from _modules_in(Path(place), package)


def _modules_in(folder: Path, package: str) -> Iterator[str]:
    for entry in folder.iterdir():
        name = f"{package}.{entry.name.partition('.')[0]}"
        if entry.stem != "__init__" and entry.suffix in (".py", ".so", ".pyd"):
            yield name
        elif (entry / "__init__.py").exists():  # botocore's descriptions of services are thousands
            yield name
            yield from _modules_in(entry, name)

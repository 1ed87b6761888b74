"""Keep the HTTP libraries from writing addresses into logs.

httpx logs every request with its URL at INFO, and httpcore logs headers at DEBUG. URLs and file
names of Orthanc carry identifiers of resources, so nothing below WARNING may pass, whatever level
somebody sets on those loggers.
"""

from __future__ import annotations

import logging

__all__ = ["hush_http_loggers"]

_HTTP_LOGGERS = (
    "httpx",
    "httpcore",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)


def _only_warnings(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def hush_http_loggers() -> None:
    """Drop records below WARNING of httpx and httpcore in this process; idempotent.

    A filter and not a level: levels are set by whoever configures logging last.
    """
    for name in _HTTP_LOGGERS:
        logging.getLogger(name).addFilter(_only_warnings)

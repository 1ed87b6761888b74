"""In which store a delivery lies, where its address does not say it.

What belongs here: what the ledger keeps of a store, and refusing to look in another one. What does
not: the addresses in a store (`s3.py`, `gcs.py`).

`s3://bucket/key` may be said of any store that speaks the protocol. A target that leads elsewhere
than when something was delivered finds nothing there, which must not be taken for "it is gone".
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from locutus_dagster.targets.base import Target, TargetError

__all__ = ["address_of", "refuse_elsewhere", "store_of"]

_PORTS = {"http": 80, "https": 443}
# One store under many names: by region, by protocol, through a private network. Not what others
# run on Amazon's machines.
_CLOUDS = (
    (
        re.compile(r"(?:.+\.)?s3[.-](?!.*(?:compute|elb|gov)).*amazonaws\.com"),
        "s3.amazonaws.com",
    ),
    (re.compile(r".+\.googleapis\.com"), "storage.googleapis.com"),
)


def address_of(url: str) -> str:
    """Host, port and path of a store; no password, and one name for each of the large clouds."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "?"
    for names, name in _CLOUDS:
        if names.fullmatch(host):
            return name
    shown = f"[{host}]" if ":" in host else host
    if port is not None and port != _PORTS.get(parts.scheme):
        shown = f"{shown}:{port}"
    return shown + parts.path.rstrip("/")


def store_of(target: Target) -> str:
    """The store that a target leads to, empty where its URIs say it all.

    The ledger keeps it with each delivery, and with each one that is begun.

    Raises:
        TargetError: it cannot be said before the target's settings are mended.
    """
    told = getattr(target, "store", None)
    return str(told()) if callable(told) else ""


def refuse_elsewhere(target: Target, store: str) -> None:
    """See that what was delivered to `store` can be looked for on this target.

    Raises:
        TargetError: the target leads to another store now.
    """
    if store and (here := store_of(target)) != store:
        raise TargetError(
            f"That delivery lies in {store}, and the target leads to {here or target.place}.",
            "It lies somewhere else than this workspace's target is now. Set the target to where "
            "it was delivered, and run again.",
        )

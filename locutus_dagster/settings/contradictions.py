"""What does not go together, although each value would be legal by itself.

What belongs here: places that must not overlap, and keys that need or exclude each other. What does
not: what a single group can judge by itself (validators of the models).

Where deliveries of one target can come to lie is told by its store and by what all of its keys
begin with: the root or the bucket, and the key template up to the first placeholder that is not
`{top}`. Two targets collide when one of these beginnings is a beginning of the other. Besides that
no share may lie inside another one's root, because removing a delivery removes the folders that
become empty by it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

from locutus_dagster.settings.effective import reference_paths
from locutus_dagster.settings.model import Settings
from locutus_dagster.settings.origins import Path
from locutus_dagster.settings.sources import FolderSourceSettings
from locutus_dagster.settings.targets import (
    GcsTargetSettings,
    S3TargetSettings,
    ShareTargetSettings,
    TargetSettings,
)
from locutus_dagster.settings.workspace import WorkspaceSettings

__all__ = ["Contradiction", "contradictions", "lexically", "server_of"]

#: What needs not be said in an address.
_PORTS = {"http": 80, "https": 443}
_SQLITE = re.compile(r"sqlite(?:\+\w+)?:///([^?]+)")


@dataclass(frozen=True)
class Contradiction:
    """Keys that cannot stand beside each other.

    Attributes:
        keys: the first one is where the fault is shown; the second is named with its place.
        message: what is wrong; `{other}` stands for the second key.
    """

    keys: tuple[Path, ...]
    message: str


@dataclass(frozen=True)
class _Folder:
    key: Path
    path: FilePath


@dataclass(frozen=True)
class _Area:
    """Where the deliveries of a target can come to lie."""

    key: Path
    store: str
    beginning: str
    root: FilePath | None = None


def lexically(path: FilePath) -> FilePath:
    """A path without `~` and `..`; asks no file system, so that a dead share stops nothing."""
    return FilePath(os.path.normpath(path.expanduser().absolute()))


def _leads_nowhere(path: FilePath) -> bool:
    """Whether a path begins with the home folder of somebody who is not known here."""
    try:
        path.expanduser()
    except RuntimeError:
        return True
    return False


def contradictions(
    settings: Settings, place: Callable[[FilePath], FilePath] = lexically
) -> list[Contradiction]:
    """Everything that does not go together.

    Args:
        place: where a path leads; `lexically`, or with links followed.
    """
    found = [*_folders(settings, place), *_stores(settings, place), *_connections(settings)]
    for name, workspace in settings.workspaces.items():
        found += _of_workspace(("workspaces", name), workspace)
    return found


def _of_workspace(key: Path, workspace: WorkspaceSettings) -> Iterator[Contradiction]:
    yield from _of_login((*key, "source"), workspace.source)
    if workspace.qc.orthanc is not None:
        yield from _of_login((*key, "qc", "orthanc"), workspace.qc.orthanc)
    for name, target in workspace.targets.items():
        yield from _of_target((*key, "targets", name), target)
    if workspace.watch is not None and workspace.source.kind in ("folder", "dicomweb"):
        yield Contradiction(
            ((*key, "watch"), (*key, "source")),
            "only an Orthanc keeps a log of what arrives, and {other} is none: use a 'schedule'",
        )


# -- folders -------------------------------------------------------------------------------------


def _folders(settings: Settings, place: Callable[[FilePath], FilePath]) -> Iterator[Contradiction]:
    scratch = _Folder(("scratch",), place(settings.scratch_dir))
    private = _Folder(("home",), place(settings.private_dir))
    sources, shares = [], []
    for name, workspace in settings.workspaces.items():
        key: Path = ("workspaces", name)
        if isinstance(workspace.source, FolderSourceSettings):
            sources.append(_Folder((*key, "source", "path"), place(workspace.source.path)))
        shares += [
            _Folder((*key, "targets", of, "path"), place(target.path))
            for of, target in workspace.targets.items()
            if isinstance(target, ShareTargetSettings)
        ]
    if _inside(private.path, scratch.path):
        yield Contradiction(
            (scratch.key, private.key),
            "the private folder of {other} lies in it, and what lies in the scratch space is swept",
        )
    for share in shares:
        if _overlap(share.path, scratch.path):
            yield Contradiction(
                (share.key, scratch.key),
                "overlaps the scratch space of {other}: identified files would be delivered",
            )
        if _overlap(share.path, private.path):
            yield Contradiction(
                (share.key, private.key),
                "overlaps the private folder of {other}: keys and identifiers would be delivered",
            )
        for source in sources:
            if _overlap(share.path, source.path):
                yield Contradiction(
                    (share.key, source.key),
                    "overlaps the source {other}: deliveries would be taken for studies",
                )
    for source in sources:
        if _overlap(source.path, scratch.path):
            yield Contradiction(
                (source.key, scratch.key),
                "overlaps the scratch space of {other}: interim files would be taken for studies",
            )
    for key, file in _identifying_files(settings):
        if _leads_nowhere(file):
            yield Contradiction(
                (key,), "begins with a home folder that nobody here has: write the whole path"
            )
            continue
        where = place(file)
        for share in shares:
            if _inside(where, share.path):
                yield Contradiction(
                    (key, share.key), "lies in the share {other}, where deliveries are read"
                )


def _identifying_files(settings: Settings) -> Iterator[tuple[Path, FilePath]]:
    """The ledger's file, those that secrets are kept in, and those that name patients."""
    if database := _SQLITE.match(settings.ledger_url or ""):
        yield ("ledger_url",), FilePath(database[1])
    for name, workspace in settings.workspaces.items():
        key: Path = ("workspaces", name)
        if workspace.watch is not None and workspace.watch.subjects is not None:
            yield (*key, "watch", "subjects"), workspace.watch.subjects
        if workspace.reports.folder is not None and not workspace.reports.redact:
            yield (*key, "reports", "folder"), workspace.reports.folder
    for path, reference in reference_paths(settings):
        if reference.startswith("file:"):
            yield path, FilePath(reference.removeprefix("file:"))


def _inside(one: FilePath, other: FilePath) -> bool:
    return one == other or other in one.parents


def _overlap(one: FilePath, other: FilePath) -> bool:
    return _inside(one, other) or _inside(other, one)


# -- where deliveries lie ------------------------------------------------------------------------


def _stores(settings: Settings, place: Callable[[FilePath], FilePath]) -> Iterator[Contradiction]:
    areas = [
        area
        for name, workspace in settings.workspaces.items()
        for of, target in workspace.targets.items()
        if (area := _area(("workspaces", name, "targets", of), target, place))
    ]
    for one, other in combinations(areas, 2):
        keys = (other.key, one.key)
        if one.root and other.root and one.root != other.root and _overlap(one.root, other.root):
            yield Contradiction(keys, "one of this share and {other} lies inside the other")
        elif one.store == other.store and _same_beginning(one.beginning, other.beginning):
            yield Contradiction(
                keys,
                "deliveries could come to lie among those of {other}: use another root or bucket, "
                "or templates that begin with '{{top}}/' and a 'top' for each",
            )


def _area(key: Path, target: TargetSettings, place: Callable[[FilePath], FilePath]) -> _Area | None:
    top = "/".join(part for part in target.top.split("/") if part not in ("", ".", ".."))
    beginning = target.key_template.replace("{top}", top).partition("{")[0].lstrip("/")
    if isinstance(target, ShareTargetSettings):
        root = place(target.path)
        return _Area((*key, "path"), f"share {root}", beginning, root)
    if isinstance(target, S3TargetSettings | GcsTargetSettings):
        store = f"{target.kind} {server_of(target.endpoint_url or '')} {target.bucket}"
        return _Area((*key, "bucket"), store, beginning)
    return None


def _same_beginning(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


# -- servers and logins --------------------------------------------------------------------------


def server_of(url: str) -> str:
    """What two addresses of one server have in common, whoever asks, in the clear or not."""
    parts = urlsplit(url)
    port = "" if parts.port in (None, _PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{(parts.hostname or '').rstrip('.')}{port}{parts.path.rstrip('/')}"


def _connections(settings: Settings) -> Iterator[Contradiction]:
    for name, workspace in settings.workspaces.items():
        reviewed = getattr(workspace.qc.orthanc, "url", None)
        for other, source in (
            (other, getattr(one.source, "url", None)) for other, one in settings.workspaces.items()
        ):
            if reviewed and source and server_of(reviewed) == server_of(source):
                yield Contradiction(
                    (
                        ("workspaces", name, "qc", "orthanc", "url"),
                        ("workspaces", other, "source", "url"),
                    ),
                    "is the source {other}: what fails QC would be removed from it",
                )


def _of_login(key: Path, source: Any) -> Iterator[Contradiction]:
    username, password, token = (
        getattr(source, name, None) for name in ("username", "password", "token")
    )
    if password is not None and token is not None:
        yield Contradiction(
            ((*key, "token"), (*key, "password")), "excludes {other}: keep one of them"
        )
    elif password is not None and not username:
        yield Contradiction(((*key, "password"),), "has no 'username' beside it")


def _of_target(key: Path, target: TargetSettings) -> Iterator[Contradiction]:
    def both(one: str, other: str) -> Contradiction:
        return Contradiction(((*key, one), (*key, other)), "excludes {other}: keep one of them")

    def alone(one: str, missing: str) -> Contradiction:
        return Contradiction(((*key, one),), f"has no '{missing}' beside it")

    if isinstance(target, S3TargetSettings):
        if target.access_key_id is not None and target.secret_access_key is None:
            yield alone("access_key_id", "secret_access_key")
        if target.access_key_id is None:
            for name in ("secret_access_key", "session_token"):
                if getattr(target, name) is not None:
                    yield alone(name, "access_key_id")
        elif target.profile:
            yield both("profile", "access_key_id")
        if target.kms_key_id and target.encryption != "aws:kms":
            yield alone("kms_key_id", "encryption: aws:kms")

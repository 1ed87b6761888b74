"""Where settings are read from.

What belongs here: the layers and their precedence, and every fault of theirs at once. What does
not: names, types and defaults (`model.py`), reading one layer (`environment.py`, `yaml_places.py`,
`reference_config/`), and fetching secrets (`secret_refs.py`).

Precedence, highest first:

1. the environment: `LOCUTUS_…`, nested with `__`;
2. the environment under the reference's names (`reference_settings.py`);
3. what the program itself says (`load_settings(batch_size=7)`);
4. `locutus.yaml`: `$LOCUTUS_CONFIG`, or else in the home folder `$LOCUTUS_HOME`;
5. the reference's `config.yaml`: `$PATH_TO_CONFIG`, or else in the working directory where there is
   no `locutus.yaml`, with what it says about the reference's Vault;
6. the defaults.

A secret may be a reference in any of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

from locutus_dagster.errors import LocutusError
from locutus_dagster.reference_settings import REFERENCE_SWITCHES, run_settings_from
from locutus_dagster.settings.contradictions import contradictions
from locutus_dagster.settings.environment import environment_layer
from locutus_dagster.settings.faults import Fault, FaultySettingsError, Found, faults_of
from locutus_dagster.settings.keys import alternatives, fields_at, holds_more, models_of
from locutus_dagster.settings.model import Settings, config_file
from locutus_dagster.settings.origins import (
    DEFAULT,
    Layer,
    LayerName,
    Origin,
    Path,
    dotted,
    laid_over_each_other,
)
from locutus_dagster.settings.yaml_places import read_yaml

__all__ = ["load_settings"]

_NOTHING = object()
#: What the place of a value begins with that the reference's configuration has from a variable.
_ENVIRONMENT = "environment "
_KINDS = {"source": ("folder", "orthanc", "dicomweb"), "target": ("share", "s3", "gcs")}


def load_settings(**overrides: Any) -> Settings:
    """Read the settings that apply here and now.

    Args:
        overrides: values that win over the files (not over the environment).

    Raises:
        SettingsError: lists every fault at once, each with its place and key.
    """
    reader = _Reader(config_file())
    return reader.read(overrides)


class _Reader:
    def __init__(self, file: FilePath) -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        #: Where the reference's configuration, heard with the environment, says each key.
        self.decided: dict[Path, str] = {}
        self.values: dict[str, Any] = {}
        self.origins: dict[Path, Origin] = {}
        #: What was written as `target:`, by what it is now.
        self.written: dict[Path, Path] = {}

    def read(self, overrides: Mapping[str, Any]) -> Settings:
        """Read all layers, and judge what they say together."""
        said, faults, foreign = environment_layer(os.environ)
        self.faults += faults
        self.notes += [f"{name} is in the environment and is not a setting" for name in foreign]
        own = self._file_layer()
        call = Layer("call", dict(overrides), {(key,): "the program" for key in overrides})
        between = [*([own] if own else []), call]
        layers = [*self._reference_layers(), *between, self._switches(between), said]
        self.values, self.origins = laid_over_each_other(layers)
        _drop_empty_groups(self.values, ())
        self._name_the_targets()
        settings = self._judge()
        if self.faults:
            raise FaultySettingsError(str(self.file), self.faults)
        origins = {dotted(path): origin for path, origin in self.origins.items()}
        return settings.with_origins(origins, tuple(self.notes))

    # -- layers --------------------------------------------------------------------------------

    def _file_layer(self) -> Layer | None:
        contents = read_yaml(self.file)
        if contents is None:
            if os.environ.get("LOCUTUS_CONFIG"):
                origin = Origin("environment", "LOCUTUS_CONFIG")
                self.faults.append(Fault("", f"{self.file} is not there", origin))
            return None

        def place(at: tuple[int, int]) -> str:
            return f"{self.file.name}:{at[0]}:{at[1]}"

        for path, at in contents.twice:
            first = place(contents.places[path])
            message = f"stands there twice; first at {first}"
            self.faults.append(Fault(dotted(path), message, Origin("file", place(at))))
        places = {path: place(at) for path, at in contents.places.items()}
        return Layer("file", contents.values, places, self.file.name)

    def _reference_layers(self) -> list[Layer]:
        """The reference's `config.yaml`, when it is asked for or stands in for `locutus.yaml`."""
        stands_in = not self.file.exists() and FilePath("config.yaml").is_file()
        if not (os.environ.get("PATH_TO_CONFIG", "").strip() or stands_in):
            return []
        from locutus_dagster.reference_config import layer

        try:
            found = layer()
        except LocutusError as error:
            self._take_over(error, "reference file")
            return []
        if found is None:
            return []
        self.notes += found.notes
        places = {tuple(key.split(".")): place for key, place in found.origins.items()}
        self.decided = places
        return [Layer("reference file", found.values, places, "config.yaml")]

    def _take_over(self, error: LocutusError, layer: LayerName) -> None:
        """The faults that an error lists, one on each line below the first."""
        first, *lines = error.message.splitlines()
        for line in lines or [f"{first} {error.hint}".strip()]:
            self.faults.append(Fault("", line.strip(), Origin(layer, "")))

    def _switches(self, between: Iterable[Layer]) -> Layer:
        """How a run goes about it, as the environment says under the reference's names.

        Several switches decide one thing. The reference's file has heard those of the environment
        with its own, so where one of the file's decided, the variables leave it the word; but not
        over what has been said between the two.
        """
        try:
            said = run_settings_from(os.environ)
        except LocutusError as error:
            self._take_over(error, "reference environment")
            return Layer("reference environment")
        told = [layer.values["run"] for layer in between if layer.values.get("run") is not None]
        for key in list(said):
            place = self.decided.get(("run", key), _ENVIRONMENT)
            taken = any(not isinstance(one, Mapping) or key in one for one in told)
            if not (taken or place.startswith(_ENVIRONMENT)):
                del said[key]
        places: dict[Path, str] = {}
        for key in said:
            names = [
                name
                for name, meaning in REFERENCE_SWITCHES.items()
                if meaning.partition(":")[0] == f"run.{key}" and os.environ.get(name, "").strip()
            ]
            on = [name for name in names if os.environ[name].strip().lower() != "false"]
            places["run", key] = (on or names or ["the environment"])[0]
        return Layer("reference environment", {"run": said} if said else {}, places)

    # -- judging -------------------------------------------------------------------------------

    def _name_the_targets(self) -> None:
        """Write `target:` as `targets:`, so that each value has one key; keep how it was said."""
        workspaces = self.values.get("workspaces")
        for name, workspace in workspaces.items() if isinstance(workspaces, dict) else ():
            if not isinstance(workspace, dict) or workspace.get("targets"):
                continue
            only = workspace.get("target")
            if not isinstance(only, dict):
                continue
            workspace.pop("targets", None)
            kind = str(only.get("kind", "share"))
            workspace["targets"] = {kind: workspace.pop("target")}
            was: Path = ("workspaces", name, "target")
            now: Path = ("workspaces", name, "targets", kind)
            self.written[now] = was
            for path in [path for path in self.origins if path[:3] == was]:
                self.origins[now + path[3:]] = self.origins.pop(path)
            self.origins.setdefault(now[:3], self.origins[now])

    def _judge(self) -> Settings:
        """Find every fault: leave out what has one, and judge the rest again.

        Returns:
            The settings; only of use when there were no faults.
        """
        left_out: list[Path] = []
        found = self._unknown_kinds()
        while True:
            for one in found:
                # What lacks only what has just been left out has no fault of its own.
                if not any(path[: len(one.path)] == one.path for path in left_out):
                    self._blame(one.path, one.message)
            about = [path for one in found for path in one.about]
            removed = [_leave_out(self.values, path) for path in about]
            if found and not any(removed):
                # Nothing less will do, and it must come to an end.
                self.values = {}
            left_out += [*about, *(one.path for one in found)]
            try:
                settings = Settings(**self.values)
                break
            except ValidationError as error:
                found = faults_of(error)
        for clash in contradictions(settings):
            if any(_near(key, path) for key in clash.keys for path in left_out):
                continue  # what would be contradicted is not known
            other = clash.keys[1] if len(clash.keys) > 1 else clash.keys[0]
            self._blame(clash.keys[0], clash.message.format(other=self._named(other)))
        return settings

    def _unknown_kinds(self) -> list[Found]:
        """Sources and targets of a kind that nobody has registered."""
        found = []
        workspaces = self.values.get("workspaces")
        for name, workspace in workspaces.items() if isinstance(workspaces, dict) else ():
            if not isinstance(workspace, dict):
                continue
            qc, targets = workspace.get("qc"), workspace.get("targets")
            parts: list[tuple[str, Path, Any]] = [("source", ("source",), workspace.get("source"))]
            if isinstance(qc, dict):
                parts.append(("source", ("qc", "orthanc"), qc.get("orthanc")))
            if isinstance(targets, dict):
                parts += [("target", ("targets", str(of)), one) for of, one in targets.items()]
            for what, below, part in parts:
                kind = part.get("kind") if isinstance(part, dict) else None
                if not isinstance(kind, str) or kind in _KINDS[what]:
                    continue
                known = {point.name for point in metadata.entry_points(group=_group(what))}
                if kind not in known:
                    path: Path = ("workspaces", str(name), *below)
                    kinds = ", ".join(sorted({*known, *_KINDS[what]}))
                    message = f"there is no {what} of that kind; known: {kinds}"
                    found.append(Found((*path, "kind"), message, (path,)))
        return found

    def _blame(self, path: Path, message: str) -> None:
        self.faults.append(Fault(dotted(self._as_written(path)), message, self._origin(path)))

    def _named(self, path: Path) -> str:
        origin = self._origin(path)
        place = "by default" if origin == DEFAULT else origin.place
        return f"'{dotted(self._as_written(path))}' ({place})"

    def _as_written(self, path: Path) -> Path:
        for now, was in self.written.items():
            if path[: len(now)] == now:
                return (*was, *path[len(now) :])
        return path

    def _origin(self, path: Path) -> Origin:
        """Where a key was said, or else what it is part of."""
        for length in range(len(path), 0, -1):
            if origin := self.origins.get(path[:length]):
                return origin
        return DEFAULT


def _group(what: str) -> str:
    return f"locutus_dagster.{what}s"


def _near(one: Path, other: Path) -> bool:
    short = min(len(one), len(other))
    return one[:short] == other[:short]


def _leave_out(values: dict[str, Any], path: Path) -> bool:
    """Remove a key, or the list or object that it is an item of; whether there was anything."""
    group = values
    for part in path[:-1]:
        below = group.get(part, _NOTHING)
        if not isinstance(below, dict):
            return group.pop(part, _NOTHING) is not _NOTHING
        group = below
    return bool(path) and group.pop(path[-1], _NOTHING) is not _NOTHING


def _drop_empty_groups(values: dict[str, Any], path: Path) -> None:
    """Take `run:` with nothing below it for not said, as when all below it is a comment."""
    for key, value in list(values.items()):
        here = (*path, key)
        if isinstance(value, dict):
            _drop_empty_groups(value, here)
        elif value is None:
            annotations = fields_at(here)
            kinds = [one for annotation in annotations for one in alternatives(annotation)]
            groups = any(models_of(one) or holds_more(one) for one in kinds)
            if groups and type(None) not in kinds:
                del values[key]

"""Policy files: what a site, or this package, wants to happen to its studies.

What belongs here: the keys of a policy file, inheritance, options, and finding the file. What does
not: rules about attributes (`overrides.py`), settings (`file_settings.py`), the reference system's
own format (`spec_file.py`), what a policy means (`compiling.py`).

    name: site-a                          # required
    extends: research                     # a shipped policy or a file beside this one; or basic
    options:                              # or a list, which takes the place of what is inherited
      add: [retain_institution_identity]
      remove: [retain_device_identity]
    uids: keyed                           # or fresh
    shift_days: [30, 365]                 # the fewest and the most days that dates move back
    several_patients: withhold            # or allow
    modalities: [CT, MR]                  # or any
    exclude_series_descriptions: [screen save]
    subject_id_preface: PRJ_
    lexicon: [gadoterate]                 # words, or {file: words.txt}
    white_lists: [white_list.json]
    overrides:
      - attribute: StudyDescription       # keyword, (gggg,eeee), or a path of these with "/"
        action: keep                      # one of `attributes.ACTIONS`
        why: a note for people
      - attribute: PatientComments
        replace: withheld
      - private: SIEMENS MR HEADER
        element: (0019,xx0C)
        action: keep

Of what a policy extends everything is inherited: overrides come before the file's own, words and
white lists are added to, other settings are replaced where the file names them.
"""

from __future__ import annotations

import re
from functools import partial
from importlib.resources import files
from pathlib import Path

from yaml import SequenceNode

from locutus_dagster.deid.policies.file_settings import SETTING_KEYS, read_settings
from locutus_dagster.deid.policies.model import Option, PolicySpec
from locutus_dagster.deid.policies.overrides import read_overrides
from locutus_dagster.deid.policies.problems import (
    MistakeError,
    PolicyFileError,
    Problems,
    read_text,
    suggestion,
)
from locutus_dagster.deid.policies.spec_file import read_spec_file
from locutus_dagster.deid.policies.strict_yaml import (
    Entries,
    Node,
    compose,
    line_of,
    text_of,
    texts_of,
)

__all__ = ["NAMED", "PolicyFileError", "read_policy"]

#: The policies that the package ships, by name.
NAMED: tuple[str, ...] = (
    "basic",
    "research",
    "longitudinal-full-dates",
    "unlinkable",
    "locutus-bgd",
)

_YAML = (".yaml", ".yml")
_SPEC_FILE = ".dat"
_MOST_BYTES = 256 << 10
_LONGEST_CHAIN = 8

_KEYS = ("name", "extends", "options", *SETTING_KEYS, "overrides")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")

_DATES = (Option.RETAIN_LONGITUDINAL_FULL_DATES, Option.RETAIN_LONGITUDINAL_MODIFIED_DATES)


def read_policy(name_or_path: str | Path) -> PolicySpec:
    """Return a policy with everything that it extends.

    Args:
        name_or_path: the name of a shipped policy, or the path of a policy file (.yaml, .yml) or
            of a specification file of the reference system (.dat). What has neither a path
            separator nor a suffix is a name.

    Raises:
        PolicyFileError: there is no such policy, or all that is wrong with it.
    """
    path = Path(name_or_path)
    if not path.suffix and path.name == str(name_or_path):
        if path.name not in NAMED:
            raise PolicyFileError([_no_such_name(path.name)])
        return _read_named(path.name)
    return _read_path(path, ())


def _no_such_name(name: str) -> str:
    near = suggestion(name, NAMED)
    return (
        f"no shipped policy has this name{near or '; there are ' + ', '.join(NAMED)} "
        f"(the name of a file ends in .yaml, .yml or .dat)"
    )


def _read_named(name: str) -> PolicySpec:
    file = files("locutus_dagster.deid.policies") / "named" / f"{name}.yaml"
    return _PolicyFile(f"{name}.yaml", None, ()).read(file.read_text(encoding="utf-8"))


def _read_path(path: Path, chain: tuple[str, ...]) -> PolicySpec:
    """Return the policy of a file, which the files of `chain`, all in one folder, extend."""
    suffix = path.suffix.lower()
    if suffix == _SPEC_FILE:
        return read_spec_file(path)
    try:
        if suffix not in _YAML:
            raise MistakeError("the name of a policy file ends in .yaml, .yml or .dat")
        text = read_text(path, most=_MOST_BYTES)
    except MistakeError as mistake:
        raise PolicyFileError([f"{path.name}: {mistake}"]) from None
    return _PolicyFile(path.name, path, chain).read(text)


class _PolicyFile:
    """One policy file while it is read.

    Args:
        name: its name without folder.
        path: where it is; None for a shipped policy.
        chain: names of the files that extend it, the one that was asked for first.
    """

    def __init__(self, name: str, path: Path | None, chain: tuple[str, ...]) -> None:
        self._path = path
        self._chain = chain
        self._problems = Problems(name)
        self._option_lines: dict[Option, int] = {}

    def read(self, text: str) -> PolicySpec:
        """Return what the text says.

        Raises:
            PolicyFileError: all that is wrong with it and with what it extends.
        """
        problems = self._problems
        root = compose(text, problems)
        problems.raise_any()
        if root is None:
            raise PolicyFileError([f"{problems.place(None)}: the file is empty; add name:"])
        try:
            keys = Entries(root, _KEYS, problems)
        except MistakeError as mistake:
            raise PolicyFileError([f"{problems.place(line_of(root))}: {mistake}"]) from None
        if "name" not in keys:
            problems.add(None, "add name:, which stands in reports and in what is delivered")
        base = self._base(keys)
        inherited = base or PolicySpec("")
        own = keys.take("overrides", partial(read_overrides, problems=problems), ())
        folder = self._path.parent if self._path else None
        spec = PolicySpec(
            name=keys.take("name", self._name, ""),
            options=keys.take("options", partial(self._options, base), inherited.options),
            overrides=inherited.overrides + own,
            settings=read_settings(keys, inherited.settings, problems, folder),
        )
        self._check_contradictions(spec, keys)
        problems.raise_any()
        return spec

    def _name(self, node: Node) -> str:
        name = text_of(node)
        if not _NAME.fullmatch(name):
            raise MistakeError("a name is 1 to 32 letters, digits, dots, hyphens and underscores")
        if self._path and name in NAMED:
            raise MistakeError("a shipped policy has this name; choose another")
        return name

    def _base(self, keys: Entries) -> PolicySpec | None:
        """Return what the file extends, None where there is something wrong with that."""
        if "extends" in keys:
            return keys.take("extends", self._extended, None)
        # A shipped policy that extends nothing is the profile itself.
        return _read_named(NAMED[0]) if self._path else PolicySpec("")

    def _extended(self, node: Node) -> PolicySpec | None:
        reference = text_of(node)
        beside = Path(reference)
        try:
            if not beside.suffix and beside.name == reference:
                if reference not in NAMED:
                    raise MistakeError(_no_such_name(reference))
                return _read_named(reference)
            if self._path is None or beside.name != reference:
                raise MistakeError("write the name of a file beside this one, without a folder")
            chain = (*self._chain, self._path.name)
            if reference in chain:
                raise MistakeError(
                    "the policies extend each other in a circle; leave one extends: out"
                )
            if len(chain) > _LONGEST_CHAIN:
                raise MistakeError(f"more than {_LONGEST_CHAIN} files extend each other; join some")
            return _read_path(self._path.with_name(reference), chain)
        except PolicyFileError as error:
            self._problems.include(error)
            return None

    def _options(self, base: PolicySpec | None, node: Node) -> frozenset[Option]:
        if isinstance(node, SequenceNode):
            self._option_lines = self._option_list(node)
            return frozenset(self._option_lines)
        keys = Entries(node, ("add", "remove"), self._problems)
        added = self._option_lines = keys.take("add", self._option_list, {})
        removed = keys.take("remove", self._option_list, {})
        inherited = base.options if base else frozenset()
        for option, line in removed.items():
            if option in added:
                self._problems.add(line, f"{option} is added as well; leave one of the two out")
            elif base and option not in inherited:
                self._problems.add(line, f"{option} is not switched on anyway; leave it out")
        return (inherited | frozenset(added)) - frozenset(removed)

    def _option_list(self, node: Node) -> dict[Option, int]:
        """Return the options of a list with their lines."""
        found: dict[Option, int] = {}
        names = [option.value for option in Option]
        for line, text in texts_of(node, self._problems):
            if text in names:
                found[Option(text)] = line
            elif not self._problems.many:
                near = suggestion(text, names) or f"; there are {', '.join(names)}"
                self._problems.add(line, f"there is no such option{near}")
        return found

    def _check_contradictions(self, spec: PolicySpec, keys: Entries) -> None:
        """Note options that exclude each other, in the line that brought the second one in."""
        if set(_DATES) <= spec.options:
            lines = [self._option_lines[one] for one in _DATES if one in self._option_lines]
            self._problems.add(
                max(lines, default=None),
                f"{_DATES[0]} and {_DATES[1]} contradict each other; put one under remove:",
            )
        if Option.RETAIN_UIDS in spec.options and spec.settings.identities == "fresh":
            line = self._option_lines.get(Option.RETAIN_UIDS)
            self._problems.add(
                line or keys.line("uids"),
                f"uids: fresh and {Option.RETAIN_UIDS} contradict each other; leave one out",
            )

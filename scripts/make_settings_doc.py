"""Write docs/settings.md and docs/locutus.schema.json from the model of the settings.

What belongs here: the page's words and tables. What does not: the keys
(`locutus_dagster/settings/`) and what became of the reference's
(`locutus_dagster/reference_config/keys.py`).

Run it after changing one of those; a test compares what it writes with what is in docs/:

    python scripts/make_settings_doc.py

A key without a description stops it, and so does a key of the reference's that leads to none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from locutus_dagster.reference_config import REFERENCE_KEYS, ReferenceKey
from locutus_dagster.settings.key_templates import PLACEHOLDERS
from locutus_dagster.settings.keys import Key, every_key
from locutus_dagster.settings.schema import schema_text
from locutus_dagster.strict_model import is_secret

__all__ = ["main", "page"]

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "settings.md"
SCHEMA = DOCS / "locutus.schema.json"

#: Kinds that the reference does not have.
_OURS_ALONE = ("dicomweb", "folder", "other")
#: Defaults that depend on the machine, in words.
_DEFAULTS = {"home": "`~/.locutus`", "workers": "the number of cores"}

_TEMPLATE = """\
# Settings

<!-- Written by scripts/make_settings_doc.py from the model: change that, run it again. -->

## Where a value comes from

Highest first; groups are joined key by key, so that a layer may say one key of a workspace and
leave the others to the layers below it.

1. **The environment**: `LOCUTUS_SCRATCH_LIMIT=50GiB`; what lies below a group after two
   underscores: `LOCUTUS_RUN__SWEEP=off`, `LOCUTUS_WORKSPACES__CHOP__SOURCE__TIMEOUT=60`. A list is
   text with commas or JSON, a group is JSON, `null` is nothing. An empty variable is not set.
2. **The environment under the reference's names** (`locutus_disable_phase_sweep=True`), for how a
   run goes about its accessions. Of several switches for one key the first one of the reference's
   ladder that is on decides, be it set here or in the reference's file; but what `locutus.yaml`
   says of the key gives way to these variables alone, never to that file.
3. **`locutus.yaml`**: the file that `LOCUTUS_CONFIG` names, or else the one in the home folder,
   which `LOCUTUS_HOME` names.
4. **The reference's `config.yaml`**: the file that `PATH_TO_CONFIG` names, or, where there is no
   `locutus.yaml`, the one in the working directory if it has a key of the reference's.
5. **The defaults** of the table below.

`ledger` and `ledger_url` are two ways to say one thing: the higher layer's way wins. `target` is a
workspace's only target, named by its kind; in one workspace it stands beside no `targets`, whatever
layers they come from.

**A secret is a reference** in any layer, and fetched when it is used: `vault:mount/path#key`,
`transit:mount/key#name`, `env:NAME`, `file:/path`. A secret that stands in the file itself works,
and so does a password in an address; `locutus config show` and `locutus config check` warn of it.

A variable that begins with `LOCUTUS_` and is no setting is a fault when it resembles one or has two
underscores in it. Otherwise it is taken for somebody else's, such as a service that Kubernetes
announces, and `locutus config show` names it.

## Looking and checking

| command | what it does |
| --- | --- |
| `locutus config show` | every value that applies and where it was said; secrets masked. \
`--workspace W`, `--changed` (no defaults), `--json`, `--no-origins`, `--cfg-out` (the reference's \
lines) |
| `locutus config check` | everything that is wrong, all at once, each with file, line, column and \
key; exit code 1. Follows links, reads the policies; `--secrets` fetches every secret and says \
whether it works |
| `locutus config init` | writes a commented `locutus.yaml` (mode 0600), and the schema beside it \
for editors |
| `locutus config import` | turns the reference's configuration into a `locutus.yaml` |
| `locutus config schema` | prints the JSON schema, [locutus.schema.json](locutus.schema.json) |

`locutus config init` begins the file with `# yaml-language-server: $schema=locutus.schema.json`, so
that an editor completes and checks keys without a network.

## What is refused

Unknown keys, keys that stand there twice, wrong types, kinds of sources and targets that nobody has
registered; times, owners, addresses, key templates and paths that could not be used later:

- a `cron` is five fields (minute, hour, day, month, weekday) of numbers, names such as `mon` and
  `jan`, lists, ranges and steps; `l` is the last day, `fri#3` the third Friday; or `@daily` and the
  like. A day that none of its months has is refused;
- an owner is `team:NAME` or a mail address;
- an address begins with `http://` or `https://`, and its port is a number;
- a key template has `{{study}}`, formats no placeholder, and names none but
  {placeholders};
- a path begins with no home folder (`~name`) that nobody here has.

What does not go together is refused as well:

- a share that overlaps a folder that is a source, the scratch space or the private folder; a source
  that overlaps the scratch space; a private folder in the scratch space;
- a ledger's file, a secret's file, a table of subjects, or a folder of reports that name
  accessions, in a share;
- two targets, of one workspace or two, whose deliveries could come to lie among each other. Where
  they can lie is told by the share's root or the bucket, and by what the key template begins with
  before its first placeholder, `{{top}}` filled in. Two workspaces may share a root or a bucket
  when these beginnings exclude each other: templates that begin with `{{top}}/`, and a `top` for
  each. Roots of shares that lie in each other are refused in any case;
- a QC Orthanc that is also a source;
- a password without a username, a password and a token, halves of a store's credentials, a way to
  log in to Vault without what it needs.

One Orthanc may be the source of several workspaces. Two workspaces may name one secret: they are
then one project as far as pseudonyms go, and `locutus config check` says so.

## All keys

`NAME` is a name of your own. Sizes are bytes or text such as `20GiB`; times are seconds. **ref**
marks a secret: write a reference. Keys that only one kind of source or target has say so in
brackets. The reference's key stands beside ours; the ones without an equivalent are in the table
after this one.

{keys}

## What became of the reference's keys

{reference}
"""


def page() -> str:
    """The whole page.

    Raises:
        ValueError: a key has no description, or a key of the reference's leads to none of ours.
    """
    by_ours: dict[str, list[str]] = {}
    for one in REFERENCE_KEYS.values():
        if one.becomes:
            by_ours.setdefault(one.becomes, []).append(one.name)
    _check(by_ours)
    return _TEMPLATE.format(
        placeholders=", ".join(f"`{{{name}}}`" for name in PLACEHOLDERS),
        keys=_table(
            ("key", "the reference's", "default", "meaning"),
            _rows(by_ours),
        ),
        reference=_table(
            ("the reference's key", "becomes", "meaning, or why there is none"),
            (_reference_row(one) for one in REFERENCE_KEYS.values()),
        ),
    )


def _check(by_ours: dict[str, list[str]]) -> None:
    known = {alias for key in every_key() for alias in _names(key)}
    groups = {
        ".".join(name.split(".")[:length])
        for name in known
        for length in range(1, name.count(".") + 1)
    }
    if lost := sorted(set(by_ours) - known - groups):
        raise ValueError(f"the reference's keys lead to keys that there are not: {lost}")


def _names(key: Key) -> list[str]:
    """A key, and a target's under the name that the reference's configuration gives it."""
    parts = key.dotted.split(".")
    if parts[2:3] != ["targets"]:
        return [key.dotted]
    return [key.dotted, ".".join([*parts[:3], key.kind, *parts[4:]])]


def _rows(by_ours: dict[str, list[str]]) -> list[Sequence[str]]:
    """One row for each key; what several kinds have in common stands there once."""
    rows: dict[tuple[str, str, str], list[Key]] = {}
    for key in every_key():
        if not key.field.description:
            raise ValueError(f"'{key.dotted}' has no description")
        rows.setdefault((key.dotted, _default(key), key.field.description), []).append(key)
    return [_row(keys, default, meaning, by_ours) for (_, default, meaning), keys in rows.items()]


def _row(
    keys: Sequence[Key], default: str, meaning: str, by_ours: dict[str, list[str]]
) -> Sequence[str]:
    key, kinds = keys[0], [one.kind for one in keys]
    names: list[str] = []
    for one in keys:
        if one.kind not in _OURS_ALONE:
            names += [name for alias in _names(one) for name in by_ours.get(alias, ())]
    # What every kind has, be it another package's, needs no brackets.
    bracket = "" if "" in kinds or "other" in kinds[1:] else f" ({', '.join(kinds)})"
    secret = "**ref** " if is_secret(key.field) else ""
    return (
        f"`{key.dotted}`{bracket}",
        "<br>".join(f"`{name}`" for name in dict.fromkeys(names)),
        default,
        _cell(secret + meaning),
    )


def _default(key: Key) -> str:
    if key.dotted in _DEFAULTS:
        return _DEFAULTS[key.dotted]
    if key.field.is_required():
        return "required"
    default = key.field.get_default(call_default_factory=True, validated_data={})
    return "" if default is None or default is PydanticUndefined else f"`{_plain(default)}`"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, int) and value >= 1024**2:
        unit, name = (1024**3, "GiB") if value >= 1024**3 else (1024**2, "MiB")
        return f"{value // unit}{name}" if value % unit == 0 else str(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_plain, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value) or '""'


def _reference_row(one: ReferenceKey) -> Sequence[str]:
    becomes = f"`{one.becomes}`" if one.becomes else "nothing"
    return f"`{one.name}`", becomes, _cell(one.why)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> int:
    """Write the page and the schema."""
    PAGE.write_text(page(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name}, {SCHEMA.name}: {len(every_key())} keys\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

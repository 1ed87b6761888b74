"""A `locutus.yaml` out of the reference's configuration, for people to read and go on with.

What belongs here: the text of the file, with a comment for each value. What does not: what the
values are (`translating.py`), and where the file lies (`cli/config_import.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from locutus_dagster.reference_config.layer import ReferenceLayer

__all__ = ["settings_text"]

_HEAD = """\
# Settings of Locutus on Dagster, made by 'locutus config import' from the reference's {name}.
# Behind each value stands where it came from. What is secret stays in Vault: a value that begins
# with vault: or env: is a reference, resolved when it is used.
# The environment wins over this file: LOCUTUS_SCRATCH_LIMIT=50GiB.
"""
_NONE = """\

# Set in the reference's configuration, without an equivalent or without an effect:
"""


def settings_text(layer: ReferenceLayer, name: str) -> str:
    """The content of the file.

    Args:
        name: of what was imported.
    """
    lines = [_HEAD.format(name=_one_line(name))]
    lines.extend(f"# Note: {_one_line(note)}\n" for note in layer.notes)
    for key, value in layer.values.items():
        lines.append("\n" if isinstance(value, Mapping) else "")
        lines.extend(_lines(key, value, (), layer.origins))
    gone = [fate for fate in layer.fates if not fate.became]
    if gone:
        lines.append(_NONE)
        lines.extend(f"#   {fate.name}: {_one_line(fate.why)}\n" for fate in gone)
    return "".join(lines)


def _lines(
    key: str, value: object, above: tuple[str, ...], origins: Mapping[str, str]
) -> Iterator[str]:
    path = (*above, key)
    indent = "  " * len(above)
    if isinstance(value, Mapping):
        yield f"{indent}{_scalar(key)}:\n"
        for below, inner in value.items():
            yield from _lines(below, inner, path, origins)
        return
    origin = origins.get(".".join(path), "")
    comment = f"  # {_one_line(origin)}" if origin else ""
    yield f"{indent}{_scalar(key)}: {_scalar(value)}{comment}\n"


def _scalar(value: Any) -> str:
    """A plain value as YAML reads it back."""
    if isinstance(value, bool | int | float):
        return str(yaml.safe_dump(value)).splitlines()[0]
    text = str(value)
    if text.isascii() and text.replace("_", "").isalnum() and _reads_back(text):
        return text
    # One line, whatever is in it.
    quoted = yaml.dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return str(quoted).strip()


def _reads_back(text: str) -> bool:
    """Whether the text needs no quotes: `true`, `1e3` or `0x10` do."""
    return bool(yaml.safe_load(text) == text)


def _one_line(text: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())

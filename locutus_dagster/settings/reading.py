"""Where settings are read from.

What belongs here: the layers and their precedence, and every fault of theirs at once. What does
not: names, types and defaults (`model.py`), and fetching secrets (`secret_refs.py`).

Precedence, highest first: environment (`LOCUTUS_…`, nested with `__`), the reference's names in the
environment (`reference_settings.py`), `locutus.yaml`, the defaults. The file is `$LOCUTUS_CONFIG`,
or else `locutus.yaml` in the home folder `$LOCUTUS_HOME`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import SettingsError as UnreadableVariableError

from locutus_dagster.reference_settings import run_settings_from
from locutus_dagster.settings.model import Settings, config_file
from locutus_dagster.strict_model import SettingsError

__all__ = ["load_settings"]


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read ({error.strerror}).", "Check its permissions."
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: not UTF-8 text.", "Save the file as UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SettingsError(
            f"{path}{line}: not valid YAML.", "Mend the file at that place."
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SettingsError(f"{path}: the file must hold keys and values.")
    return content


def load_settings(**overrides: Any) -> Settings:
    """Read the settings that apply here and now.

    Args:
        overrides: values that win over the file (not over the environment).

    Raises:
        SettingsError: lists every fault at once, each with its key.
    """
    path = config_file()
    content = {**_read_file(path), **overrides}
    said = run_settings_from(os.environ)
    if said and isinstance(content.get("run") or {}, dict):
        content["run"] = {**(content.get("run") or {}), **said}
    try:
        return Settings(**content)
    except UnreadableVariableError:
        # Only values that are not plain are read as JSON.
        raise SettingsError(
            "LOCUTUS_WORKSPACES: not valid JSON.", "Mend it, or use the file instead."
        ) from None
    except ValidationError as error:
        faults = []
        for fault in error.errors(include_url=False, include_input=False):
            key = ".".join(str(part) for part in fault["loc"])
            faults.append(f"  {key or '(top)'}: {fault['msg']}")
        raise SettingsError(
            f"{path} (or a LOCUTUS_… variable) has {len(faults)} fault(s):\n" + "\n".join(faults)
        ) from None

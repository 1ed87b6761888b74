"""The JSON schema of `locutus.yaml`, for editors.

What belongs here: pydantic's schema, mended where a validator accepts more than the type says. What
does not: judging a file (`reading.py`).
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from locutus_dagster.settings.key_templates import KEY_TEMPLATES
from locutus_dagster.settings.keys import kind_of, models_of
from locutus_dagster.settings.model import Settings
from locutus_dagster.settings.workspace import WorkspaceSettings
from locutus_dagster.strict_model import parse_size

__all__ = ["json_schema", "schema_text"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_text() -> str:
    """The schema as it is published."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def json_schema() -> dict[str, Any]:
    """The schema."""
    schema = Settings.model_json_schema()
    definitions = schema["$defs"]
    _mend(schema, Settings.model_fields)
    # Their default depends on the machine.
    for name in ("home", "workers"):
        schema["properties"][name].pop("default", None)
    seen = set()
    for model in _models():
        if model.__name__ in seen:
            continue
        seen.add(model.__name__)
        _mend(definitions[model.__name__], model.model_fields)
        _name_the_kind(definitions[model.__name__], model)
    workspace = definitions[WorkspaceSettings.__name__]
    workspace["properties"]["target"] = {
        **workspace["properties"]["targets"]["additionalProperties"],
        "description": "the only target, in the place of `targets`",
    }
    workspace["required"] = ["source"]
    workspace["oneOf"] = [{"required": ["target"]}, {"required": ["targets"]}]
    modalities = workspace["properties"]["modalities"]
    modalities["anyOf"].append({"type": "string", "description": "any, or CT, MR"})
    return {"$schema": _DIALECT, **schema, "title": "locutus.yaml"}


def _models() -> list[Any]:
    found: list[Any] = [Settings]
    for model in found:
        for field in model.model_fields.values():
            found += [one for one in _below(field.annotation) if one not in found]
    return found[1:]


def _below(annotation: Any) -> list[Any]:
    found = list(models_of(annotation))
    for part in getattr(annotation, "__args__", ()):
        found += [one for one in _below(part) if one not in found]
    return found


def _mend(schema: dict[str, Any], fields: dict[str, FieldInfo]) -> None:
    for name, field in fields.items():
        said = schema["properties"][name]
        if any(isinstance(m, BeforeValidator) and m.func is parse_size for m in field.metadata):
            number = {"type": said.pop("type")}
            number |= {key: said.pop(key) for key in ("minimum", "maximum") if key in said}
            said["anyOf"] = [number, {"type": "string", "pattern": r"^\s*\d.*$"}]
        if name == "key_template":
            said["examples"] = sorted(KEY_TEMPLATES)
        # Groups may be left empty, as when all below them is a comment.
        if field.is_required():
            continue
        if "$ref" in said:
            said["anyOf"] = [{"$ref": said.pop("$ref")}, {"type": "null"}]
        elif said.get("type") == "object":
            said["type"] = ["object", "null"]


def _name_the_kind(schema: dict[str, Any], model: Any) -> None:
    kind = kind_of(model)
    if kind == "other":
        shipped = ["folder", "orthanc", "dicomweb", "share", "s3", "gcs"]
        schema["properties"]["kind"]["not"] = {"enum": shipped}
    elif kind and kind != "share":  # which is what a target is by default
        schema["required"] = sorted({*schema.get("required", ()), "kind"})

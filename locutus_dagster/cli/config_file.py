"""Writing a first `locutus.yaml`.

What belongs here: the commented text of the file. What does not: what the keys mean to the program
(`settings.py`).
"""

from __future__ import annotations

import json
from pathlib import Path

from locutus_dagster.errors import LocutusError
from locutus_dagster.settings import SettingsError, config_file, load_settings

__all__ = ["write_settings_file"]

_TEMPLATE = """\
# Settings of Locutus on Dagster. The environment wins over this file: LOCUTUS_SCRATCH_LIMIT=50GiB.

# Interim files live here for seconds, on a fast local disk (mode 0700).
#scratch: {scratch}
#scratch_limit: 20GiB       # accessions wait for each other rather than fill the disk
#workers: 2                 # processes; default: the number of cores
#batch_size: 50             # accessions in one Dagster run of a backfill
#keep_interim_files: false  # true keeps IDENTIFIED files for debugging
#ledger_url: postgresql://locutus@db/locutus   # default: SQLite in the home folder

workspaces:
  {workspace}:
    source:
{source}
    target:
      kind: share
      path: {share}
      #key_template: "{{top}}/{{subject_id}}/{{imaging_type}}/{{age}}/{{anatomical_position}}/\
uuid_{{study}}.zip"
      #top: .TopLevel
    #policy: basic              # or research, or the path of a policy file
    #modalities: [CR, CT, DX, MR, NM, OT, RF, US, XA, XR]   # or any; by default the policy's
    #several_patients: withhold # or allow; by default as the policy says
    #owners: ["team:imaging"]
    #secret: file:/etc/locutus/{workspace}.secret   # default: a file in the home, made on first use
"""


def write_settings_file(
    *,
    workspace: str,
    orthanc: str | None,
    username: str | None,
    password: str | None,
    folder: Path | None,
    share: Path | None,
) -> Path:
    """Write the file where it will be read, and check that it can be.

    Raises:
        LocutusError: a file is there already, or the choice of source is unclear.
    """
    if (orthanc is None) == (folder is None):
        raise LocutusError("Name one source: --orthanc URL or --folder PATH.")
    if share is None:
        raise LocutusError("Name a target: --share PATH.")
    if password is not None and not password.startswith(("env:", "file:")):
        raise LocutusError(
            "A password does not belong into a file or a shell history.",
            "Give a reference: --password env:NAME or --password file:/path.",
        )
    path = config_file()
    if path.exists():
        raise LocutusError(f"{path} exists already.", "Edit it, or move it away first.")
    if orthanc is not None:
        lines = ["kind: orthanc", f"url: {json.dumps(orthanc)}"]
        lines += [f"username: {json.dumps(username)}"] if username else []
        lines += [f"password: {json.dumps(password)}"] if password else []
    else:
        lines = ["kind: folder", f"path: {json.dumps(str(Path(folder or '').absolute()))}"]
    text = _TEMPLATE.format(
        scratch=path.parent / "scratch",
        workspace=workspace,
        source="\n".join(f"      {line}" for line in lines),
        share=json.dumps(str(share.expanduser().absolute())),
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    try:
        load_settings()
    except SettingsError:
        path.unlink()
        raise
    return path

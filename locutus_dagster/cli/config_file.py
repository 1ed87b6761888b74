"""Writing a first `locutus.yaml`.

What belongs here: the commented text of the file, and who may read it. What does not: what the keys
mean to the program (`settings/`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from locutus_dagster.errors import LocutusError
from locutus_dagster.secret_refs import REFERENCES
from locutus_dagster.settings import SettingsError, config_file, load_settings
from locutus_dagster.settings.schema import schema_text
from locutus_dagster.strict_model import expanded, without_password

__all__ = ["SCHEMA_FILE", "write_privately", "write_settings_file"]

#: Written beside the settings, so that an editor without a network finds it.
SCHEMA_FILE = "locutus.schema.json"

_TEMPLATE = """\
# yaml-language-server: $schema={schema}

# Settings of Locutus on Dagster; docs/settings.md has every key. The environment wins over this
# file: LOCUTUS_SCRATCH_LIMIT=50GiB, LOCUTUS_WORKSPACES__{capitals}__POLICY=research.
# Look with `locutus config show` and `locutus config check --secrets`.
#
# A secret is better not written here. In its place stands a reference: vault:mount/path#key,
# env:NAME or file:/path.

# Interim files live here for seconds, on a fast local disk (mode 0700).
#scratch: {scratch}
#scratch_limit: 20GiB       # accessions wait for each other rather than fill the disk
#workers: 2                 # processes; default: the number of cores
#batch_size: 50             # accessions in one Dagster run of a backfill
#keep_interim_files: false  # true keeps IDENTIFIED files for debugging

# The ledger is SQLite in the home folder, or PostgreSQL.
#ledger_url: postgresql://locutus@db/locutus
# Or part by part, so that the parts can be references:
# ledger: {{host: db, name: locutus, user: locutus, password: "vault:secret/locutus-db#password"}}

# Where vault: references lead.
#vault:
#  address: https://vault.example:8200   # default: VAULT_ADDR
#  auth: token                           # or approle (role_id, secret_id), kubernetes (role)
#  token: env:VAULT_TOKEN

# How a run goes about its accessions, unless it is told otherwise.
#run:
#  reprocess: none          # or force, predelete, preretire, preretire-only-changed, \
allow-if-only-config-changed
#  sweep: manifest          # what is half done: of the manifest, of the whole workspace, or off
#  until_converged: false   # true: pass after pass until nothing changes
#  max_passes: 11
#  pass_wait: 45            # seconds between two passes
#  withdraw: false          # true removes superseded deliveries from their target

workspaces:
  {workspace}:
    source:
{source}
    # Any number of targets, by names of your own; each confirms for itself.
    targets:
{targets}
    #policy: basic              # or research, or the path of a policy file
    #modalities: [CR, CT, DX, MR, NM, OT, RF, US, XA, XR]   # or any; by default the policy's
    #several_patients: withhold # or allow; by default as the policy says
    #subject_preface: ""        # put before every research identity
    #owners: ["team:imaging"]
    #secret: file:/etc/locutus/{workspace}.secret   # default: a file in the home, made on first use
    #schedule: {{cron: "0 3 * * *", timezone: UTC}}   # what is not finished, every night
    #pool_limit: 1              # runs of this workspace at a time
    #qc:
    #  enabled: false           # true: a person reviews before anything is delivered
"""

_KEY = """\
        #key_template: "{top}/{subject_id}/{imaging_type}/{age}/{anatomical_position}/\
uuid_{study}.zip"
        #top: .TopLevel
        #required: true          # false: an accession counts as delivered without it
"""

_S3 = """\
        #region: eu-central-1
        #endpoint_url: https://store.example   # of a store that is not Amazon's
        #access_key_id: env:S3_KEY             # default: as boto3 finds them
        #secret_access_key: env:S3_SECRET
        #encryption: AES256                    # or aws:kms with kms_key_id, or null
"""

_GCS = """\
        #project: our-project
        #credentials: file:/etc/locutus/gcs.json   # default: as Google's libraries find them
"""


def write_settings_file(
    *,
    workspace: str,
    orthanc: str | None,
    username: str | None,
    password: str | None,
    folder: Path | None,
    share: Path | None,
    s3_bucket: str | None = None,
    gcs_bucket: str | None = None,
) -> Path:
    """Write the file where it will be read, the schema beside it, and check that it can be read.

    Raises:
        LocutusError: a file is there already, the choice of source or target is unclear, or a
            password would stand in the file.
    """
    if (orthanc is None) == (folder is None):
        raise LocutusError("Name one source: --orthanc URL or --folder PATH.")
    if share is None and s3_bucket is None and gcs_bucket is None:
        raise LocutusError(
            "Name a target: --share PATH, --s3-bucket NAME or --gcs-bucket NAME.",
            "Several of them are as good as one.",
        )
    if password is not None and not password.startswith(REFERENCES):
        raise LocutusError(
            "A password does not belong into a file or a shell history.",
            "Give a reference: --password env:NAME, --password file:/path or "
            "--password vault:mount/path#key.",
        )
    if orthanc is not None and _names_a_user(orthanc):
        raise LocutusError(
            "A user or a password does not belong into Orthanc's URL, which is shown and logged.",
            "Give the URL without it, and --username NAME --password env:NAME (or file:/path, or "
            "vault:mount/path#key).",
        )
    path = config_file()
    if path.exists():
        raise LocutusError(f"{path} exists already.", "Edit it, or move it away first.")
    text = _TEMPLATE.format(
        schema=SCHEMA_FILE,
        capitals=workspace.upper(),
        scratch=path.parent / "scratch",
        workspace=workspace,
        source=_source(orthanc, username, password, folder),
        targets=_targets(share, s3_bucket, gcs_bucket),
    )
    write_privately(path, text, "Move it away first, or set LOCUTUS_CONFIG to another place.")
    try:
        load_settings()
    except SettingsError:
        path.unlink()
        raise
    (path.parent / SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")
    return path


def write_privately(path: Path, text: str, remedy: str) -> None:
    """Write a new file that nobody else may read (mode 0600), whole or not at all.

    Args:
        remedy: what to do where it cannot be written.

    Raises:
        LocutusError: it is there already, or cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Exclusive: a file that was made since we looked is not ours to replace either.
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise LocutusError(f"{path} exists already.", remedy) from None
    except OSError as error:
        raise LocutusError(f"{path} cannot be written ({error.strerror}).", remedy) from None


def _names_a_user(url: str) -> bool:
    authority = url.partition("://")[2].partition("/")[0]
    return "@" in authority or without_password(url) != url


def _source(
    orthanc: str | None, username: str | None, password: str | None, folder: Path | None
) -> str:
    if orthanc is not None:
        lines = ["kind: orthanc", f"url: {json.dumps(orthanc)}"]
        lines += [f"username: {json.dumps(username)}"] if username else []
        lines += [f"password: {json.dumps(password)}"] if password else []
        lines += ["#verify: /etc/ssl/hospital-ca.pem   # authorities to trust"]
    else:
        lines = ["kind: folder", f"path: {json.dumps(str(Path(folder or '').absolute()))}"]
    return "\n".join(f"      {line}" for line in lines)


def _targets(share: Path | None, s3_bucket: str | None, gcs_bucket: str | None) -> str:
    parts = []
    begin = "      {kind}:\n        kind: {kind}\n        {key}: {value}\n"
    if share is not None:
        place = json.dumps(str(expanded(str(share), "--share").absolute()))
        parts.append(begin.format(kind="share", key="path", value=place) + _KEY)
    for kind, bucket, more in (("s3", s3_bucket, _S3), ("gcs", gcs_bucket, _GCS)):
        if bucket is not None:
            name = json.dumps(bucket)
            parts.append(begin.format(kind=kind, key="bucket", value=name) + more + _KEY)
    return "".join(parts).rstrip("\n")

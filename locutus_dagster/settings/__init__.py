"""What the system is told: one typed model, read from `locutus.yaml`, the environment and Vault.

What belongs here: names, types, defaults and validation of settings, and where they are read from.
What does not: secrets themselves (`secret_refs.py` resolves references at the moment of use), and
anything that acts on a setting.
"""

from locutus_dagster.run_modes import Reprocess, Sweep
from locutus_dagster.settings.effective import Effective, effective, origins_of
from locutus_dagster.settings.faults import Fault, FaultySettingsError
from locutus_dagster.settings.key_templates import DEFAULT_KEY_TEMPLATE, KEY_TEMPLATES
from locutus_dagster.settings.model import LedgerSettings, Settings, config_file
from locutus_dagster.settings.origins import Origin
from locutus_dagster.settings.reading import load_settings
from locutus_dagster.settings.schedules import ScheduleSettings
from locutus_dagster.settings.sources import (
    DicomWebSourceSettings,
    FolderSourceSettings,
    OrthancSourceSettings,
    OtherSourceSettings,
    SourceSettings,
)
from locutus_dagster.settings.targets import (
    AnyTargetSettings,
    GcsTargetSettings,
    OtherTargetSettings,
    S3TargetSettings,
    ShareTargetSettings,
    TargetSettings,
)
from locutus_dagster.settings.watching import (
    ArrivalRule,
    NotifySettings,
    ReportSettings,
    WatchSettings,
)
from locutus_dagster.settings.workspace import (
    QcSettings,
    RunSettings,
    WorkspaceSettings,
)
from locutus_dagster.strict_model import SettingsError, parse_size
from locutus_dagster.vault.options import VaultSettings

__all__ = [
    "DEFAULT_KEY_TEMPLATE",
    "KEY_TEMPLATES",
    "AnyTargetSettings",
    "ArrivalRule",
    "DicomWebSourceSettings",
    "Effective",
    "Fault",
    "FaultySettingsError",
    "FolderSourceSettings",
    "GcsTargetSettings",
    "LedgerSettings",
    "NotifySettings",
    "Origin",
    "OrthancSourceSettings",
    "OtherSourceSettings",
    "OtherTargetSettings",
    "QcSettings",
    "ReportSettings",
    "Reprocess",
    "RunSettings",
    "S3TargetSettings",
    "ScheduleSettings",
    "Settings",
    "SettingsError",
    "ShareTargetSettings",
    "SourceSettings",
    "Sweep",
    "TargetSettings",
    "VaultSettings",
    "WatchSettings",
    "WorkspaceSettings",
    "config_file",
    "effective",
    "load_settings",
    "origins_of",
    "parse_size",
]

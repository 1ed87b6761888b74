"""The reference's keys beside those of processing: its kill switch, its Summarizer, the rest.

What belongs here: names and words, as in `keys.py`. What does not: anything else.
"""

from __future__ import annotations

from locutus_dagster.reference_config.key_model import ReferenceKey, both, entry, variable

__all__ = ["ENTRIES", "NO_STAGER", "SUMMARIZER", "SYSTEM_STATUS", "VARIABLES"]

_STATS = "dicom_summarize_stats_"
_SWITCHED = "The kill switch is a command: 'locutus pause' and 'locutus resume'"
NO_STAGER = "Studies are looked up in Orthanc itself; there is no copy of its changes to keep up"
_SHOWN_BY_DAGSTER = "Dagster keeps it of every run: its identifier, tags, host and code version"

SYSTEM_STATUS: tuple[ReferenceKey, ...] = (
    both("process_locutus_system_status", "", f"{_SWITCHED}; 'locutus pause --list' shows it"),
    both("locutus_use_system_status_node", "", f"{_SWITCHED}, with --node for one host"),
    both("locutus_use_system_status_node_name", "", f"{_SWITCHED}: --node takes the name", "text"),
    both("locutus_use_system_status_module", "", f"{_SWITCHED}, with --module for one module"),
    both(
        "locutus_use_system_status_module_name",
        "",
        f"{_SWITCHED}: --module takes the name",
        "text",
    ),
    both(
        "locutus_system_status_enable_db_updates",
        "",
        f"{_SWITCHED} always set it; --list only looks",
    ),
    both("locutus_set_system_status", "", f"{_SWITCHED} set it"),
    both("locutus_set_system_status_to_value", "", f"{_SWITCHED} are the two values"),
)

SUMMARIZER: tuple[ReferenceKey, ...] = (
    both(
        "process_dicom_summarize_stats",
        "",
        "A command at any time: 'locutus summarize'; schedules: workspaces.NAME.reports",
    ),
    both(
        f"{_STATS}manifest_csv",
        "",
        "Loaded once, 'locutus summarize' takes its name; --file takes any other file",
        "path",
    ),
    both(f"{_STATS}module", "", "There is one module, and --workspace chooses the project", "text"),
    both(
        f"{_STATS}show_accessions",
        "",
        "'locutus summarize' lists rows, 'locutus summarize --overview' counts alone",
    ),
    both(
        f"{_STATS}redact_accessions",
        "",
        "'locutus summarize --redact', complete; scheduled reports have reports.redact",
    ),
    both(
        f"{_STATS}show_multiuuids",
        "",
        "'locutus summarize --studies', and 'locutus resolve' for each accession",
    ),
    both(
        f"{_STATS}enable_db_updates",
        "",
        "Looking never writes; what writes is a command of its own, with a dry run",
    ),
    both(
        f"{_STATS}preload_new_accessions_per_manifest",
        "",
        "'locutus preload MANIFEST', which only writes with --apply",
    ),
    both(
        f"{_STATS}preload_new_accessions_per_manifest_preprocessing_suffix",
        "",
        "'locutus preload --suffix'; the same by default",
        "text",
    ),
    both(
        f"{_STATS}preset_reprocessing_status",
        "",
        "'locutus preset MANIFEST', which only writes with --apply",
    ),
    both(
        f"{_STATS}preset_reprocessing_status_suffix",
        "",
        "'locutus preset --suffix'; the same by default",
        "text",
    ),
    both(
        f"{_STATS}resolve_multiuuids",
        "",
        "'locutus resolve --plan', then '--apply' after somebody has read the plan",
    ),
    both(
        "dicom_summarize_dicom_stage_config_vault_path",
        "",
        "The workspace's own source is asked (onprem_dicom_stage_config_vault_path)",
        "vault",
    ),
    both(
        "dicom_summarize_onprem_flywheel_group",
        "workspaces.NAME.reports.flywheel_group",
        "What stands in that column of a report",
        "text",
    ),
    both(
        "dicom_summarize_onprem_flywheel_project",
        "workspaces.NAME.reports.flywheel_project",
        "What stands in that column of a report",
        "text",
    ),
)

VARIABLES: tuple[ReferenceKey, ...] = (
    variable("PATH_TO_CONFIG", "", "Where config.yaml is: the file, its folder, or vault:PATH"),
    variable("CURR_ENV", "", "Which configuration of an entry of Vault: production, develop, …"),
    variable("VAULT_ADDR", "vault.address", "Where Vault is"),
    variable("VAULT_TOKEN", "vault.token", "Always a reference to the variable", secret=True),
    variable("VAULT_NAMESPACE", "vault.namespace", "Where a path does not name its own"),
    variable(
        "GOOGLE_APPLICATION_CREDENTIALS",
        "",
        "Google's own library reads it, when the target is opened",
    ),
    variable(
        "GOOGLE_APPLICATION_CREDENTIALS_SOURCE_VAULT_PATH",
        "workspaces.NAME.targets.gcs.credentials",
        "A reference to the entry's one key; nothing is written to a file",
    ),
    variable("JOB_DESCRIPTION", "", "A run's label: 'locutus run --label'"),
    variable("INPUT_MANIFEST_NAME", "", "A manifest has a name of its own since it was loaded"),
    variable("ENV_CONFIG_PATH", "", "Every value's origin names its file: 'locutus config show'"),
    *(
        variable(name, "", _SHOWN_BY_DAGSTER)
        for name in (
            "JOB_NAME",
            "BUILD_NUMBER",
            "JENKINS_BUILD_NAME",
            "JENKINS_BUILD_NUMBER",
            "DOCKERHOST_HOSTNAME",
            "DOCKERHOST_CONTAINER_NAME",
            "DOCKERHOST_IMAGE_TAG",
            "LOCUTUS_DOCKERHOST_CONTAINER_NAME",
            "LOCUTUS_DOCKERHOST_IMAGE_TAG",
        )
    ),
    variable(
        "XTRA_DOCKER_RUN_FLAGS",
        "",
        "How a container is started is a matter of whoever starts it: docker, Helm, Dagster's "
        "launcher",
    ),
)

ENTRIES: tuple[ReferenceKey, ...] = (
    entry("db_host", "ledger.host", "A reference to it", secret=True),
    entry("db_name", "ledger.name", "A reference to it", secret=True),
    entry("user", "ledger.user", "A reference to it", secret=True),
    entry("password", "ledger.password", "A reference to it", secret=True),
    entry("orthanc_hostname", "workspaces.NAME.source.url", "The host of the address"),
    entry("orthanc_portnum", "workspaces.NAME.source.url", "The port of the address"),
    entry("orthanc_user", "workspaces.NAME.source.username", "Taken over as it is"),
    entry("orthanc_password", "workspaces.NAME.source.password", "A reference to it", secret=True),
    entry("dicom_stage_DB_vault_path", "", NO_STAGER),
    entry("dicom_stage_DB_use_dev_suffix", "", NO_STAGER),
    entry("dicom_stage_DB_dev_suffix", "", NO_STAGER),
)

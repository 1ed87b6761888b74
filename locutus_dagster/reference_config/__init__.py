"""The reference's configuration, read as it is and told in our words; see `layer.py`.

What belongs here: its keys, its file, its environment, its entries in Vault, and what they become.
What does not: our settings themselves (`settings/`, which lie above and are not imported here).
"""

from locutus_dagster.reference_config.keys import REFERENCE_KEYS, ReferenceKey
from locutus_dagster.reference_config.layer import (
    ReferenceConfigError,
    ReferenceLayer,
    config_path,
    layer,
)

__all__ = [
    "REFERENCE_KEYS",
    "ReferenceConfigError",
    "ReferenceKey",
    "ReferenceLayer",
    "config_path",
    "layer",
]

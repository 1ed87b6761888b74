"""Where results go: the `Target` protocol, its kinds, and the keys that deliveries get."""

from locutus_dagster.targets.base import Receipt, Target, TargetError, Withdrawal
from locutus_dagster.targets.keys import delivery_key
from locutus_dagster.targets.share import ShareTarget

__all__ = ["Receipt", "ShareTarget", "Target", "TargetError", "Withdrawal", "delivery_key"]

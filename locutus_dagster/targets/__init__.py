"""Where results go: the `Target` protocol, its kinds, and the keys that deliveries get."""

from locutus_dagster.targets.base import Receipt, Target, TargetContext, TargetError, Withdrawal
from locutus_dagster.targets.keys import delivery_key

__all__ = ["Receipt", "Target", "TargetContext", "TargetError", "Withdrawal", "delivery_key"]

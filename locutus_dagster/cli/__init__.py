"""The `locutus` command: arguments and what is printed, over the rooms that do the work."""

from locutus_dagster.cli.app import app

__all__ = ["app"]

"""Tests of `locutus_dagster.settings`."""

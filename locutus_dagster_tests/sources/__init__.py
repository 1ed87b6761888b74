"""Tests of `locutus_dagster.sources`."""

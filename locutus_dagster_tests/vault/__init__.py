"""Tests of `locutus_dagster.vault`, and of references that lead there."""

"""Locutus on Dagster: clinical radiology, de-identified, from a manifest to a delivery.

Only the package's version lives here; every room of the house is imported by its own name.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("locutus-dagster")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]

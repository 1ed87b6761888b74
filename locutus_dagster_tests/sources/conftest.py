"""What the tests of sources share: identifiers that must not get out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator

import pytest


class Told:
    """What was logged and warned during a test."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self.warnings: list[warnings.WarningMessage] = []

    def __str__(self) -> str:
        return self._caplog.text + "".join(str(one.message) for one in self.warnings)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Told]:
    """Everything logged (at any level, by any library) and warned while the test runs."""
    for name in (None, "httpx", "httpcore", "httpcore.http11", "httpcore.connection", "pydicom"):
        caplog.set_level(logging.DEBUG, logger=name)
    everything = Told(caplog)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        everything.warnings = caught
        yield everything

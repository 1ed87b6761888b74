"""Reports as files in a folder: all of what is asked for or nothing, one writer at a time."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest

from locutus_dagster.summarizer.forms import ReportError
from locutus_dagster.summarizer.reporting import write_reports
from locutus_dagster_tests.summarizer.reports import a_summary


def test_nothing_is_written_where_one_of_the_forms_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no form 'md'"):
        write_reports(a_summary(), ["csv", "md"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_writers_of_one_folder_follow_each_other(tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    other = threading.Thread(target=write_reports, args=(a_summary(), ["csv"], tmp_path))
    other.start()
    other.join(0.3)
    assert other.is_alive()
    assert list(tmp_path.iterdir()) == []
    os.close(held)
    other.join(20)
    assert [path.suffix for path in tmp_path.iterdir()] == [".csv"]

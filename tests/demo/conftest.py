"""The docstrings of the real standard library, read once for all tests of the demo."""

import sysconfig
from pathlib import Path

import pytest

from minibert.demo.docstrings import EmbeddedData, collect
from minibert.demo.sources import standard_library


@pytest.fixture(scope="session")
def standard_library_data() -> EmbeddedData:
    """Collect from the standard library alone, without the packages that only pretraining reads."""
    return collect(standard_library(Path(sysconfig.get_paths()["stdlib"])))

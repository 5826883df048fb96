"""What tests of several processes share."""

from collections.abc import Iterator

import pytest
from rank_runs import Together


@pytest.fixture(scope="session")
def together() -> Iterator[Together]:
    processes = Together()
    yield processes
    processes.close()

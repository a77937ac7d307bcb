"""What several tests of sources share."""

from __future__ import annotations

import pytest
from pyiceberg.catalog.memory import InMemoryCatalog


@pytest.fixture
def catalog(tmp_path):
    made = InMemoryCatalog("c", warehouse=f"file://{tmp_path}/w")
    made.create_namespace("n")
    yield made
    made.close()

"""Fixtures that test folders share by importing them into their conftest."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from pipeline.support.home import Home
from pipeline.warehouse.writer import Warehouse
from tests.staging.landed import NewWorkshop, Workshop


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty warehouse; copying it is six times faster than creating one."""
    home = Home(tmp_path_factory.mktemp("template"))
    warehouse = Warehouse(home)
    assert warehouse.connection
    warehouse.close()
    return home.warehouse


@pytest.fixture(scope="session")
def new_workshop(template: Path, tmp_path_factory: pytest.TempPathFactory) -> NewWorkshop:
    """Factory of workshops, for tests that need several, or one for each example."""
    folder = tmp_path_factory.mktemp("workshops")
    numbers = count(1)
    return lambda: Workshop(folder / str(next(numbers)), template)


@pytest.fixture
def workshop(new_workshop: NewWorkshop) -> Iterator[Workshop]:
    """One workshop for one test."""
    with new_workshop() as made:
        yield made

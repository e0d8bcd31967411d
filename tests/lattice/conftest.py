"""The build with which all worlds of this folder are compared."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lattice.worlds import Built, build


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The ordinary accounts alone."""
    return build(tmp_path_factory.mktemp("ordinary"), [])


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of a world; worlds are large, so nothing of them is kept."""
    import shutil

    made = tmp_path_factory.mktemp("world")
    yield made
    shutil.rmtree(made, ignore_errors=True)

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.settings import Settings, load
from pipeline.support.errors import UsageError

Line = Callable[[str | bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write an accounts.toml, each to a new file, and return its path."""
    numbers = itertools.count(1)

    def write(text: str | bytes) -> Path:
        path = tmp_path / f"accounts-{next(numbers)}.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


@pytest.fixture
def loaded(write: Callable[[str | bytes], Path]) -> Callable[[str], Settings]:
    """Read valid settings."""
    return lambda text: load(write(text))


@pytest.fixture
def line(write: Callable[[str | bytes], Path]) -> Line:
    """The one line with which an invalid file is refused, after the file's name."""

    def line(text: str | bytes) -> str:
        path = write(text)
        with pytest.raises(UsageError) as refused:
            load(path)
        words = str(refused.value)
        assert refused.value.exit_code == 2
        assert words.startswith(f"{path}: ")
        assert words.isprintable(), "one line, without control characters"
        return words.removeprefix(f"{path}: ")

    return line

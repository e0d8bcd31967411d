"""Reading of accounts.toml."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

from pydantic import ValidationError

from pipeline.settings.table import first_mistake
from pipeline.settings.typed_settings import Settings
from pipeline.support.errors import UsageError


def accounts_path() -> Path:
    """The file that `DRAWDOWN_ACCOUNTS` names, or else `./accounts.toml`."""
    return Path(os.environ.get("DRAWDOWN_ACCOUNTS") or "accounts.toml")


def load(path: Path | None = None) -> Settings:
    """Read and check accounts.toml.

    Raises UsageError with one line that names the file, the account and the key.
    """
    path = path or accounts_path()
    try:
        # Some editors begin a file with a byte order mark, which TOML does not allow.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; `drawdown init` writes one to start from") from None
    except OSError as problem:
        raise UsageError(f"{path}: cannot be read: {problem.strerror}; DRAWDOWN_ACCOUNTS names the file") from None
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path}: is not UTF-8: {problem.reason} at byte {problem.start}") from None
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{path}: not TOML that can be read: nested too deeply") from None
    except ValueError as problem:
        # tomllib's message contains a key or position, never a value.
        hint = " (is an account or a key there twice?)" if re.search("twice|overwrite", str(problem)) else ""
        raise UsageError(f"{path}: not TOML: {problem}{hint}") from None
    context = {"source": str(path), "loopback": document.get("allow_http_loopback") is True}
    try:
        return Settings.model_validate(document, context=context)
    except ValidationError as problem:
        raise UsageError(f"{path}: {first_mistake(problem)}") from None

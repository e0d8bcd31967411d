"""docs/extending.md: its vendor and its table, added to the letter in a copy of the project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from tests.docs.pages import CLONE, DOCS, Block, blocks_under
from tests.docs.shell import all_well, type_in

pytestmark = pytest.mark.long

PAGE = DOCS / "extending.md"
KEY = "canary-acme-5f1c"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project, with a `drawdown` in `bin` that runs it."""
    folder = tmp_path / "copy"
    skipped = shutil.ignore_patterns("__pycache__", "_sql")
    for name in ("pipeline", "sql", "tests", "docs"):
        shutil.copytree(CLONE / name, folder / name, ignore=skipped)
    for name in ("pyproject.toml", ".sqlfluff", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(CLONE / name, folder / name)
    command = folder / "bin" / "drawdown"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pipeline.cli "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return folder


def _under(heading: str, *languages: str) -> list[Block]:
    """Blocks of these languages in one section of the page."""
    return [block for language in languages for block in blocks_under(PAGE, heading, language)]


def _environment(copy: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": str(copy),
        "ACME_API_KEY": KEY,
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
        "DRAWDOWN_TEST_BODIES": "100",
    }


def _write_files(copy: Path, labelled: list[Block]) -> None:
    for block in labelled:
        assert block.label is not None
        path = copy / block.label
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")


def _lint(copy: Path, *paths: str) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    for arguments in (["check", "--no-cache"], ["format", "--no-cache", "--check"]):
        done = subprocess.run([ruff, *arguments, *paths], cwd=copy, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def _serve_acme(httpserver: HTTPServer, copy: Path) -> None:
    for endpoint in ("wallet", "movements"):
        body = json.loads((copy / f"tests/vendors/acme/{endpoint}.json").read_text(encoding="utf-8"))
        httpserver.expect_request(f"/v2/{endpoint}", method="GET", headers={"X-Acme-Key": KEY}).respond_with_json(body)


def test_a_vendor_added_by_the_page_has_its_balance_in_the_account_table(copy: Path, httpserver: HTTPServer) -> None:
    files = _under("A vendor", "python", "json")
    _write_files(copy, files)
    assert {block.label for block in files} == {
        f"{place}/acme/{name}"
        for place, names in {
            "pipeline/vendors": ["__init__.py", "client.py", "parse.py"],
            "tests/vendors": ["wallet.json", "movements.json"],
        }.items()
        for name in names
    }
    _lint(copy, "pipeline/vendors/acme")
    _serve_acme(httpserver, copy)
    (account,) = _under("A vendor", "toml")
    (copy / "accounts.toml").write_text(
        f'allow_http_loopback = true\n\n{account.text}base_url = "{httpserver.url_for("/v2")}"\n', encoding="utf-8"
    )

    steps = [step for block in _under("A vendor", "console") for step in block.transcript()]
    ran = type_in([command for command, _ in steps], copy, _environment(copy), copy / "bin")

    all_well(ran)
    assert all(" passed" in each.out[-1] and "failed" not in each.out[-1] for each in ran[:2])
    for (command, shown), each in zip(steps, ran, strict=True):
        if command.startswith("drawdown sql"):
            assert shown == each.out
    assert "| `wallet` | GET /wallet, documented: the balance, and the amount below which Acme warns. |" in (
        copy / "docs/vendors.md"
    ).read_text(encoding="utf-8")
    assert 'vendor = "acme"' in (copy / "accounts.example.toml").read_text(encoding="utf-8")
    assert httpserver.log
    assert not [path for path in (copy / "data").rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_the_new_vendors_assets_are_those_that_the_page_names(copy: Path) -> None:
    _write_files(copy, _under("A vendor", "python", "json"))
    code = (
        "from pipeline.orchestration.definitions import defs\n"
        "print(*(spec.key.to_user_string() for spec in defs.resolve_all_asset_specs()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=copy,
        env={**os.environ, **_environment(copy)},
        capture_output=True,
        text=True,
        check=True,
    )
    named = {f"landing/acme_{name}" for name in ("wallet", "movements")}
    named |= {f"staging/acme_{name}" for name in ("balances", "ledger_entries")}

    assert {key for key in done.stdout.split() if "acme" in key} == named
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{key}`" in text for key in named)


def test_a_table_added_by_the_page_passes_its_case_and_is_published(copy: Path, published_home: Path) -> None:
    _write_files(copy, _under("A table", "sql", "yaml"))
    shutil.copytree(published_home, copy / "data", symlinks=True)

    (block,) = _under("A table", "console")
    query = "select count(*) as column_count from marts.data_dictionary where table_name = 'marts.open_entries'"
    commands = [
        *block.commands(),
        "drawdown rebuild",
        f'drawdown sql "{query}"',
        'drawdown sql "from marts.open_entries"',
    ]
    ran = type_in(commands, copy, _environment(copy), copy / "bin")

    all_well(ran)
    # Its case, and the plan of its SELECT.
    assert "2 passed" in ran[0].out[-1]
    assert ran[2].out[-1].strip() == "6"
    assert (copy / "data/published/parquet/marts.open_entries.parquet").exists()

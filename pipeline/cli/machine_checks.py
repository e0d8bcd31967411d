"""Checks of this machine for `drawdown doctor`: file permissions, reachable web servers, free disk space."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.support.home import Home

if TYPE_CHECKING:
    import psutil

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_GIB: Final = 1024**3
_OURS: Final = "drawdown serve"
_GUARDED: Final = "pipeline.orchestration.web_interface"
"""Module that starts Dagster's web server so that it answers only to known host names."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of one check."""

    state: str
    """`ok`, `warn` or `fail`."""
    about: str
    finding: str


def look(home: Home, accounts: Path, *, least_free_bytes: int) -> Iterator[CheckResult]:
    """Check accounts.toml, the state folder, Dagster's records, web servers and the disk."""
    yield from _settings(accounts)
    yield from reachable_servers()
    yield from _records(home)
    if not home.path.exists():
        yield CheckResult("ok", str(home.path), "does not exist yet; the first run creates it")
        return
    yield from _private(home)
    if home.sandbox_accounts.exists() and accounts.absolute() != home.sandbox_accounts:
        yield CheckResult(
            "warn", str(home.path), "holds the demo's data; set DRAWDOWN_HOME to another folder for accounts"
        )
    if not os.access(home.path, os.W_OK):
        yield CheckResult("fail", str(home.path), "cannot be written to")
    yield _room(home, least_free_bytes)


def _settings(accounts: Path) -> Iterator[CheckResult]:
    # base_url decides where a key is sent.
    if accounts.stat().st_mode & stat.S_IWOTH:
        yield CheckResult("warn", str(accounts), f"any user can change where keys are sent; chmod o-w {accounts}")
    folder = accounts.absolute().parent
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield CheckResult("warn", str(folder), f"any user can replace {accounts.name}; chmod o-w {folder}")


def _private(home: Home) -> Iterator[CheckResult]:
    loose = [home.path] if _is_for_others(home.path) else []
    for folder, folders, files in os.walk(home.path):
        here = Path(folder)
        loose += [path for path in map(here.joinpath, sorted(folders + files)) if _is_for_others(path)]
        # Dagster chooses the modes of its files; the folder's mode keeps other users out.
        folders[:] = [name for name in folders if here / name != home.dagster]
    if loose:
        count = f"{len(loose)} of its files and folders" if len(loose) > 1 else "it"
        yield CheckResult(
            "warn",
            str(home.path),
            f"other users can read or change {count}, such as {loose[0]}; chmod -R go= {home.path}",
        )


def _records(home: Home) -> Iterator[CheckResult]:
    """Check Dagster's records outside the state folder, because they contain balances."""
    folder = os.environ.get("DAGSTER_HOME")
    if folder and home.path not in Path(folder).parents and _is_for_others(Path(folder)):
        yield CheckResult("warn", folder, f"other users can read Dagster's records of each run; chmod 700 {folder}")


def _is_for_others(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISLNK(mode) and bool(mode & _OTHERS)


def _room(home: Home, least_free_bytes: int) -> CheckResult:
    free = shutil.disk_usage(home.path).free
    # A rebuild makes a second warehouse beside the old one, and a build from it.
    needed = max(least_free_bytes, 2 * home.warehouse.stat().st_size if home.warehouse.exists() else 0)
    if free > needed:
        return CheckResult("ok", str(home.path), f"{free / _GIB:.1f} GiB free")
    return CheckResult(
        "warn",
        str(home.path),
        f"{free / _GIB:.1f} GiB free, but a rebuild needs {needed / _GIB:.1f}; make room, or move the folder to a "
        "larger disk and set DRAWDOWN_HOME",
    )


def reachable_servers() -> Iterator[CheckResult]:
    """Find web servers of Dagster or Drawdown that other machines reach, and local ones: none has a login.

    If the sockets of a process cannot be inspected, such as another user's, its command line is used.
    """
    import psutil

    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            name = _server_name(words)
            addresses = _listens_on(process, words) if name else []
        except psutil.Error:
            continue  # ended, or not accessible to this user
        for host, port in addresses:
            shown = f"[{host}]" if ":" in host else host
            where = f"listens on {shown}{f':{port}' if port else ''}"
            about = f"{name} (process {process.pid})"
            if not _is_loopback(host):
                yield CheckResult(
                    "warn",
                    about,
                    f"{where}, where other machines reach it, and it has no login; start it on 127.0.0.1, and put a "
                    "proxy with a login and TLS before it",
                )
            elif name != _OURS and not _is_guarded(words):
                yield CheckResult(
                    "warn",
                    about,
                    f"{where} and answers to any name, so that a page on the Internet can read balances and start runs "
                    f"there through a browser of this machine; start it with `python -m {_GUARDED}`",
                )
            elif name != _OURS:
                yield CheckResult(
                    "ok", about, f"{where}: this machine's users see every balance there, and can start runs"
                )


def _server_name(words: Sequence[str]) -> str | None:
    """Name of the web server that a command line starts; None if it starts none."""
    # An interpreter and its options may precede the command.
    for place, word in enumerate(words[:4]):
        command, following = Path(word).name, words[place + 1 : place + 2]
        if command in ("dagster-webserver", "dagster_webserver", _GUARDED):
            return "Dagster's web server"
        if command in ("dagster", "dg") and following == ["dev"]:
            return "dagster dev"
        if command == "drawdown" and following == ["serve"]:
            return _OURS
    return None


def _is_guarded(words: Sequence[str]) -> bool:
    return any(Path(word).name == _GUARDED for word in words[:4])


def _listens_on(process: psutil.Process, words: Sequence[str]) -> list[tuple[str, int | None]]:
    import psutil

    try:
        connections = process.net_connections("tcp")
    except psutil.AccessDenied:
        return [(host, None) for host in _hosts_named(words)]
    return [(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN]


def _hosts_named(words: Sequence[str]) -> list[str]:
    """Addresses given with `-h` and `--host`."""
    hosts = [following for word, following in pairwise(words) if word in ("-h", "--host")]
    return hosts + [word.removeprefix("--host=") for word in words if word.startswith("--host=")]


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback

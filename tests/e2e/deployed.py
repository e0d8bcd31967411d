"""A server made by the commands of docs/deploy/README.md, under a temporary folder instead of the root."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from tests.docs.pages import CLONE, DOCS, blocks
from tests.docs.shell import Ran, type_in

PAGE = DOCS / "deploy" / "README.md"
COMMANDS = [command for block in blocks(PAGE, "console") for command in block.commands()]
RECORDED = ("apt-get", "systemctl", "useradd")
"""Commands that would change this machine: they are only written down."""

_PREFIXES = ("/opt/drawdown", "/etc/drawdown", "/etc/systemd", "/etc/cron.d", "/usr/local/bin")
_STATE_PREFIXES = ("/var/lib/drawdown", "/var/backups/drawdown")
_BORROWED = Path(duckdb.__file__).parents[1]
_SHIPPED = (
    "pipeline",
    "sql",
    "docs/deploy",
    "pyproject.toml",
    "requirements.lock",
    "README.md",
    "LICENSE",
    "accounts.example.toml",
    "workspace.yaml",
)
AWKWARD = 'p@ss w&rd;#|<>*?~!()[]{}"%^='
"""Value of a key with characters that are special to a shell or to systemd."""


@dataclass(frozen=True, slots=True)
class Server:
    """Result of following the page."""

    root: Path
    """Folder that stands for `/`."""
    user: str
    group: str
    ran: list[Ran]
    """The page's commands; those of the reader's own edits are left out."""

    def at(self, path: str) -> Path:
        """Where an absolute path of the page is."""
        return self.root / path.lstrip("/")

    def recorded(self) -> list[str]:
        """Commands that were only written down."""
        return (self.root / "recorded").read_text(encoding="utf-8").splitlines()

    def as_user(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the service's user, with the little that cron gives it."""
        return subprocess.run(
            ["runuser", "-u", self.user, "--", "env", "-i", "PATH=/usr/bin:/bin", *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd="/",
        )


def follow(root: Path) -> Server:
    """Run every command of the page as root, with the edits that it asks for in between."""
    user, group = _service_user()
    tools, origin = root / "tools", root / "origin"
    _make_tools(tools, root)
    _make_origin(origin, root, user, group)
    typed: list[tuple[str, bool]] = []
    for command in COMMANDS:
        typed += [(own, False) for own in _before(command, root, origin, user)]
        typed.append((_moved(command, root, user, group), True))
        typed += [(own, False) for own in _after(command, root, user)]
    typed = [(re.sub(r"^SOURCE=.*", f"SOURCE={origin}", command), is_shown) for command, is_shown in typed]
    # Everything is already in the borrowed packages; a download fails.
    environment = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    ran = type_in([command for command, _ in typed], root, environment, path=tools, timeout=900)
    for each, (_, is_shown) in zip(ran, typed, strict=True):
        assert is_shown or each.code == 0, each
    return Server(root, user, group, [each for each, (_, is_shown) in zip(ran, typed, strict=True) if is_shown])


def _service_user() -> tuple[str, str]:
    """An unprivileged user that can read this machine's packages; root where there is none."""
    reads = ["runuser", "-u", "nobody", "--", _python(), "-c", f"import os; os.listdir({str(_BORROWED)!r})"]
    if subprocess.run(reads, capture_output=True, check=False, cwd="/").returncode == 0:
        return "nobody", "nogroup"
    return "root", "root"


def _python() -> str:
    """An interpreter of this version with `ensurepip`: Debian's own, which every user can run, or this one's."""
    probe = f"import ensurepip, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    if Path("/usr/bin/python3").exists():
        done = subprocess.run(["/usr/bin/python3", "-c", probe], capture_output=True, check=False)
        if done.returncode == 0:
            return "/usr/bin/python3"
    return str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")


def _make_tools(tools: Path, root: Path) -> None:
    tools.mkdir()
    scripts = {name: f'echo "{name} $*" >> {root}/recorded' for name in RECORDED}
    scripts["python3"] = f'exec {_python()} "$@"'
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (tools / name).chmod(0o755)


def _make_origin(origin: Path, root: Path, user: str, group: str) -> None:
    """A repository of the files in this clone, committed or not, with the page's folders moved."""
    origin.mkdir()
    for name in _SHIPPED:
        source, target = CLONE / name, origin / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for path in (origin / "docs" / "deploy").iterdir():
        path.write_text(_moved(path.read_text(encoding="utf-8"), root, user, group), encoding="utf-8")
    (origin / ".gitignore").write_text(".venv\n__pycache__\n", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", origin], check=True)
    subprocess.run(_commit(origin), shell=True, check=True)  # noqa: S602 - the same text is typed into a shell later
    for prefix in ("etc/systemd/system", "etc/cron.d", "usr/local/bin", "opt", "var/lib", "var/backups"):
        (root / prefix).mkdir(parents=True)


def _commit(origin: Path) -> str:
    who = "-c user.name=ada -c user.email=ada@example.com"
    return f"git -C {origin} add --all && git -C {origin} {who} commit --quiet --no-gpg-sign --message=x"


def _moved(text: str, root: Path, user: str, group: str) -> str:
    """Text with the page's folders below `root`, and its user replaced by one that exists."""
    for prefix in (*_PREFIXES, *_STATE_PREFIXES):
        text = re.sub(rf"(?<![\w.]){re.escape(prefix)}(?![\w-])", f"{root}{prefix}", text)
    if text.startswith("useradd"):
        return text
    text = re.sub(r"(-[ou] |^User=)drawdown\b", rf"\g<1>{user}", text, flags=re.MULTILINE)
    text = re.sub(r"-g drawdown\b", f"-g {group}", text)
    return re.sub(r"^((?:\S+ ){5})drawdown ", rf"\g<1>{user} ", text, flags=re.MULTILINE)


def _before(command: str, root: Path, origin: Path, user: str) -> list[str]:
    """What happened on the server before a command."""
    state = root / "var/lib/drawdown"
    if command.startswith("NEWEST="):
        return [f"find {state} -mindepth 1 -maxdepth 1 ! -name readings.csv -exec rm -r {{}} +"]
    if command.startswith("git pull"):
        new = f"sed -i 's/0.1.0/0.1.1/' {origin}/pipeline/__init__.py {origin}/pyproject.toml"
        return [new, _commit(origin)]
    return []


def _after(command: str, root: Path, user: str) -> list[str]:
    """What the reader does after a command: install packages without a download, and edit the two files."""
    if "-m venv" in command:
        # The environment's own setuptools, an older one, would hide the borrowed one.
        return [
            ".venv/bin/python -m pip uninstall --quiet --yes setuptools",
            f"echo {_BORROWED} > .venv/lib/python3.{sys.version_info.minor}/site-packages/borrowed.pth",
            f"for name in dagster dagster-daemon; do sed '1s|.*|#!{root}/opt/drawdown/.venv/bin/python|' "
            f"{_BORROWED.parents[2]}/bin/$name > .venv/bin/$name && chmod 0755 .venv/bin/$name; done",
        ]
    if command.endswith("/etc/drawdown/drawdown.env"):
        return [f"cat >> {root}/etc/drawdown/drawdown.env <<'END'\nVPSBG_API_KEY='{AWKWARD}'\nEND"]
    if command.endswith("/etc/drawdown/accounts.toml"):
        now = datetime.now(UTC)
        readings = "".join(
            f"{now - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ},{1000 + days},EUR\\n" for days in range(20, -1, -1)
        )
        file = root / "var/lib/drawdown/readings.csv"
        accounts = f'[fx]\\nsource = "package"\\n[accounts.registrar]\\nvendor = "manual"\\npath = "{file}"\\n'
        return [
            f"printf 'observed_at_utc,balance_amount,unit_code\\n{readings}' > {file} && chown {user} {file} && chmod 0600 {file}",
            f"printf '{accounts}' > {root}/etc/drawdown/accounts.toml",
        ]
    return []


def cron_commands(server: Server) -> list[str]:
    """Commands of the installed crontabs, without their time and user."""
    lines = [line for path in sorted(server.at("/etc/cron.d").iterdir()) for line in path.read_text().splitlines()]
    timed = [line.split(" ", 6) for line in lines if re.match(r"[\d*]", line)]
    assert {fields[5] for fields in timed} == {server.user}
    return [fields[6] for fields in timed]


def is_root() -> bool:
    """Whether owners of files can be set."""
    return os.geteuid() == 0

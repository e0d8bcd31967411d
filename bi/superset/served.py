"""Superset on loopback over a temporary folder, and its REST API, for the test of the dashboard."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

_BIN = Path(sys.executable).parent
_USER = "admin"


class Api:
    """An administrator's session with a running Superset."""

    def __init__(self, url: str, password: str) -> None:
        self.url = url
        self.user = _USER
        self.password = password
        self._session = requests.Session()
        login = {"username": _USER, "password": password, "provider": "db"}
        token = self.send("POST", "security/login", json=login).json()["access_token"]
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.headers["Referer"] = url
        self._session.headers["X-CSRFToken"] = self.get("security/csrf_token/")["result"]

    def send(self, method: str, path: str, **more: Any) -> requests.Response:
        """Send one request, whatever its result."""
        return self._session.request(method, f"{self.url}/api/v1/{path}", timeout=300, **more)

    def get(self, path: str) -> Any:
        """Return the JSON of a path."""
        answer = self.send("GET", path)
        assert answer.ok, (path, answer.text)
        return answer.json()

    def import_dashboard(self, packed: Path) -> None:
        """Import a zip, as the button in Superset's list of dashboards does."""
        files = {"formData": (packed.name, packed.read_bytes(), "application/zip")}
        answer = self.send("POST", "dashboard/import/", files=files, data={"overwrite": "true"})
        assert answer.ok, answer.text

    def ids(self, things: str, name: str) -> dict[str, int]:
        """The ids of all datasets, charts or databases, by the field that names them."""
        return {thing[name]: thing["id"] for thing in self.get(f"{things}/?q=(page_size:100)")["result"]}

    def columns(self, dataset: int) -> list[dict[str, Any]]:
        """Columns of a dataset, requested by name: requesting all fields takes minutes."""
        names = ",".join(
            f"columns.{field}" for field in ("column_name", "type", "description", "is_dttm", "expression")
        )
        return list(self.get(f"dataset/{dataset}?q=(columns:!({names}))")["result"]["columns"])

    def query(self, database: int, sql: str) -> requests.Response:
        """Run SQL as SQL Lab does, and wait for the result."""
        body = {"database_id": database, "sql": sql, "runAsync": False, "client_id": secrets.token_hex(5)}
        return self.send("POST", "sqllab/execute/", json=body)


@contextmanager
def superset(folder: Path) -> Iterator[Api]:
    """Start a Superset on a free port of 127.0.0.1: its records stay in `folder`, and it ends with the block."""
    password = secrets.token_urlsafe(16)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment = {
        **kept,
        "FLASK_APP": "superset",
        "SUPERSET_HOME": str(folder),
        "SUPERSET_SECRET_KEY": secrets.token_urlsafe(42),
        "SCARF_ANALYTICS": "false",
        # DuckDB shows instants in the time zone of the process.
        "TZ": "UTC",
    }
    log = folder / "superset.log"
    with log.open("ab") as output:

        def step(*arguments: str) -> None:
            done = subprocess.run(
                [_BIN / "superset", *arguments],
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=900,
                check=False,
            )
            assert done.returncode == 0, f"superset {arguments[0]} failed: {log.read_text()[-3000:]}"

        step("db", "upgrade")
        names = ("--username", _USER, "--firstname", "A", "--lastname", "B", "--email", "admin@localhost.invalid")
        step("fab", "create-admin", *names, "--password", password)
        step("init")
        url = f"http://127.0.0.1:{_free_port()}"
        server = subprocess.Popen(
            [
                _BIN / "gunicorn",
                "--bind",
                url.removeprefix("http://"),
                "--workers",
                "1",
                "--worker-class",
                "gthread",
                "--threads",
                "8",
                "--keep-alive",
                "300",
                "--timeout",
                "300",
                "superset.app:create_app()",
            ],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            _await(url, server, log)
            yield Api(url, password)
        finally:
            server.terminate()
            server.wait(timeout=60)


def _await(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        assert server.poll() is None, f"Superset ended by itself: {log.read_text()[-3000:]}"
        try:
            if requests.get(f"{url}/health", timeout=5).ok:
                return
        except requests.RequestException:
            time.sleep(1)
    raise AssertionError(f"Superset does not answer: {log.read_text()[-3000:]}")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])

"""The sandbox behind a real socket: in a thread for a test or a demo, or in the foreground for the command line."""

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Self

from pipeline.sandbox.world import Account, World
from pipeline.sandbox.world.declared_world import DeclaredAccount

if TYPE_CHECKING:
    import uvicorn

    from pipeline.sandbox.http_app import Received, Spoil

_HOST = "127.0.0.1"
_SETTINGS = {
    "voxpria": 'credit_price_amount = "0.10"\ncredit_price_currency = "USD"\n',
    "deepvue": 'unit = "INR"\n',
}


class Sandbox:
    """A running sandbox on the loopback interface; usable as a context manager.

    `world` is the truth behind the answers; `keys` maps the environment variables that `accounts_toml()`
    names to invented secrets. `rates` has the requests for exchange rates, and may be told to spoil the answers.
    """

    def __init__(self, world: World, port: int = 0) -> None:
        import uvicorn

        from pipeline.sandbox import http_app as app
        from pipeline.sandbox.api._api_base import Credentials

        self.world = world
        self.keys: dict[str, str] = {}
        credentials = {}
        for account_id, account in world.accounts.items():
            invented = []
            for setting in _secret_settings(account):
                purpose = setting.removesuffix("_env").removeprefix("api_").partition("_")[0]
                invented.append(_secret(world.seed, account_id, purpose))
                self.keys[_variable(account_id, setting)] = invented[-1]
            credentials[account_id] = Credentials(invented[0], "".join(invented[1:]))
        application, self._vendors, self.rates = app.create(world, credentials)
        self._prefixes = {api.vendor: api.prefix for api in self._vendors.apis}
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            application,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="drawdown-sandbox", daemon=True)
        self._thread.start()
        _await_start(self._server, self._thread)

    @classmethod
    def start(
        cls,
        port: int = 0,
        seed: int = 0,
        days: int = 400,
        now: datetime | None = None,
        *,
        vendors: Iterable[str] | None = None,
        ticking: bool = False,
    ) -> Self:
        """Start a sandbox in a daemon thread and return it once it answers.

        `port` 0 picks a free one. The world has `days` days of history before `now` (aware; the real time if None) and
        the accounts of `vendors` (all if None). The clock only advances if `ticking`. Raises OSError for a port in use
        and ValueError as `World` does.
        """
        return cls(World(seed=seed, days=days, now=now, vendors=vendors, ticking=ticking), port)

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])

    @property
    def url(self) -> str:
        """The origin, without a path."""
        return f"http://{_HOST}:{self.port}"

    @property
    def now(self) -> datetime:
        """The world's clock, in UTC."""
        return self.world.now

    @property
    def rates_url(self) -> str:
        """Folder of the European Central Bank's files of exchange rates, as `fx.url` names it."""
        from pipeline.sandbox.rates_app import PREFIX

        return f"{self.url}{PREFIX}"

    def base_url(self, vendor: str) -> str:
        """Return the base URL of a simulated vendor; documented paths are appended to it."""
        return f"{self.url}{self._prefixes[vendor]}"

    def move_clock(self, instant: datetime) -> None:
        """Set the world's clock; raises ValueError for a naive instant or one outside the world's span."""
        self.world.move_clock(instant)

    def spoil_with(self, spoil: "Spoil") -> None:
        """Set the function that decides about a fault for each request from now on."""
        self._vendors.spoil = spoil

    def requests(self) -> "list[Received]":
        """Return the vendors' requests so far, oldest first, without keys."""
        return list(self._vendors.received)

    def accounts_toml(self, more: Mapping[str, str] = MappingProxyType({}), *, without: Collection[str] = ()) -> str:
        """Return a complete accounts.toml for this sandbox's accounts; the secrets are in `keys`.

        `more` has further lines by account, and under "" those at the top. `without` names accounts to leave out.
        """
        from pipeline.sandbox.api.declared_api import part_of

        head = f'reporting_currency = "EUR"\nallow_http_loopback = true\nfx.url = "{self.rates_url}"\n'
        parts = [head + more.get("", "")]
        for account_id, account in self.world.accounts.items():
            if account_id in without:
                continue
            names = "".join(f'{key} = "{_variable(account_id, key)}"\n' for key in reversed(_secret_settings(account)))
            if isinstance(account, DeclaredAccount):
                names += "".join(f'{key} = "{part_of(account, key)}"\n' for key in account.declared.settings)
                names += 'unit = "USD"\n' if account.declared.needs_unit else ""
            parts.append(
                f'[accounts.{account_id}]\nvendor = "{account.vendor}"\n{names}'
                f'base_url = "{self.base_url(account.vendor)}"\n{_SETTINGS.get(account.vendor, "")}'
                f"{more.get(account_id, '')}"
            )
        return "\n".join(parts)

    def close(self) -> None:
        """Stop the server and free its port; hanging answers are cut off."""
        if self._thread.is_alive():
            self._vendors.cut_off()
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=10)
        self._socket.close()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


start = Sandbox.start


def serve_forever(
    port: int = 8765,
    seed: int = 0,
    days: int = 400,
    *,
    vendors: Iterable[str] | None = None,
    ready: Callable[[Sandbox], None] | None = None,
) -> None:
    """Run a sandbox whose clock ticks, until interrupted. `ready` is called once it answers.

    Without `ready`, prints the accounts.toml and the `export` lines that a shell needs.
    """
    with start(port, seed, days, vendors=vendors, ticking=True) as sandbox:
        try:
            (ready or _print_usage)(sandbox)
            while sandbox._thread.is_alive():
                sandbox._thread.join(timeout=0.5)
        except KeyboardInterrupt:
            return


def _print_usage(sandbox: Sandbox) -> None:
    print(f"# {len(sandbox.world.accounts)} invented accounts; state: {sandbox.url}/_sandbox/state\n")
    print(sandbox.accounts_toml())
    print("\n".join(f"export {name}={value}" for name, value in sandbox.keys.items()), flush=True)


def _secret_settings(account: Account) -> tuple[str, ...]:
    if isinstance(account, DeclaredAccount):
        return account.declared.secrets
    return ("api_key_env", "client_id_env") if account.vendor == "deepvue" else ("api_key_env",)


def _variable(account_id: str, setting: str) -> str:
    suffix = setting.removesuffix("_env").removeprefix("api_")
    return f"SANDBOX_{account_id}_{suffix}".upper().replace("-", "_")


def _secret(seed: int, account_id: str, purpose: str) -> str:
    digest = hashlib.sha256(f"{seed}/{account_id}/{purpose}".encode()).hexdigest()
    return f"sandbox-{purpose}-{digest[:32]}"


def _listen(port: int) -> socket.socket:
    # With the protocol named, asyncio disables Nagle's delay (40 ms an answer).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def _await_start(server: "uvicorn.Server", thread: threading.Thread) -> None:
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the sandbox's server stopped before it had started")
        time.sleep(0.002)

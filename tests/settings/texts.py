"""Settings as text, and the sentences that refuse them."""

CANARY = "canary-7f3b9Zq4k3y"
VARIABLE = "DRAWDOWN_TEST_KEY"


def quoted(text: str) -> str:
    """Any text as a TOML string."""
    return '"' + "".join(c if c.isascii() and c.isalnum() else f"\\U{ord(c):08X}" for c in text) + '"'


def account(more: str = "", *, vendor: str = "vpsbg", name: str = "main", top: str = "") -> str:
    return f'{top}\n[accounts.{name}]\nvendor = "{vendor}"\napi_key_env = "{VARIABLE}"\n{more}\n'

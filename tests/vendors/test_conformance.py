"""Every discovered vendor conforms to the port: one test class each, created by discovery."""

import inspect
import re
from pathlib import Path

import pytest

import pipeline.vendors
from pipeline.http import Client
from pipeline.vendors import discover, shipped
from tests.vendors.conformance import Conformance

for _vendor in discover().values():
    _name = f"Test{_vendor.title.replace(' ', '')}"
    globals()[_name] = type(_name, (Conformance,), {"vendor": _vendor, "__doc__": f"{_vendor.title} conforms."})


def test_every_folder_is_a_vendor_and_has_its_tests_folder() -> None:
    folder = Path(pipeline.vendors.__file__).parent
    names = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert names == set(shipped())
    declared = {name for name in names if (folder / name / "vendor.toml").exists()}
    assert names - declared <= {path.name for path in Path(__file__).parent.iterdir() if path.is_dir()}
    assert all((folder / name / "examples").is_dir() for name in declared)


def test_a_folder_without_a_vendor_of_its_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nobody").mkdir()
    (tmp_path / "nobody" / "__init__.py").write_text("from pipeline.vendors.vpsbg import VENDOR\n")
    monkeypatch.setattr(pipeline.vendors, "__path__", [str(tmp_path)])
    with pytest.raises(TypeError, match=r"pipeline/vendors/nobody must define VENDOR = Vendor\(name='nobody'"):
        shipped.__wrapped__()


def test_the_client_can_only_send_get() -> None:
    public = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if not name.startswith("_")}
    assert public == {"get", "follow"}
    package = Path(pipeline.vendors.__file__).parent.parent
    client = Path(inspect.getfile(Client)).parent
    sent = [verb for path in client.glob("*.py") for verb in re.findall(r"\.stream\((\S+),", path.read_text("utf-8"))]
    assert sent == ['"GET"']
    # Code that imported an HTTP library could send other requests. Messages to people go through Apprise, to the
    # owner's addresses, and so does the heartbeat, whose address is a secret as a whole.
    heartbeat = (package / "alerts" / "heartbeat.py").read_text("utf-8")
    assert re.findall(r"\b(?:client|httpx)\.([a-z]+)\(", heartbeat) == ["stream"]
    assert 'client.stream("GET", ' in heartbeat
    senders = "httpx|httpcore|h11|h2|requests|urllib3|aiohttp|http.client|urllib.request|xmlrpc|smtplib|websockets"
    found = {
        str(path.relative_to(package)): match[1]
        for path in package.rglob("*.py")
        if client not in path.parents
        for match in re.finditer(rf"(?m)^\s*(?:import|from) ({senders}|apprise)\b", path.read_text("utf-8"))
    }
    assert found == {"alerts/channel.py": "apprise", "alerts/heartbeat.py": "httpx"}

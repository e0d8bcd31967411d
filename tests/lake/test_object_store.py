"""Files under keys, in a folder and on an S3 server."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.lake.object_store import NotStored
from pipeline.lake.open_store import open_store
from pipeline.support.errors import DrawdownError, UsageError
from tests.lake.conftest import KEY_ID, SECRET, TOKEN, Place, environment, needs

KEYS = st.sampled_from(["a", "b/c", "b/d.json", "b/e/f", "ba", "b c/ü", "g=1/h+2"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put_bytes", "delete", "new"]), KEYS, st.binary(max_size=20)), max_size=12
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_storage_holds_what_was_put_last(place: Place, steps: list[tuple[str, str, bytes]]) -> None:
    store, held = open_store(f"{place.url}/{os.urandom(6).hex()}"), dict[str, bytes]()
    local = place.folder / "local"
    for step, key, content in steps:
        if step == "put":
            local.write_bytes(content)
            assert store.put(local, key) == len(content)
            held[key] = content
        elif step == "delete":
            store.delete(key)
            held.pop(key, None)
        elif step == "put_bytes" or place.url.startswith("s3:"):
            store.put_bytes(key, content)
            held[key] = content
        else:
            assert store.put_bytes(key, content, if_absent=True) == (key not in held)
            held.setdefault(key, content)
    assert {each.key: each.size_bytes for each in store.list()} == {key: len(held[key]) for key in held}
    assert [each.key for each in store.list("b")] == sorted(key for key in held if key.startswith("b/"))
    for key, content in held.items():
        assert store.exists(key)
        assert store.read(key) == content
        assert store.size(key) == len(content)
        store.get(key, local)
        assert local.read_bytes() == content
        with store.open_input(key) as file:
            file.seek(len(content) // 2)
            assert file.read() == content[len(content) // 2 :]
        assert store.key_of(store.location(key)) == key
    for read in (store.read, store.size, store.open_input, lambda key: store.get(key, place.folder / "none")):
        with pytest.raises(NotStored, match=r"none/such does not exist"):
            read("none/such")
    assert not store.exists("none/such")
    assert not store.exists("b")
    assert not (place.folder / "none").exists()


def test_one_of_several_writers_creates_a_file(place: Place) -> None:
    needs("obstore")

    def create(number: int) -> bool:
        return open_store(place.url).put_bytes("builds/one", b"%d" % number, if_absent=True)

    with ThreadPoolExecutor(8) as writers:
        created = list(writers.map(create, range(8)))
    assert created.count(True) == 1
    assert place.store.read("builds/one") == b"%d" % created.index(True)


def test_files_are_for_the_owner_only(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/storage")
    (tmp_path / "open").write_bytes(b"x")
    (tmp_path / "open").chmod(0o644)
    store.put(tmp_path / "open", "a/b/c")
    store.put_bytes("a/d", b"x")
    store.put_bytes("a/e", b"x", if_absent=True)
    for path in (tmp_path / "storage").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


_KILLED = """
import os, signal, sys
from pipeline.lake.open_store import open_store

def end(event, arguments):
    if event == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

store = open_store(sys.argv[1])
sys.addaudithook(end)
store.put_bytes("a/b", b"new", if_absent=sys.argv[2] == "os.link")
"""


@pytest.mark.parametrize("event", ["os.rename", "os.link"])
def test_a_killed_writer_leaves_the_file_that_was_there_or_none(event: str, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/storage")
    if event == "os.rename":
        store.put_bytes("a/b", b"old")
    ended = subprocess.run([sys.executable, "-c", _KILLED, store.url, event], cwd=Path(__file__).parents[2])
    assert ended.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "storage/a").iterdir())) == 1 + (event == "os.rename"), "nothing was written yet"
    assert [each.key for each in store.list()] == ["a/b"] * (event == "os.rename")
    assert store.exists("a/b") == (event == "os.rename")
    assert store.put_bytes("a/b", b"new", if_absent=event == "os.link")
    assert store.read("a/b") == b"new"


def test_a_local_file_that_cannot_be_read_to_its_end_is_not_stored(
    s3_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = s3_place.folder / "local"
    local.write_bytes(b"x" * 10)

    def fail(source: object, target: object, size: int) -> None:
        target.write(b"half")  # type: ignore[attr-defined]
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("shutil.copyfileobj", fail)
    with pytest.raises(DrawdownError, match="Input/output error"):
        s3_place.store.put(local, "a")
    assert not s3_place.store.exists("a")


@pytest.mark.parametrize(
    "url",
    [
        "", "data", "/data", "file://host/data", "file:///", "file:///data/../etc", "file:///a//b", "file:///a*b",
        "file:///a%20b", "s3://", "s3://A/b", "s3:///b", "http://bucket/a", "s3://bucket/a?x=1", "s3://bucket/a#b",
        f"s3://{KEY_ID}:{SECRET}@bucket/a", f"s3://bucket/a?secret={SECRET}", "s3://[bucket/a",
    ],
)  # fmt: skip
def test_other_urls_are_refused_without_repeating_a_key(url: str) -> None:
    with pytest.raises(UsageError, match=r"s3://bucket/prefix|no empty part") as refusal:
        open_store(url)
    assert SECRET not in str(refusal.value)
    assert KEY_ID not in str(refusal.value)


@pytest.mark.parametrize(
    "key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.", "a*", "a[0]", "a\x00", "a\n", "a%20b"]
)
def test_what_is_no_key_reaches_no_storage(key: str, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/storage")
    for use in (store.read, store.delete, store.size, store.location, lambda key: store.put_bytes(key, b"")):
        with pytest.raises(ValueError, match="no key of a file"):
            use(key)
    with pytest.raises(ValueError, match="is not below"):
        store.key_of(f"file://{tmp_path}/storage2/a")


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_s3_without_a_key_names_the_variable(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(missing)
    with pytest.raises(UsageError, match=f"{missing} is not set"):
        open_store("s3://bucket/a")


def test_an_endpoint_with_a_password_is_refused_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(f"http://user:{SECRET}@127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL is no address") as refusal:
        open_store("s3://bucket/a")
    assert SECRET not in str(refusal.value)


USES: dict[str, Callable[[str], object]] = {
    "put_bytes": lambda url: open_store(url).put_bytes("a", b"x"),
    "put_bytes if absent": lambda url: open_store(url).put_bytes("a", b"x", if_absent=True),
    "put": lambda url: open_store(url).put(Path(__file__), "a"),
    "read": lambda url: open_store(url).read("a"),
    "open_input": lambda url: open_store(url).open_input("a").read(),
    "get": lambda url: open_store(url).get("a", Path("never")),
    "size": lambda url: open_store(url).size("a"),
    "exists": lambda url: open_store(url).exists("a"),
    "list": lambda url: list(open_store(url).list("b")),
    "delete": lambda url: open_store(url).delete("a"),
}


def _error(place: Place, use: str, url: str) -> str:
    if use.endswith("absent"):
        needs("obstore")
    with pytest.raises(DrawdownError) as failure:
        USES[use](url)
    said = str(failure.value)
    assert url in said
    assert "\n" not in said
    for secret in (SECRET, TOKEN, KEY_ID):
        assert secret not in said
    place.said[f"{use} {url}"] = said
    return said


@pytest.mark.parametrize("use", USES)
def test_a_missing_bucket_is_named(use: str, s3_place: Place) -> None:
    assert "the bucket does not exist; create it" in _error(s3_place, use, "s3://no-such-bucket/lake")


@pytest.mark.parametrize("use", USES)
def test_a_server_that_does_not_answer_is_named(use: str, s3_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed.getsockname()[1]}")
        assert "not reachable; check the network and AWS_ENDPOINT_URL" in _error(s3_place, use, s3_place.url)


@pytest.mark.parametrize("use", USES)
def test_a_wrong_key_is_named_by_its_variable(use: str, s3_place: Place, s3_server: str) -> None:
    # From now on the server knows no user.
    httpx.post(f"{s3_server}/moto-api/reset-auth", content=b"0")
    said = _error(s3_place, use, s3_place.url)
    # To a request without a body, S3 answers with the bare status.
    assert "correct AWS_ACCESS_KEY_ID" in said or "the user of AWS_ACCESS_KEY_ID needs s3:ListBucket" in said


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "storage").write_bytes(b"")
    with pytest.raises(DrawdownError, match=r"cannot write .*/storage/a: Not a directory; check the disk"):
        open_store(f"file://{tmp_path}/storage").put_bytes("a", b"x")


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(f"file://{tmp_path}/storage")
    store.put_bytes("a", b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DrawdownError, match="No space left on device; make room and run again"):
        store.put_bytes("a", b"new")
    assert store.read("a") == b"old"
    assert [path.name for path in (tmp_path / "storage").iterdir()] == ["a"]

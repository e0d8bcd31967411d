"""What a build keeps for the next one: the shards' warehouses, and the landed files that they have read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.lake.lake_of_build import LAKE_FILE, lake_of
from pipeline.lake.object_store import NotStored, ObjectStore
from pipeline.support.home import BUILD_FILE, Home, private_folder

if TYPE_CHECKING:
    from pipeline.lake.read_only_files import ReadOnlyFiles

WAREHOUSES: Final = "shards"
"""Folder of the shards' warehouses in the storage."""
_STATE: Final = "state.json"


class BuildState(msgspec.Struct, frozen=True, kw_only=True):
    """The shards of a build."""

    build_id: str
    layout: str
    """Hash of everything that decides what a warehouse holds: tables, models, declarations and version."""
    count: int
    former_names: dict[str, str]
    warehouses: dict[int, str]
    """Keys, by shard."""
    landed: list[str]
    """Keys of the landed files that were read."""


def read_state(store: ObjectStore, build_id: str) -> BuildState | None:
    """The state of a build; None if it has none that can be read."""
    try:
        return msgspec.json.decode(store.read(_key(build_id)), type=BuildState)
    except (NotStored, msgspec.MsgspecError):
        return None


def write_state(store: ObjectStore, state: BuildState) -> None:
    """Store the state of a build. Raises DrawdownError if the storage fails."""
    store.put_bytes(_key(state.build_id), msgspec.json.encode(state))


def remove_states(store: ObjectStore, kept: set[str]) -> int:
    """Delete the shards' warehouses of builds other than those that are kept; returns the number of files.

    A warehouse that a kept build names is kept, whichever build it was made in.
    """
    named: set[str] = set()
    for build_id in kept:
        state = read_state(store, build_id)
        if state is None:
            continue
        own = (f"{WAREHOUSES}/{build_id}/{name}" for name in (_STATE, BUILD_FILE, LAKE_FILE))
        named |= {*own, *state.warehouses.values()}
    count = 0
    for each in list(store.list(WAREHOUSES)):
        if each.key not in named:
            store.delete(each.key)
            count += 1
    return count


def keep_published(store: ObjectStore, build_id: str, path: Path) -> None:
    """Store the file of a build's views, and `lake.json` beside it, for the next build's tasks."""
    for name in (BUILD_FILE, LAKE_FILE):
        store.put(path.with_name(name), f"{WAREHOUSES}/{build_id}/{name}")


def bring_published(store: ObjectStore, home: Home, build_id: str | None) -> ReadOnlyFiles | None:
    """Make a build the published one of a state folder, if its views were kept; returns the files that they read."""
    if build_id is None:
        return None
    folder = private_folder(home.published / "versions" / build_id)
    try:
        for name in (BUILD_FILE, LAKE_FILE):
            store.get(f"{WAREHOUSES}/{build_id}/{name}", folder / name)
    except NotStored:
        return None
    home.current.symlink_to((folder / BUILD_FILE).relative_to(home.published))
    return lake_of(home.current.resolve())


def _key(build_id: str) -> str:
    return f"{WAREHOUSES}/{build_id}/{_STATE}"

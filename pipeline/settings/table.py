"""Common base of all tables of accounts.toml: known keys, strict types, and one line for each mistake.

The text of a mistake never contains the value: it may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, ValidationInfo, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from pipeline.support.errors import unknown

_MISTAKE: Final = "mistake"
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECRET_LIKE: Final = re.compile(r"(?i)(api_?key|secret|token|password|passwd|credential|bearer|client_id)$")
_TABLES: Final = {"accounts": "account", "teams": "team"}
"""What one of several tables is called in a message, by their key."""
_ITEMS: Final = {"credit_prices": "price", "monthly_budgets": "budget", "planned": "plan"}
"""What a message calls an item of a list, where it is a table with keys of its own."""
_PLAIN_TEXT: Final = (
    "looks like a secret in plain text; put the secret into an environment variable and its NAME under a key "
    "such as api_key_env"
)


def mistake(words: str) -> PydanticCustomError:
    """Error for a validator to raise: in the printed line, `words` follow the file, the account and the key."""
    return PydanticCustomError(_MISTAKE, words)


def shown_key(key: str) -> str:
    """A key as a message may show it: a quoted key may contain anything, and the message must stay one line."""
    return key if _PLAIN_KEY.fullmatch(key) else ascii(key[:40])


@dataclass(frozen=True, slots=True)
class Requirement:
    """One sentence for everything that the type and the limits before it refuse.

    Mistakes within a value keep their own.
    """

    words: str
    is_for_parts: bool = False
    """Whether the sentence also replaces mistakes within the value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema of the annotated type, with the errors replaced."""

        def check(value: Any, inner: core_schema.ValidatorFunctionWrapHandler) -> Any:
            try:
                return inner(value)
            except ValidationError as problem:
                first = problem.errors(include_url=False, include_input=False)[0]
                if (first["loc"] and not self.is_for_parts) or first["type"] == _MISTAKE:
                    raise
                raise mistake(self.words) from None

        return core_schema.no_info_wrap_validator_function(check, handler(source))


class SettingsTable(BaseModel):
    """A table of accounts.toml, or an object made in Python: only a file's keys need to be reported."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    must_be: ClassVar[str] = "must be a table"
    missing: ClassVar[str] = ""
    """Remedy for a missing required key."""
    advice: ClassVar[str] = ""
    """Additional advice for an unknown key."""

    @classmethod
    def keys(cls) -> dict[str, FieldInfo]:
        """Field by key of the file; `source` is the file's name."""
        fields = cls.model_fields.items()
        return {str(field.validation_alias or name): field for name, field in fields if name != "source"}

    @model_validator(mode="before")
    @classmethod
    def _read(cls, table: Any, info: ValidationInfo) -> Any:
        if info.context is None:
            return table
        if not isinstance(table, dict):
            raise mistake(cls.must_be)
        keys = cls.keys()
        check_keys(table, keys, [field.title or key for key, field in keys.items()], advice=cls.advice)
        for key, field in keys.items():
            if field.is_required() and key not in table:
                raise mistake(f"{key}: is missing; {cls.missing}")
        return table | {"source": info.context["source"]} if "source" in cls.model_fields else table


def check_keys(
    table: dict[str, Any], keys: Iterable[str], shown: Iterable[str], *, what: str = "key", advice: str = ""
) -> None:
    """Raise the mistake of the first key, by name, that is not among `keys`; `shown` lists the known ones."""
    for key in sorted(table.keys() - set(keys)):
        if _SECRET_LIKE.search(key):
            raise mistake(f"{shown_key(key)}: {_PLAIN_TEXT}")
        raise mistake(f"{shown_key(key)}: {unknown(what)}; known keys: {', '.join(shown)}{advice}")


def first_mistake(problem: ValidationError) -> str:
    """First of the errors as one line: `account main: alerts: quiet_hours: must be ...`."""
    error = problem.errors(include_url=False, include_input=False, include_context=False)[0]
    place = error["loc"]
    if place[-1:] == ("[key]",):
        # Not shown as it is: the message about such a key already shows it safely.
        place = place[:-2]
    # These collect keys of the file that have no field.
    place = tuple(each for each in place if each not in ("secret_variables", "placeholders"))
    words = [
        f"{_ITEMS.get(str(before), 'item')} {each + 1}" if isinstance(each, int) else shown_key(each)
        for before, each in zip(("", *place), place, strict=False)
    ]
    if words[:1] and words[0] in _TABLES and len(words) > 1:
        words[:2] = [f"{_TABLES[words[0]]} {words[1]}"]
    return ": ".join([*words, error["msg"]])

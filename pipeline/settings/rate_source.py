"""Where exchange rates come from, and how old they may be: the table `[fx]` of accounts.toml."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, Field, ValidationInfo

from pipeline.schema.limits import CURRENT_RATE_DAYS
from pipeline.settings.table import Requirement, SettingsTable
from pipeline.settings.values import checked_url, is_loopback_url, one_of

ECB: Final = "ecb"
PACKAGE: Final = "package"
ECB_URL: Final = "https://www.ecb.europa.eu/stats/eurofxref"
"""Folder of the European Central Bank's reference rates: eurofxref-daily.xml, eurofxref-hist-90d.xml and others."""
OLDEST_DAYS: Final = 45
"""Default of `oldest_days`: a month without rates, and the time to notice it."""
_MOST_DAYS: Final = 366


def _url(value: Any, info: ValidationInfo) -> str:
    return checked_url(value, example=ECB_URL, loopback=info.context is None or info.context["loopback"])


class RateSource(SettingsTable):
    """The table `[fx]`."""

    must_be: ClassVar[str] = 'must be a table, such as [fx] with source = "ecb"'

    kind: Annotated[str, one_of(ECB, PACKAGE)] = Field(default=ECB, validation_alias="source")
    """`ecb`: requested once a day, with the package's rates as history; `package`: no request, the package's alone."""
    url: Annotated[str, BeforeValidator(_url)] = ECB_URL
    """Folder of the ECB's files, or one such file (.xml, .zip or .csv) that is always requested."""
    oldest_days: Annotated[
        int,
        Field(ge=CURRENT_RATE_DAYS, le=_MOST_DAYS),
        Requirement(f"must be a whole number of days between {CURRENT_RATE_DAYS} and {_MOST_DAYS}"),
    ] = OLDEST_DAYS
    """Days for which a rate may be used if no later one is known; from the eighth on, the amount is marked."""

    @property
    def is_requested(self) -> bool:
        """Whether rates are requested at all."""
        return self.kind == ECB

    @property
    def is_loopback(self) -> bool:
        """Whether the address is on this computer: a sandbox."""
        return is_loopback_url(self.url)

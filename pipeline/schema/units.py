"""Units of money, and the one numeric type for amounts.

A balance is a number *of something*: euros, dollars, a vendor's credits, or a unit that the vendor never named.
Drawdown keeps the unit beside every amount, and never adds amounts of different units.
"""

from __future__ import annotations

import re
from typing import Final

MONEY_PRECISION: Final = 27
MONEY_SCALE: Final = 9
"""Stored amounts are DECIMAL(27, 9): nine decimals hold the price of a GPU minute, 18 integer digits any balance.

27 is the widest precision with which every engine that readers use adds, subtracts and sums without losing a decimal.
Spark widens a sum by ten digits and a difference by one; where that exceeds 38, it drops decimals. PyArrow and pandas
refuse such an addition. The table in docs/currencies.md has what each engine does at 38, 37, 28 and 27 digits.
"""

WIDEST_PRECISION: Final = 38
"""Maximum number of decimal digits in all of these engines: SQL computes with it, and tables store fewer."""

MOST_AMOUNT: Final = 10**15
"""Largest absolute value accepted for a single amount or number of a vendor or a file, in any unit.

A quadrillion is far beyond any account. Stored sums have room for a thousand such amounts, or for millions of rows of
ordinary ones; intermediate results have 29 integer digits.
"""

UNKNOWN_UNIT: Final = "unknown"
"""Unit of an account for which neither the vendor nor the owner names one."""

# ISO 4217 active currency codes (list one, funds and metals left out).
IN_USE: Final = frozenset(
    """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
    CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD
    HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD
    MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN
    PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY
    TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG""".split()
)

# Codes that were withdrawn since 2000 (ISO 4217 list three): old entries may have them, and a vendor may lag behind.
_WITHDRAWN: Final = frozenset(
    """ANG ATS AZM BEF BYR CSD CUC CYP DEM EEK ESP FIM FRF GHC GRD HRK IEP ITL LTL LUF LVL MGF MRO MTL MZM NLG PTE
    ROL RUR SDD SIT SKK SLL SRG STD TMM TRL VEB VEF YUM ZMK ZWD ZWL ZWN ZWR""".split()
)

ISO_4217: Final = IN_USE | _WITHDRAWN
"""Currency codes accepted for amounts."""

# A vendor's own unit of account is written `<vendor>-<unit>`, such as `voxpria-credit`.
_VENDOR_UNIT = re.compile(r"[a-z][a-z0-9]*-[a-z][a-z0-9]*")


def is_vendor_unit(code: str) -> bool:
    """Whether `code` is a vendor's own unit of account, such as `voxpria-credit`."""
    return bool(_VENDOR_UNIT.fullmatch(code))


def is_unit_code(code: str) -> bool:
    """Whether `code` is valid in a `unit_code` column.

    Accepted: an ISO 4217 code in capitals, a vendor's unit such as `voxpria-credit`, or `unknown`.
    """
    return code in ISO_4217 or code == UNKNOWN_UNIT or is_vendor_unit(code)

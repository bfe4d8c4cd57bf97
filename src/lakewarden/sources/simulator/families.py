"""The families of events: which channel, type and upstream system go together."""

from __future__ import annotations

from typing import Final, NamedTuple


class Family(NamedTuple):
    """One family: its channel, event type and source system, and whether its events have version 2's properties."""

    channel: str
    event_type: str
    source_system: str
    version: int = 2


FAMILIES: Final = (
    Family("POS", "PAYMENT", "cards"),
    Family("ONLINE", "PAYMENT", "ecommerce"),
    Family("ATM", "WITHDRAWAL", "cards"),
    Family("ATM", "WITHDRAWAL", "legacy-atm", version=1),
    Family("MOBILE", "TRANSFER", "mobile"),
    Family("ONLINE", "TRANSFER", "payments"),
    Family("MOBILE", "LOGIN", "mobile"),
    Family("BRANCH", "DEPOSIT", "branch"),
    Family("OTHER", "TRANSFER", "payroll"),
)
SHOPPING, WEB_SHOPPING, CASH, LEGACY_CASH, MOBILE_TRANSFER, WEB_TRANSFER, LOGIN, DEPOSIT, PAYROLL = range(len(FAMILIES))

RISK_FLAGS: Final = ((), ("NEW_PAYEE",), ("FOREIGN_IP",), ("NEW_PAYEE", "FOREIGN_IP"))
"""What an upstream system may have set in `risk_flags`."""

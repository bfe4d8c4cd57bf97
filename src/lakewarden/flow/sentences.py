"""What the model's features mean, as sentences with their values, for people who have never seen a feature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lakewarden.rules.wording import Money, say

_SPANS: Final = {"1h": "the last hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days", "1d": "a day"}


def _texts() -> dict[str, str]:
    texts = {
        "amount_base_minor": "the amount is {value:money}",
        "amount_minor": "the amount is {value:count} in minor units of its currency",
        "customer_risk": "the customer's risk class is {value:count} (0 low, 2 high)",
        "is_pep": "the customer is a politically exposed person ({value:yes})",
        "known_account": "the account is known from the customer register ({value:yes})",
        "account_age_days": "the account was opened {value:days} ago",
        "limit_single_minor": "the account's limit for one payment is {value:money}",
        "limit_daily_minor": "the account's daily limit is {value:money}",
        "country_risk": "the country's risk class is {value:count} (0 normal, 2 call for action)",
        "counterparty_country_risk": "the risk class of the other side's country is {value:count} (0 normal, 2 call for action)",
        "mcc_risk": "the risk class of the merchant's trade is {value:count} (0 normal, 2 high)",
        "watchlist_score": "a name matches the watchlist by {value:percent}",
        "a_since_last_s": "the account's last transaction was {value:span} before",
        "p_since_last_s": "the other side's last transaction was {value:span} before",
        "a_ratio_mean_30d": "the amount is {value:times} the account's 30-day mean",
        "a_zscore_30d": "the amount is {value:.1f} standard deviations from the account's 30-day mean",
        "p_ratio_mean_30d": "the amount is {value:times} the other side's 30-day mean",
        "a_new_country": "the country is new to the account ({value:yes})",
        "a_new_device": "the device is new to the account ({value:yes})",
        "a_new_party": "the other side is new to the account ({value:yes})",
        "a_new_parties_24h": "the account paid {value:count} others for the first time in 24 hours",
        "p_new_accounts_24h": "{value:count} accounts paid the other side for the first time in 24 hours",
        "a_near_threshold_24h": "the account made {value:count} payments just under the reporting threshold in 24 hours",
        "a_near_threshold_7d": "the account made {value:count} payments just under the reporting threshold in 7 days",
        "p_since_first_fraud_s": "the first confirmed fraud at the other side was {value:span} before",
        "p_since_last_fraud_s": "the last confirmed fraud at the other side was {value:span} before",
        "a_fraud_30d": "the account had {value:count} confirmed frauds in 30 days",
    }
    for window, words in _SPANS.items():
        texts |= {
            f"a_count_{window}": f"the account made {{value:count}} transactions in {words}",
            f"a_sum_{window}": f"the account moved {{value:money}} in {words}",
            f"p_count_{window}": f"the other side had {{value:count}} transactions in {words}",
            f"p_sum_{window}": f"the other side had {{value:money}} in {words}",
            f"in_count_{window}": f"the account received {{value:count}} payments in {words}",
            f"in_sum_{window}": f"the account received {{value:money}} in {words}",
            f"p_fraud_{window}": f"the other side had {{value:count}} frauds confirmed in {words}",
            f"p_delayed_count_{window}": f"the other side had {{value:count}} transactions in {words} whose labels are due",
            f"p_fraud_share_{window}": f"{{value:percent}} of the other side's transactions of {words} turned out to be fraud",
        }
    return texts


TEXTS: Final[Mapping[str, str]] = _texts()
"""Sentence by feature; `{value}` is its value, in the units of silver."""

MISSING: Final[Mapping[str, str]] = {
    "a_since_last_s": "the account had no transaction in the 30 days before",
    "p_since_last_s": "the other side had no transaction in the 30 days before",
    "a_ratio_mean_30d": "the account has no history of 30 days to compare with",
    "a_zscore_30d": "the account has too little history to compare with",
    "p_ratio_mean_30d": "the other side has no history to compare with",
    "account_age_days": "it is not known when the account was opened",
    "customer_risk": "the customer's risk class is not known",
    "counterparty_country_risk": "the country of the other side is not known",
    "mcc_risk": "the merchant's trade is not known",
    "p_since_last_fraud_s": "no fraud is known at the other side",
    "p_since_first_fraud_s": "no fraud is known at the other side",
    "watchlist_score": "no name is on a watchlist",
}
"""Sentence by feature where the value is missing, which can raise a score as well."""

_SUMS: Final = frozenset({"other", "base", "bias", "expected_value"})
"""Parts of an explanation that are no single feature."""


def sentences(explanation: Sequence[Mapping[str, Any]] | None, money: Money, most: int) -> list[str]:
    """The features that raise a score most, in words, the strongest first; at most `most`.

    Args:
        explanation: `feature`, `value`, `contribution` (log-odds), as in gold; None gives nothing.
        money: how amounts of the base currency are written.
        most: how many.
    """
    raising = [part for part in explanation or () if part["contribution"] > 0 and part["feature"] not in _SUMS]
    raising.sort(key=lambda part: (-part["contribution"], part["feature"]))
    return [_sentence(part["feature"], part["value"], money) for part in raising[:most]]


def _sentence(feature: str, value: float | None, money: Money) -> str:
    if value is None or math.isnan(value):
        return MISSING.get(feature, f"{_name(feature)} is not known")
    template = TEXTS.get(feature)
    if template is None:
        return f"{_name(feature)} is {value:,.6g}"
    if "{value:yes}" in template:
        return template.replace("{value:yes}", "yes" if value else "no")
    return say(template, {"value": value}, money)


def _name(feature: str) -> str:
    return feature.replace("_", " ")

"""What the model's features mean, as sentences with their values, for people who have never seen a feature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lakewarden.rules.wording import Money, say

_SPANS: Final = {"1h": "the last hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days", "1d": "a day"}


def _texts() -> dict[str, str]:
    texts = {
        "amount": "the amount is {value:money}",
        "amount_base_minor": "the amount is {value:money}",
        "hour": "it took place in hour {value:count} of the day (UTC)",
        "a_share_of_daily_limit": "with it the account has used {value:percent} of its daily limit",
        "a_amount_to_received_24h": "the amount is {value:percent} of what the account received in 24 hours",
        "customer_risk": "the customer's risk class is {value:count} (0 low, 2 high)",
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
        "a_new_parties_24h": "the account paid {value:count} others for the first time in 24 hours",
        "p_new_accounts_24h": "{value:count} accounts paid the other side for the first time in 24 hours",
        "a_near_threshold_24h": "the account made {value:count} payments just under the reporting threshold in 24 hours",
        "a_near_threshold_7d": "the account made {value:count} payments just under the reporting threshold in 7 days",
        "p_since_first_fraud_s": "the first confirmed fraud at the other side was {value:span} before",
        "p_since_last_fraud_s": "the last confirmed fraud at the other side was {value:span} before",
        "a_usual_mean": "the account usually spends {value:money}",
        "a_usual_count": "{value:count} earlier transactions say what is usual for the account",
        "a_ratio_usual": "the amount is {value:times} what is usual for the account",
        "a_unusual_count": "the account made {value:count} transactions far above its usual amount lately",
        "a_since_unusual_s": "the account's last transaction far above its usual amount was {value:span} before",
        "a_unusual_ratio_max": "the account lately went up to {value:times} its usual amount",
        "p_fraud_lone_30d": "the other side had {value:count} frauds in 30 days that the payers' other purchases don't explain",
        "p_since_first_lone_fraud_s": "the first such fraud at the other side was {value:span} before",
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

CHOICES: Final[Mapping[str, tuple[str, str]]] = {
    "a_new_country": ("the account was not used in this country for 30 days", "the account was used in this country before"),
    "a_new_device": ("the account was not used from this device for 30 days", "the account was used from this device before"),
    "a_new_party": ("the account did not deal with the other side for 30 days", "the account dealt with the other side before"),
    "weekend": ("it took place on a weekend", "it took place on a working day"),
    "is_transfer": ("it is a transfer", "it is not a transfer"),
    "is_online": ("it was made online or on a phone", "it was not made online"),
    "is_pep": ("the customer is a politically exposed person", "the customer is not a politically exposed person"),
    "known_account": ("the account is in the customer register", "the account is not in the customer register"),
}
"""Sentences by feature that is true or false."""

MISSING: Final[Mapping[str, str]] = {
    "a_since_last_s": "the account had no transaction in the 30 days before",
    "p_since_last_s": "the other side had no transaction in the 30 days before",
    "a_amount_to_received_24h": "the account received nothing in 24 hours",
    "a_share_of_daily_limit": "the account has no daily limit",
    "a_new_country": "the country is not known",
    "a_new_device": "the device is not known",
    "a_new_party": "the other side is not known",
    "a_usual_mean": "the account has no usual amount yet",
    "a_ratio_usual": "the account has no usual amount yet",
    "a_since_unusual_s": "the account made no transaction far above its usual amount lately",
    "a_unusual_ratio_max": "the account made no transaction far above its usual amount lately",
    "p_since_first_lone_fraud_s": "no fraud is known at the other side that the payers' other purchases don't explain",
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

_SCALE: Final = {"amount": 100}
"""What turns a feature back into the unit of its sentence: `amount` is minor units of the base currency by 100."""

_SUMS: Final = frozenset({"other", "baseline"})
"""Parts of an explanation that are no single feature."""


def sentences(explanation: Sequence[Mapping[str, Any]] | None, money: Money, most: int, besides: Sequence[str] = ()) -> list[str]:
    """The features that raise a score most, in words, the strongest first; at most `most`.

    Args:
        explanation: `feature`, `value`, `contribution` (log-odds), as in gold; None gives nothing.
        money: how amounts of the base currency are written.
        most: how many.
        besides: parts that are told elsewhere.
    """
    raising = [
        part for part in explanation or () if part["contribution"] > 0 and part["feature"] not in _SUMS and part["feature"] not in besides
    ]
    raising.sort(key=lambda part: (-part["contribution"], part["feature"]))
    return [_sentence(part["feature"], part["value"], money) for part in raising[:most]]


def _sentence(feature: str, value: float | None, money: Money) -> str:
    if value is None or not math.isfinite(value):
        return MISSING.get(feature, f"{feature.replace('_', ' ')} is not known")
    if feature in CHOICES:
        return CHOICES[feature][0 if value else 1]
    if feature not in TEXTS:
        return f"{feature.replace('_', ' ')} is {value:,.6g}"
    return say(TEXTS[feature], {"value": value * _SCALE.get(feature, 1)}, money)

"""Features in words: every one of the model's has a sentence, known or missing."""

import pytest

from lakewarden.flow.features import FEATURES
from lakewarden.flow.sentences import CHOICES, TEXTS, sentences
from lakewarden.rules.wording import Money

EUR = Money("EUR", 2)


def part(feature, value, contribution=1.0):
    return {"feature": feature, "value": value, "contribution": contribution}


@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature_of_the_model_has_a_sentence(feature):
    assert (feature in TEXTS) != (feature in CHOICES)
    for value in (0.0, 1.0, 14.25, None, float("nan")):
        (said,) = sentences([part(feature, value)], EUR, 1)
        assert len(said) > 15
        assert "{" not in said
        assert "nan" not in said.split()


@pytest.mark.parametrize(
    ("feature", "value", "said"),
    [
        ("amount", 1234.5, "the amount is 1,234.50 EUR"),
        ("a_sum_24h", 123_450.0, "the account moved 1,234.50 EUR in 24 hours"),
        ("a_ratio_mean_30d", 14.21, "the amount is 14.2 times the account's 30-day mean"),
        ("a_since_last_s", 7_200.0, "the account's last transaction was 2 hours before"),
        ("a_since_last_s", None, "the account had no transaction in the 30 days before"),
        ("p_fraud_share_7d", 0.25, "25 % of the other side's transactions of 7 days turned out to be fraud"),
        ("a_new_device", 1.0, "the account was not used from this device for 30 days"),
        ("a_new_device", 0.0, "the account was used from this device before"),
        ("something_else", 3.0, "something else is 3"),
        ("something_else", None, "something else is not known"),
    ],
)
def test_sentences(feature, value, said):
    assert sentences([part(feature, value)], EUR, 3) == [said]


def test_only_what_raises_the_score_the_strongest_first():
    explanation = [
        part("hour", 3.0, 0.2),
        part("amount", 1.0, 0.9),
        part("weekend", 1.0, -3.0),
        part("other", None, 5.0),
        part("baseline", None, 4.0),
        part("a_rule", 1.0, 2.0),
        part("is_online", 1.0, 0.9),
    ]
    assert sentences(explanation, EUR, 2, ["a_rule"]) == ["the amount is 1.00 EUR", "it was made online or on a phone"]
    assert len(sentences(explanation, EUR, 9, ["a_rule"])) == 3


def test_no_explanation_no_sentence():
    assert sentences(None, EUR, 3) == []
    assert sentences([], EUR, 3) == []

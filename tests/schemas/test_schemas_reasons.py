"""Reason codes."""

from schemas.reasons import REASONS, for_status
from schemas.tables import IMAGE_STATUS


def test_every_class_of_failure_has_a_reason() -> None:
    reasons = [for_status(status) for status in IMAGE_STATUS if status != "ok"]
    assert set(reasons) <= {reason.code for reason in REASONS if reason.level == "image"}
    assert len(set(reasons)) == len(reasons)


def test_codes_are_unique() -> None:
    assert len({reason.code for reason in REASONS}) == len(REASONS)

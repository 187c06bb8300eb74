"""Why a page did not get through."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """A reason from schemas/reasons.py, and what a row of `rejections` says beside it."""

    rule: str
    detail: str | None = None
    measure: float | None = None
    threshold: float | None = None

"""When a rule takes so much that the recipe is likelier wrong than the web."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.overrides import Section, nearest
from schemas.reasons import CODES
from schemas.recipe.values import Fraction


class Guard(Section):
    """When a rule takes so much that the recipe is likelier wrong than the web.

    It judges a step's result and does not shape it: changing it makes nothing anew.
    """

    max_dropped_fraction: Fraction | None = Field(
        0.95, description="largest part of what a step judged that one of its rules may drop; null is no bound"
    )
    rules: dict[str, Fraction | None] = Field(
        {}, description="the same for single rules, by their code, e.g. {TOO_SHORT: 0.5}; null is no bound"
    )
    min_judged: int = Field(100, gt=0, description="of fewer things a fraction says nothing, and none is bound")
    action: Literal["warn", "fail"] = Field(
        "warn", description="what a missed bound does: it is said and noted, or the run fails before the step counts"
    )

    @model_validator(mode="after")
    def _rules_exist(self) -> Self:
        for rule in self.rules:
            if rule not in CODES:
                raise ValueError(f"guard.rules: unknown rule {rule}{nearest(rule, CODES)}")
        return self

    def bound(self, rule: str) -> float | None:
        """Return the largest part that a rule may drop; None where there is no bound."""
        return self.rules.get(rule, self.max_dropped_fraction)

"""Values that several parts of a recipe take."""

from typing import Annotated, Literal, get_args

from pydantic import Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Directive = Literal["noai", "noimageai", "noindex", "noimageindex", "noml", "tdm-reservation"]
DIRECTIVES: tuple[Directive, ...] = get_args(Directive)
"""Honoured unless a recipe says otherwise."""

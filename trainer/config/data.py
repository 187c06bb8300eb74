"""What a step reads."""

from typing import Literal

from pydantic import Field, model_validator

from schemas.overrides import Section

MAX_SEQUENCES = 10**7  # of a corpus in a step


class Mixture(Section):
    """Shares of each step's tokens (not samples); they are normalised over the corpora that the shards hold."""

    text: float = Field(0.5, ge=0)
    caption: float = Field(0.5, ge=0)
    interleaved: float = Field(0.2, ge=0)

    @model_validator(mode="after")
    def _something_is_read(self) -> "Mixture":
        if not self.text + self.caption + self.interleaved:
            raise ValueError("data.mixture must give some corpus a share above 0")
        return self


class Sequences(Section):
    """Sequences of each corpus in a step, in place of shares of its tokens: a row of text or of interleaved documents,
    one caption, one instruction."""

    instruct: int = Field(0, ge=0, le=MAX_SEQUENCES, description="instructions, of the files in data.instructions")
    text: int = Field(0, ge=0, le=MAX_SEQUENCES)
    caption: int = Field(0, ge=0, le=MAX_SEQUENCES)
    interleaved: int = Field(0, ge=0, le=MAX_SEQUENCES)

    @model_validator(mode="after")
    def _something_is_read(self) -> "Sequences":
        if not self.instruct + self.text + self.caption + self.interleaved:
            raise ValueError("data.sequences must give some corpus a number above 0")
        return self


class Data(Section):
    """What a step reads."""

    sequence_length: int = Field(gt=0, le=2**20, description="tokens of a row, image embeddings included")
    tokens_per_step: int | None = Field(
        None,
        gt=0,
        le=10**9,
        description="tokens of a step over all processes, padding not counted; null: `sequences` decide",
    )
    mixture: Mixture = Mixture()
    sequences: Sequences | None = Field(None, description="null: `tokens_per_step` and `mixture` decide")
    instructions: tuple[str, ...] = Field(
        (), description="JSON lines of instructions with their outputs, paths or addresses; docs/training.md"
    )
    rows_per_micro_step: int = Field(
        1, gt=0, le=2**16, description="rows that one process puts through the model at a time"
    )
    streams: int = Field(
        64, gt=0, le=10**6, description="virtual streams of a corpus, whatever the number of processes"
    )
    workers: int = Field(
        4, ge=0, le=1024, description="processes that read and decode for one that trains; 0: it does so itself"
    )
    prefetch_steps: int = Field(
        2, gt=0, le=1000, description="whole steps that are made ready ahead, where there are workers"
    )
    on_missing: Literal["stop", "skip"] = Field(
        "stop", description="what a missing or cut shard does when a run starts: stop it, or be left out and counted"
    )
    validation_rows: int = Field(
        64, ge=0, le=10**9, description="rows of each corpus that its validation loss is measured on"
    )

    @model_validator(mode="after")
    def _tokens_or_sequences(self) -> "Data":
        if (self.tokens_per_step is None) == (self.sequences is None):
            raise ValueError("give data.tokens_per_step or data.sequences, and null for the other")
        if bool(self.instructions) != bool(self.sequences is not None and self.sequences.instruct):
            raise ValueError("data.instructions and data.sequences.instruct go together: files, and how many of a step")
        return self

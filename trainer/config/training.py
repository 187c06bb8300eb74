"""How a model learns, and how that is shared, kept and watched."""

from typing import Literal

from pydantic import Field

from schemas.overrides import Section
from trainer.config.values import Fraction


class Optimizer(Section):
    """AdamW, warmed up and then decayed linearly to 0."""

    learning_rate: float = Field(gt=0)
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    eps: float = Field(1e-6, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(2.0, gt=0, description="largest norm of a step's gradient")
    warmup_steps: int = Field(375, ge=0)
    max_bad_steps: int = Field(
        3, ge=0, description="steps in a row that may be skipped, their loss or gradient not being finite"
    )


class Checkpoint(Section):
    every_steps: int = Field(
        1000, gt=0, lt=10**12, description="steps between checkpoints; the last step is always saved"
    )
    keep: int = Field(3, gt=0, le=10**6, description="newest checkpoints that stay")
    asynchronous: bool = Field(True, description="write while training goes on, from a copy in the machine's memory")


class Compute(Section):
    """How processes share the work. Nothing here changes what is learnt, so all of it may change at a resumption."""

    replicas: int = Field(
        1, gt=0, le=10**6, description="groups of processes that each hold the whole model (HSDP); 1: FSDP"
    )
    activation_checkpointing: Literal["none", "blocks"] = Field(
        "none", description="blocks: keep a block's input alone and compute it again in the backward pass"
    )
    compile: bool = Field(False, description="compile decoder blocks by torch.compile")


class Watch(Section):
    """What is shown and kept beside `metrics.jsonl`. All of it may change at a resumption."""

    validate_every_steps: int | None = Field(None, gt=0, description="steps between validations; null: none")
    tensorboard: bool = Field(False, description="event files in the output's folder `tensorboard`")
    wandb: str | None = Field(None, description="project of Weights & Biases; null: nothing is sent")
    peak_flops: float | None = Field(
        None, gt=0, description="what a device can do in bf16 [FLOP/s], for MFU; null: by the GPU's name"
    )

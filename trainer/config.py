"""The trainer's configuration: every setting of a training run, validated, with `--set key=value` overrides."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from schemas.errors import RecipeError
from schemas.overrides import Section, merge, nearest, override, parse, validate

Fraction = Annotated[float, Field(ge=0, lt=1)]


MAX_PARAMETERS = 10**12  # of the decoder; a configuration with more is damaged or a typing error


class ModelConfig(Section):
    """The decoder."""

    layers: int = Field(gt=0, le=1024, description="decoder blocks")
    width: int = Field(gt=0, le=2**17, description="width of the residual stream")
    ffn_width: int = Field(gt=0, le=2**19, description="width between the two matrices of a feed-forward block")
    heads: int = Field(gt=0, le=1024, description="attention heads, of the resampler too")
    dropout: Fraction = Field(0.0, description="on embeddings and every residual branch")
    attention_dropout: Fraction | None = Field(None, description="on attention weights; null: as `dropout`")
    attention: Literal["sdpa", "flex"] = Field(
        "sdpa", description="flex: FlexAttention, which skips blocks that the document mask hides; for GPUs"
    )
    document_mask: bool = Field(
        True,
        description="positions attend only to their own document of a row; false: to the whole row, as in the paper",
    )
    positions: Literal["xpos", "sinusoidal"] = Field("xpos", description="sinusoidal also scales embeddings by √width")
    initialisation: Literal["xavier", "linear"] = Field(
        "xavier", description="base of the Magneto initialisation: the paper's, or PyTorch's default for Linear"
    )
    vocabulary_multiple: int = Field(
        128, gt=0, le=2**16, description="the embedding is padded to a multiple of this many rows"
    )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelConfig":
        if self.width % (2 * self.heads):
            raise ValueError(
                f"model.width {self.width} must be a multiple of 2 × heads ({2 * self.heads}): xPos rotates pairs"
            )
        if self.positions == "sinusoidal" and self.width < 4:
            raise ValueError("model.width must be at least 4 for sinusoidal positions")
        return self

    @property
    def min_parameters(self) -> int:
        """Parameters of the decoder's matrices and of the smallest embedding."""
        return self.width * (self.layers * (4 * self.width + 2 * self.ffn_width) + self.vocabulary_multiple)

    @model_validator(mode="after")
    def _is_of_plausible_size(self) -> "ModelConfig":
        if self.min_parameters > MAX_PARAMETERS:
            raise ValueError(
                f"model: {self.layers} layers of width {self.width} and ffn_width {self.ffn_width} have "
                f"{self.min_parameters:,} parameters, which is more than {MAX_PARAMETERS:,}"
            )
        return self

    @model_validator(mode="after")
    def _flex_drops_nothing(self) -> "ModelConfig":
        dropout = self.dropout if self.attention_dropout is None else self.attention_dropout
        if self.attention == "flex" and dropout:
            raise ValueError("model.attention flex cannot drop attention weights: set model.attention_dropout to 0")
        return self


class Tower(Section):
    """A vision transformer trained from scratch, for runs without a pretrained one."""

    image_size: int = Field(64, gt=0, le=4096, description="side of the square input image [pixels]")
    patch_size: int = Field(16, gt=0, le=4096, description="side of a patch [pixels]")
    width: int = Field(128, gt=0, le=2**14, description="width of its features")
    layers: int = Field(2, gt=0, le=256, description="blocks")
    heads: int = Field(4, gt=0, le=256, description="attention heads")

    @model_validator(mode="after")
    def _parts_fit(self) -> "Tower":
        if self.width % self.heads:
            raise ValueError(f"vision.tower.width {self.width} must be a multiple of its heads ({self.heads})")
        if not self.patch_size <= self.image_size <= 512 * self.patch_size:
            raise ValueError(
                f"vision.tower.image_size {self.image_size} must be 1 to 512 times its patch_size ({self.patch_size})"
            )
        return self


class VisionConfig(Section):
    """The vision encoder, a CLIP vision transformer, and the resampler."""

    model: str | None = Field(None, description="open_clip model name, or local-dir:PATH; null: `tower`, from scratch")
    pretrained: str | None = Field(None, description="open_clip tag (downloaded) or path of a checkpoint")
    tower: Tower = Tower()
    trainable_layers: int | None = Field(
        1, ge=0, description="last blocks of the vision encoder that are trained; null: all of it"
    )
    latents: int = Field(64, gt=0, le=4096, description="embeddings of one image in the decoder")

    @property
    def min_parameters(self) -> int:
        """Parameters of the matrices of a vision encoder from scratch; 0 for a named one."""
        return 12 * self.tower.layers * self.tower.width**2 if self.model is None else 0


MAX_SEQUENCES = 10**7  # per step and corpus


class Mixture(Section):
    """Shares of each step's tokens (not samples), normalised over the corpora in the shards."""

    text: float = Field(0.5, ge=0)
    caption: float = Field(0.5, ge=0)
    interleaved: float = Field(0.2, ge=0)

    @model_validator(mode="after")
    def _something_is_read(self) -> "Mixture":
        if not self.text + self.caption + self.interleaved:
            raise ValueError("data.mixture must give some corpus a share above 0")
        return self


class Sequences(Section):
    """Sequences of each corpus in a step, instead of shares of its tokens. A sequence is a row of text or interleaved
    documents, one caption, or one instruction."""

    instruct: int = Field(0, ge=0, le=MAX_SEQUENCES, description="instructions from the files in data.instructions")
    text: int = Field(0, ge=0, le=MAX_SEQUENCES)
    caption: int = Field(0, ge=0, le=MAX_SEQUENCES)
    interleaved: int = Field(0, ge=0, le=MAX_SEQUENCES)

    @model_validator(mode="after")
    def _something_is_read(self) -> "Sequences":
        if not self.instruct + self.text + self.caption + self.interleaved:
            raise ValueError("data.sequences must give some corpus a number above 0")
        return self


class Data(Section):
    """The data of a step."""

    sequence_length: int = Field(gt=0, le=2**20, description="tokens of a row, image embeddings included")
    tokens_per_step: int | None = Field(
        None,
        gt=0,
        le=10**9,
        description="tokens of a step over all processes, without padding; null: use `sequences`",
    )
    mixture: Mixture = Mixture()
    sequences: Sequences | None = Field(None, description="null: use `tokens_per_step` and `mixture`")
    instructions: tuple[str, ...] = Field(
        (), description="JSON Lines files of instructions and outputs, as paths or URLs; see docs/training.md"
    )
    rows_per_micro_step: int = Field(1, gt=0, le=2**16, description="rows in a forward pass of one process")
    streams: int = Field(
        64, gt=0, le=10**6, description="virtual streams of a corpus, whatever the number of processes"
    )
    workers: int = Field(
        4, ge=0, le=1024, description="loader processes for each training process; 0: none, it loads its own data"
    )
    prefetch_steps: int = Field(2, gt=0, le=1000, description="steps that are prefetched, with workers")
    on_missing: Literal["stop", "skip"] = Field(
        "stop", description="at a missing or truncated shard, stop at the start of a run, or skip it"
    )
    validation_rows: int = Field(64, ge=0, le=10**9, description="rows of each corpus for its validation loss")

    @model_validator(mode="after")
    def _tokens_or_sequences(self) -> "Data":
        if (self.tokens_per_step is None) == (self.sequences is None):
            raise ValueError("set data.tokens_per_step or data.sequences, and null for the other")
        if bool(self.instructions) != bool(self.sequences is not None and self.sequences.instruct):
            raise ValueError("data.instructions and data.sequences.instruct go together: set both or neither")
        return self


class Optimizer(Section):
    """AdamW with linear warm-up and linear decay to 0."""

    learning_rate: float = Field(gt=0)
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    eps: float = Field(1e-6, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    clip_norm: float = Field(2.0, gt=0, description="maximum norm of the gradient")
    warmup_steps: int = Field(375, ge=0)
    max_bad_steps: int = Field(
        3, ge=0, description="steps in a row that may be skipped because their loss or gradient is not finite"
    )


class Checkpoint(Section):
    every_steps: int = Field(
        1000, gt=0, lt=10**12, description="steps between checkpoints; the last step is always saved"
    )
    keep: int = Field(3, gt=0, le=10**6, description="newest checkpoints to keep")
    asynchronous: bool = Field(True, description="write during training, from a copy in CPU memory")


class Compute(Section):
    """How processes share the work. None of it affects the training result, so all of it may change at a resume."""

    replicas: int = Field(
        1, gt=0, le=10**6, description="groups of processes that each hold a full copy of the model (HSDP); 1: FSDP"
    )
    activation_checkpointing: Literal["none", "blocks"] = Field(
        "none", description="blocks: store only the input of a block, and recompute the block in the backward pass"
    )
    compile: bool = Field(False, description="compile decoder blocks with torch.compile")


class Watch(Section):
    """Metrics beside `metrics.jsonl`. All of it may change at a resume."""

    validate_every_steps: int | None = Field(None, gt=0, description="steps between validations; null: none")
    tensorboard: bool = Field(False, description="event files in the output's folder `tensorboard`")
    wandb: str | None = Field(None, description="project of Weights & Biases; null: off")
    peak_flops: float | None = Field(
        None, gt=0, description="peak of a device in bf16 [FLOP/s], for MFU; null: by the GPU's name"
    )


_SHIPPED = Path(__file__).parent / "configs"


class TrainConfig(Section):
    """A configuration of a training run. It is saved with every checkpoint."""

    name: str = Field(description="name of the configuration")
    about: str = Field("", description="purpose, in one line")
    start: str | None = Field(None, description="weights to start from, as `--from` gives them; null: new weights")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the weights, the dropout and the sampling order")
    steps: int = Field(gt=0, lt=10**12, description="optimizer steps")
    cpu_threads: int | None = Field(
        None, gt=0, le=4096, description="threads of a process on a CPU; null: PyTorch's choice"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of computation; parameters and sums are fp32")
    model: ModelConfig
    vision: VisionConfig = VisionConfig()
    data: Data
    optimizer: Optimizer
    checkpoint: Checkpoint = Checkpoint()
    compute: Compute = Compute()
    watch: Watch = Watch()

    @model_validator(mode="after")
    def _an_image_fits_into_a_row(self) -> "TrainConfig":
        least = 2 * (self.vision.latents + 4)  # twice an image with its two special tokens, <s> and a caption
        if self.data.sequence_length < least:
            raise ValueError(f"data.sequence_length must be at least {least} to hold images of {self.vision.latents}")
        return self


def shipped() -> list[str]:
    """Return the names of the configurations that ship with the trainer."""
    return sorted(file.stem for file in _SHIPPED.glob("*.yaml"))


def load(
    name_or_path: str, overrides: list[str] | tuple[str, ...] = (), defaults: dict[str, Any] | None = None
) -> TrainConfig:
    """Load a shipped configuration by name, or any by path, with `key=value` overrides.

    Keys that the configuration does not set come from `defaults`.

    Raises: RecipeError that names the unknown configuration or key, or the invalid value.
    """
    path = _SHIPPED / f"{name_or_path}.yaml" if name_or_path in shipped() else Path(name_or_path)
    if not path.is_file():
        raise RecipeError(
            f"no configuration named {name_or_path}{nearest(name_or_path, shipped())}; "
            f"give the path of a YAML file or one of: {', '.join(shipped())}"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"configuration {name_or_path} cannot be read: {error}") from error
    values = merge(defaults or {}, parse(text, name_or_path))
    if defaults:
        values["start"] = defaults["start"]  # an exported configuration may name another start
    if "model" not in values:
        raise RecipeError(f"configuration {name_or_path} has no section model; start from weights: --from CHECKPOINT")
    return validate(TrainConfig, override(values, overrides), f"configuration {name_or_path}")

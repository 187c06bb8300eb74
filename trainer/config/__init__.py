"""The trainer's configuration: every choice of a training run, validated, with `--set key=value` on top."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from schemas.errors import RecipeError
from schemas.overrides import Section, merge, nearest, override, parse, validate
from trainer.config.data import Data
from trainer.config.model import Model, Vision
from trainer.config.training import Checkpoint, Compute, Optimizer, Watch

_SHIPPED = Path(__file__).parent / "shipped"


class TrainConfig(Section):
    """A whole configuration. It is saved with every checkpoint."""

    name: str = Field(description="what the configuration is called")
    about: str = Field("", description="one line: what it is for")
    start: str | None = Field(None, description="weights that the run starts from, as `--from` gives them; null: new")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of the weights, the dropout and the order of the data")
    steps: int = Field(gt=0, lt=10**12, description="optimizer steps")
    cpu_threads: int | None = Field(
        None, gt=0, le=4096, description="threads of a process on a CPU; null: PyTorch's choice"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="of parameters in use; masters and sums are fp32")
    model: Model
    vision: Vision = Vision()
    data: Data
    optimizer: Optimizer
    checkpoint: Checkpoint = Checkpoint()
    compute: Compute = Compute()
    watch: Watch = Watch()

    @model_validator(mode="after")
    def _an_image_fits_a_row(self) -> "TrainConfig":
        least = 2 * (self.vision.latents + 4)  # an image, its two tokens and a few words, twice
        if self.data.sequence_length < least:
            raise ValueError(f"data.sequence_length must be at least {least} to hold images of {self.vision.latents}")
        return self


def shipped() -> list[str]:
    """Return the names of the configurations that ship with the trainer."""
    return sorted(file.stem for file in _SHIPPED.glob("*.yaml"))


def load(
    name_or_path: str, overrides: list[str] | tuple[str, ...] = (), beneath: dict[str, Any] | None = None
) -> TrainConfig:
    """Load a shipped configuration by name, or any by path, and lay `key=value` overrides on it.

    What the configuration does not say is taken from `beneath`.

    Raises: RecipeError that names the configuration or key which is unknown, or the value which is impossible.
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
    values = merge(beneath or {}, parse(text, name_or_path))
    values |= {key: beneath[key] for key in ("start",) if beneath}  # the configuration of an export says none
    if "model" not in values:
        raise RecipeError(f"configuration {name_or_path} says no sizes of a model; start from one: --from CHECKPOINT")
    return validate(TrainConfig, override(values, overrides), f"configuration {name_or_path}")

"""What is known of one step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepMetrics:
    """One step, over all processes."""

    step: int  # steps done, from 1
    loss: dict[str, float]  # mean over the targets of a corpus; without one that has none in the step, or is not finite
    num_tokens: dict[str, int]  # of a corpus, padding not counted
    num_images: int
    num_skipped: int  # samples and images of the step that could not be read
    learning_rate: float
    gradient_norm: float | None  # before clipping; None: not finite
    applied: bool  # false: the loss or the gradient was not finite, and the weights stayed as they were
    seconds: float
    wait_seconds: float  # of them, until the slowest process had its rows
    peak_gpu_bytes: int  # of the process that took most; 0 on CPUs
    peak_rss_bytes: int  # likewise, memory of the machine
    batch: str  # digest of the step's rows
    save_seconds: float = 0.0  # that a checkpoint held training up, just before this step
    mfu: float | None = None  # model FLOPs over what the devices could do at most; None where that is not known

    @property
    def tokens_per_second(self) -> float:
        return sum(self.num_tokens.values()) / self.seconds

    @property
    def images_per_second(self) -> float:
        return self.num_images / self.seconds

    def scalars(self) -> dict[str, float]:
        """Return what a board draws over steps, by name."""
        known = {
            **{f"loss/{corpus}": loss for corpus, loss in self.loss.items()},
            "optimizer/learning_rate": self.learning_rate,
            "optimizer/gradient_norm": self.gradient_norm,
            "speed/tokens_per_second": self.tokens_per_second,
            "speed/images_per_second": self.images_per_second,
            "speed/mfu": self.mfu,
            "speed/step_seconds": self.seconds,
            "speed/wait_fraction": self.wait_seconds / self.seconds,
            "speed/save_seconds": self.save_seconds,
            "memory/peak_gpu_gib": self.peak_gpu_bytes / 2**30,
            "memory/peak_rss_gib": self.peak_rss_bytes / 2**30,
            "data/num_skipped": self.num_skipped,
        }
        return {name: value for name, value in known.items() if value is not None}

    def __str__(self) -> str:
        told = [f"{corpus} {loss:.3f}" for corpus, loss in self.loss.items()]
        told += [f"{self.tokens_per_second:,.0f} tokens/s", f"{self.images_per_second:,.0f} images/s"]
        told += [f"{self.mfu:.1%} MFU"] if self.mfu is not None else []
        told += [f"{self.wait_seconds / self.seconds:.0%} waiting"]
        told += [] if self.gradient_norm is None else [f"gradient {self.gradient_norm:.2f}"]
        told += [] if self.applied else ["NOT FINITE"]
        told += [f"{self.num_skipped} skipped"] if self.num_skipped else []
        return "loss: " + "  ".join(told)

"""One optimizer step over all processes and micro-steps."""

import time

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from schemas.ids import digest
from trainer.config import Optimizer, TrainConfig
from trainer.data.batches import Loader
from trainer.distributed import Processes
from trainer.metrics import StepMetrics
from trainer.model.kosmos import Kosmos


def take_step(
    number: int,
    loader: Loader,
    model: Kosmos,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    processes: Processes,
) -> StepMetrics:
    """Take step `number`, counted from 0, on the loader's next rows.

    The loss is the sum over all processes and micro-steps, divided by the count of all their targets.
    """
    started = time.perf_counter()
    torch.manual_seed(int(digest(str(config.seed), str(number), str(processes.rank)), 16) % 2**63)  # dropout
    step = next(loader)
    corpora = list(step.num_tokens)
    num_targets = processes.sum(*(sum(b.num_targets for b in step.micro_batches if b.corpus == c) for c in corpora))
    losses = dict.fromkeys(corpora, 0.0)
    for batch in step.micro_batches:
        b = batch.to(processes.device)
        loss = model(b.tokens_BT, b.slots_BT, b.stretches_BT, b.pixels_ICHW, b.targets_BT)
        (loss / max(1, sum(num_targets))).backward()
        losses[batch.corpus] += loss.item()
    rate = learning_rate(config.optimizer, number, config.steps)
    for group in optimizer.param_groups:
        group["lr"] = rate
    norm = nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    *sums, num_skipped = processes.sum(*losses.values(), len(loader.skipped.reasons))
    return StepMetrics(
        step=number + 1,
        loss={c: s / n for c, s, n in zip(corpora, sums, num_targets, strict=True) if n},
        num_tokens=step.num_tokens,
        num_images=step.num_images,
        num_skipped=int(num_skipped),
        learning_rate=rate,
        gradient_norm=float(norm.full_tensor() if isinstance(norm, DTensor) else norm),
        seconds=time.perf_counter() - started,
        batch=step.digest,
    )


def learning_rate(config: Optimizer, step: int, steps: int) -> float:
    """Return the rate of a step, counted from 0: up linearly over the warm-up, then down linearly to 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    return config.learning_rate * (steps - step) / max(1, steps - config.warmup_steps)

"""One optimizer step over all processes and micro-steps."""

import math
import time
from functools import partial

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from schemas.ids import digest
from trainer.config import TrainConfig
from trainer.config.training import Optimizer
from trainer.data.loader import Loader
from trainer.model.kosmos import Kosmos
from trainer.run.processes import Processes
from trainer.run.sharding import reduce_over_replicas
from trainer.watch.device import peak_gpu_bytes, peak_rss_bytes
from trainer.watch.metrics import StepMetrics


def take_step(
    number: int,
    loader: Loader,
    model: Kosmos,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    processes: Processes,
) -> StepMetrics:
    """Take step `number`, counted from 0, on the loader's next rows.

    The loss is the sum over all processes and micro-steps, divided by the count of all their targets. Where it, or the
    gradient, is not finite, the weights and the optimizer stay as they were.
    """
    started = time.perf_counter()
    torch.manual_seed(int(digest(str(config.seed), str(number), str(processes.rank)), 16) % 2**63)  # dropout
    step = processes.together(partial(next, loader))
    waited = time.perf_counter() - started
    corpora = list(step.num_tokens)
    num_targets = processes.sum(*(sum(b.num_targets for b in step.micro_batches if b.corpus == c) for c in corpora))
    losses = {c: torch.zeros((), dtype=torch.float64, device=processes.device) for c in corpora}
    for i, batch in enumerate(step.micro_batches, start=1):
        reduce_over_replicas(model, now=i == len(step.micro_batches))
        b = batch.to(processes.device)
        loss = model(b.tokens_BT, b.slots_BT, b.stretches_BT, b.pixels_ICHW, b.targets_BT)
        (loss / max(1, sum(num_targets))).backward()
        losses[batch.corpus] += loss.detach()  # never .item() here: the device would wait
    gradient_norm = _clip(model, config.optimizer.clip_norm)
    *sums, num_skipped = processes.sum(*(float(loss) for loss in losses.values()), len(step.skipped))
    finite = math.isfinite(gradient_norm) and all(map(math.isfinite, sums))
    rate = learning_rate(config.optimizer, number, config.steps)
    if finite:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    optimizer.zero_grad()
    seconds = time.perf_counter() - started
    slowest, gpu_bytes, rss_bytes = processes.largest(waited, peak_gpu_bytes(processes.device), peak_rss_bytes())
    return StepMetrics(
        step=number + 1,
        loss={c: s / n for c, s, n in zip(corpora, sums, num_targets, strict=True) if n and math.isfinite(s)},
        num_tokens=step.num_tokens,
        num_images=step.num_images,
        num_skipped=int(num_skipped),
        learning_rate=rate,
        gradient_norm=gradient_norm if math.isfinite(gradient_norm) else None,
        applied=finite,
        seconds=seconds,
        wait_seconds=slowest,
        peak_gpu_bytes=int(gpu_bytes),
        peak_rss_bytes=int(rss_bytes),
        batch=step.digest,
    )


def _clip(model: Kosmos, most: float) -> float:
    """Scale the gradients down to a norm of `most`; return the norm that they had, over all processes."""
    norm = nn.utils.clip_grad_norm_(model.parameters(), most)
    return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)


def learning_rate(config: Optimizer, step: int, steps: int) -> float:
    """Return the rate of a step, counted from 0: up linearly over the warm-up, then down linearly to 0."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    return config.learning_rate * (steps - step) / max(1, steps - config.warmup_steps)

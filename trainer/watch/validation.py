"""Validation: the loss of each corpus on shards that nothing is learnt from."""

from collections import defaultdict
from collections.abc import Iterator

import torch
from torch.distributed.fsdp import FSDPModule

from trainer.data.batches import MicroBatch
from trainer.model.kosmos import Kosmos
from trainer.run.processes import Processes


@torch.no_grad()
def validation_loss(model: Kosmos, batches: Iterator[MicroBatch], processes: Processes) -> dict[str, float]:
    """Return the mean loss over the targets of each corpus, over all processes.

    Every process must bring as many batches as the others, of the same corpora in the same order.

    Raises: in all processes, what a batch of one of them raises.
    """
    sums: dict[str, float] = defaultdict(float)
    num_targets: dict[str, int] = defaultdict(int)
    model.eval()
    while (batch := processes.together(lambda: next(batches, None))) is not None:
        b = batch.to(processes.device)
        sums[b.corpus] += float(model(b.tokens_BT, b.slots_BT, b.stretches_BT, b.pixels_ICHW, b.targets_BT))
        num_targets[b.corpus] += batch.num_targets
    model.train()
    if isinstance(model, FSDPModule):
        model.reshard()  # the last backward pass would have done it, and optimizer and checkpoints know shards alone
    totals = processes.sum(*sums.values(), *num_targets.values())
    return {c: s / n for c, s, n in zip(sums, totals[: len(sums)], totals[len(sums) :], strict=True) if n}

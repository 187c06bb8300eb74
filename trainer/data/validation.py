"""What the loss is measured on beside training: rows of each corpus of the held-out split, always the same."""

from collections.abc import Iterator
from itertools import islice, takewhile

from open_clip.transform import PreprocessCfg

from trainer.config import TrainConfig
from trainer.data.batches import Batches, MicroBatch
from trainer.data.shards import Shards
from trainer.data.source import Drawn, Source
from trainer.tokenizer import Tokenizer


def validation(
    shards: Shards, tokenizer: Tokenizer, config: TrainConfig, preprocess: PreprocessCfg, rank: int, world: int
) -> Iterator[MicroBatch]:
    """Yield one process's part of `data.validation_rows` rows of each corpus, or of all that it holds.

    Every process gets as many batches, of the same corpora in the same order; the rows are the same for any `world`,
    and at every call. Decoded in this process, a batch at a time: it waits for them, and holds no more.
    """
    data = config.data
    batches = Batches(preprocess, data.sequence_length, data.rows_per_micro_step, rank, world)
    source = Source(shards, tokenizer, config, batches.framing, rank, world, once=True)
    mixed = (data.mixture if data.sequences is None else data.sequences).model_dump()
    for corpus in (c for c, share in mixed.items() if share and len(shards.readable.get(c, ()))):
        rows = _rows(source, corpus, data.validation_rows)
        while of_a_batch := list(islice(rows, world * data.rows_per_micro_step)):
            yield from batches.make(corpus, of_a_batch)


def _rows(source: Source, corpus: str, most: int) -> Iterator[tuple[int, Drawn]]:
    turns = ((turn, source.take(corpus, turn)) for turn in range(most))
    return takewhile(lambda drawn: drawn[1].num_tokens, turns)

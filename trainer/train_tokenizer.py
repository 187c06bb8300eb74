"""Train a tokenizer on the text of the shards; the same shards give the same bytes.

SentencePiece BPE with byte fallback and without normalisation, so that decoding inverts encoding.
"""

import io
from collections.abc import Iterable, Iterator

import sentencepiece
from rich.console import Console
from rich.progress import Progress

from schemas.errors import IntegrityError, RecipeError, WeftError
from schemas.shards import Counted
from trainer import tokenizer as tokenizers
from trainer.data.corpus import Corpus
from trainer.data.shards import open_shards
from trainer.tokenizer import BOS, EOS, PAD, UNK, Tokenizer

KOSMOS1_VOCABULARY = 64_007  # arXiv 2302.14045
_MAX_LINE_CHARACTERS = 4_000  # longer lines are split; SentencePiece would skip them
_MAX_COUNTED_CHARACTERS = 5_000_000  # of each corpus; enough to estimate the characters per token


def train_tokenizer(
    data: str,
    output: str,
    vocab_size: int = KOSMOS1_VOCABULARY,
    max_characters: int = 200_000_000,
    overwrite: bool = False,
) -> Tokenizer:
    """Train a tokenizer on the text of the shards in `data` and write it to the folder `output`.

    The corpora share `max_characters` evenly, each read from its start, since shards are already shuffled. If the text
    has too few distinct tokens, the vocabulary is smaller. An identical tokenizer at `output` is kept.

    Raises: PathError without shards; RecipeError when `output` holds another tokenizer and `overwrite` is false;
        WeftError when the shards have no text, or the vocabulary is too small for all bytes.
    """
    shards = open_shards(data)
    settings = {"vocab_size": vocab_size, "max_characters": max_characters, "shards": shards.fingerprint}
    existing = tokenizers.about(output)
    if existing is not None and not overwrite:
        found = dict(existing.get("settings") or {})
        if found != settings:
            differences = ", ".join(
                f"{k} {found.get(k)} there, {v} here" for k, v in settings.items() if found.get(k) != v
            )
            raise RecipeError(f"{output} holds another tokenizer ({differences}); --overwrite replaces it")
        return tokenizers.load(output)
    corpora = [corpus for corpus in shards.corpora.values() if len(corpus)]
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("train tokenizer", total=None)
        share = max_characters // max(1, len(corpora))
        tokenizer = tokenizer_of((text for c in corpora for text in _texts(c, share)), vocab_size)
        bar.update(task, description="count tokens")
        counted = {c.name: _count(c, tokenizer) for c in corpora}
    tokenizers.save(output, tokenizer, settings=settings, counted=counted)
    return tokenizer


def _texts(corpus: Corpus, max_characters: int) -> Iterator[str]:
    """Yield the text of samples from the start of a corpus, until `max_characters` are reached."""
    for sample, body in corpus.read_all():
        try:
            if corpus.name == "interleaved":
                text = "\n\n".join(b["text"] for b in corpus.blocks(sample, body) if b["kind"] == "text")
            else:
                text = corpus.text(sample, body)
        except IntegrityError:  # skipped; the trainer reports it
            continue
        yield text
        max_characters -= len(text)
        if max_characters <= 0:
            return


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for start in range(0, len(line), _MAX_LINE_CHARACTERS):
            yield line[start : start + _MAX_LINE_CHARACTERS]


def _count(corpus: Corpus, tokenizer: Tokenizer) -> Counted:
    counted: Counted = {"samples": 0, "characters": 0, "tokens": 0}
    for text in _texts(corpus, _MAX_COUNTED_CHARACTERS):
        counted["samples"] += 1
        counted["characters"] += len(text)
        counted["tokens"] += len(tokenizer.encode(text))
    return counted


def tokenizer_of(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a tokenizer on texts. One thread, since several break ties at random.

    Raises: WeftError when there is no text, or the vocabulary is too small for all bytes.
    """
    lines = (line for text in texts for line in _lines(text))
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise WeftError("there is no text to train a tokenizer on")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for chunk in ([first], lines) for line in chunk),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            character_coverage=0.9999,
            byte_fallback=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            max_sentence_length=8 * _MAX_LINE_CHARACTERS,
            num_threads=1,
            pad_id=PAD,
            unk_id=UNK,
            bos_id=BOS,
            eos_id=EOS,
            pad_piece="<pad>",
            control_symbols=["<image>", "</image>"],
            minloglevel=2,
        )
    except RuntimeError as error:
        raise WeftError(
            f"a vocabulary of {vocab_size} is too small for this text; raise --vocab-size ({error})"
        ) from error
    return Tokenizer(model.getvalue())

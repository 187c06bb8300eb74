"""Continue prompts with a trained model: from text and paths to text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import PathError, RecipeError
from trainer.generate.continuation import Continuation
from trainer.generate.prompt import format_prompt
from trainer.generate.saved import Saved
from trainer.generate.search import beam, greedy
from trainer.tokenizer import EOS


@dataclass(frozen=True)
class Request:
    """What a person asks to be continued."""

    prompt: str
    images: tuple[Path, ...] = ()


def generate(
    saved: Saved,
    requests: list[Request],
    max_tokens: int = 64,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    batch: int = 16,
) -> Iterator[str]:
    """Yield each request's continuation, without the prompt, in order.

    One ends at </s>, after `max_tokens`, or where the row that the model learnt to read ends. Greedy search takes
    `batch` prompts at a time, beam search one.

    Raises: PathError, RecipeError or IntegrityError, before anything is generated, when a prompt cannot be read.
    """
    slots, length = saved.config.vision.latents, saved.config.data.sequence_length
    prompts = [format_prompt(saved.tokenizer, r.prompt, list(r.images), slots, length) for r in requests]
    room = [min(max_tokens, length - len(prompt.tokens_L)) for prompt in prompts]
    if num_beams > 1:
        for prompt, most in zip(prompts, room, strict=True):
            tokens = beam(Continuation(saved, [prompt], most), num_beams, most, EOS, length_penalty)
            yield saved.tokenizer.decode(tokens)
        return
    for first in range(0, len(prompts), batch):
        part, rooms = prompts[first : first + batch], room[first : first + batch]
        said = greedy(Continuation(saved, part, max(rooms)), max(rooms), EOS)
        yield from (saved.tokenizer.decode(tokens[:most]) for tokens, most in zip(said, rooms, strict=True))


def read_requests(path: Path) -> list[Request]:
    """Read JSON lines of {"prompt": TEXT, "images": [PATH, ...]}; paths are relative to the file's folder.

    Raises: PathError when there is no such file; RecipeError, naming the line, when one is something else.
    """
    if not path.is_file():
        raise PathError(f"no file {path}")
    requests = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found = json.loads(line)
            images = tuple(path.parent / image for image in found.get("images", []))
            requests.append(Request(str(found["prompt"]), images))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecipeError(f'line {number} of {path} is no {{"prompt": TEXT, "images": [PATH, ...]}}') from error
    return requests


def show(saved: Saved, request: Request | None, file: Path | None, num_beams: int, penalty: float, most: int) -> None:
    """Print one request's continuation, or a JSON line for each request of a file."""
    requests = read_requests(file) if file is not None else [request or Request("")]
    for asked, text in zip(requests, generate(saved, requests, most, num_beams, penalty), strict=True):
        images = [str(image) for image in asked.images]
        told = {"prompt": asked.prompt, "images": images, "text": text}
        print(text if file is None else json.dumps(told, ensure_ascii=False), flush=True)

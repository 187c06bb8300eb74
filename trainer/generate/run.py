"""Continue prompts with a trained model: from text and paths to text."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TypedDict

from schemas.display import printable, to_json
from schemas.errors import IntegrityError, PathError, RecipeError
from schemas.strict_json import check_object, parse_json
from trainer.generate.continuation import Continuation
from trainer.generate.prompt import Prompt, format_prompt
from trainer.generate.search import search, spoken
from trainer.saved import Saved
from trainer.tokenizer import EOS, Tokenizer


class _RequestLine(TypedDict):
    prompt: str
    images: list[str]


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

    One ends at </s>, after `max_tokens`, or where the row that the model learnt to read ends. `batch` prompts go on at
    a time.

    Raises: PathError, RecipeError or IntegrityError, before anything is generated, when a prompt cannot be read.
    """
    prompts = [_read(saved, request) for request in requests]
    for first in range(0, len(prompts), batch):
        part = prompts[first : first + batch]
        room = [_room(saved, prompt, max_tokens) for prompt in part]
        said = search(Continuation(saved, part, max(room)), num_beams, room, EOS, length_penalty)
        yield from map(saved.tokenizer.decode, said)


def stream(saved: Saved, request: Request, max_tokens: int = 64) -> Generator[str, None, list[int]]:
    """Yield one request's continuation by greedy search, as its words come; return its tokens.

    Raises: as `generate`, before anything is yielded.
    """
    prompt = _read(saved, request)
    room = _room(saved, prompt, max_tokens)
    tokens = (token for (token,) in spoken(Continuation(saved, [prompt], room), room, EOS))
    return (yield from as_text(saved.tokenizer, takewhile(lambda token: token != EOS, tokens)))


def as_text(tokenizer: Tokenizer, tokens: Iterable[int]) -> Generator[str, None, list[int]]:
    """Yield text as its tokens come; return the tokens.

    Together the parts are the text of all tokens. A character that is spelt by several bytes waits for the last of
    them: until then it is decoded to U+FFFD, one or more, at the end of the text.
    """
    said: list[int] = []
    told = 0
    for token in tokens:
        said.append(token)
        whole = tokenizer.decode(said).rstrip("\N{REPLACEMENT CHARACTER}")
        if len(whole) > told:
            yield whole[told:]
            told = len(whole)
    if rest := tokenizer.decode(said)[told:]:
        yield rest
    return said


def tell(parts: Generator[str, None, list[int]]) -> list[int]:
    """Print a continuation as its words come, and a line break behind it; return its tokens."""
    while True:
        try:
            print(printable(next(parts), lines=True), end="", flush=True)
        except StopIteration as ended:
            print(flush=True)
            return list(ended.value)


def _read(saved: Saved, request: Request) -> Prompt:
    slots, length = saved.config.vision.latents, saved.config.data.sequence_length
    return format_prompt(saved.tokenizer, request.prompt, list(request.images), slots, length)


def _room(saved: Saved, prompt: Prompt, max_tokens: int) -> int:
    return min(max_tokens, saved.config.data.sequence_length - len(prompt.tokens_L))


def read_requests(path: Path) -> list[Request]:
    """Read JSON lines of {"prompt": TEXT, "images": [PATH, ...]}; paths are relative to the file's folder.

    Raises: PathError when there is no such file; RecipeError, naming the line, when one is something else.
    """
    if not path.is_file():
        raise PathError(f"no file {path}")
    requests = []
    for number, line in enumerate(path.read_bytes().removesuffix(b"\n").split(b"\n"), 1):
        where = f"line {number} of {path}"
        try:
            found = parse_json(line, where)
            check_object(found, _RequestLine, where, ("prompt",))
            if "images" in found:
                check_object(found, _RequestLine, where, ("images",))
            images = tuple(path.parent / str(image) for image in found.get("images", []))
        except IntegrityError as error:
            raise RecipeError(f'{where} is no {{"prompt": TEXT, "images": [PATH, ...]}}: {error}') from error
        requests.append(Request(found["prompt"], images))
    return requests


def check(prompt: str | None, file: Path | None, is_talk: bool, images: Sequence[object], num_beams: int) -> None:
    """Check what a command line asks for, before a model is loaded.

    Raises: RecipeError unless it is one of a prompt, a file and a talk, and a talk without images and beams.
    """
    if [prompt is not None, file is not None, is_talk].count(True) != 1:
        raise RecipeError("give one of PROMPT, --input FILE and --interactive")
    if is_talk and (images or num_beams > 1):
        raise RecipeError("--interactive takes images by its own /image PATH, and goes without beams")


def show(saved: Saved, request: Request | None, file: Path | None, num_beams: int, penalty: float, most: int) -> None:
    """Print one request's continuation, as its words come where beams allow, or a JSON line for each of a file."""
    if request is not None and num_beams == 1:
        tell(stream(saved, request, most))
        return
    requests = read_requests(file) if file is not None else [request or Request("")]
    for asked, text in zip(requests, generate(saved, requests, most, num_beams, penalty), strict=True):
        images = [str(image) for image in asked.images]
        told = {"prompt": asked.prompt, "images": images, "text": text}
        print(printable(text, lines=True) if file is None else to_json(told), flush=True)

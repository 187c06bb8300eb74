"""Generate with a trained model: continue prompts, or hold a conversation with images."""

import re
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TypedDict

from schemas.display import message, printable, to_json
from schemas.errors import IntegrityError, PathError, RecipeError, WeftError
from schemas.integrity import check_object, parse_json
from trainer.generate.engine import PLACEHOLDER, GenerationEngine, Prompt, format_prompt, pixels
from trainer.generate.search import greedy_steps, search
from trainer.load import Saved
from trainer.tokenizer import EOS, Tokenizer


class _RequestLine(TypedDict):
    prompt: str
    images: list[str]


@dataclass(frozen=True)
class GenerateRequest:
    """What a person asks to be continued."""

    prompt: str
    images: tuple[Path, ...] = ()


def generate(
    saved: Saved,
    requests: list[GenerateRequest],
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
        said = search(GenerationEngine(saved, part, max(room)), num_beams, room, EOS, length_penalty)
        yield from map(saved.tokenizer.decode, said)


def stream(saved: Saved, request: GenerateRequest, max_tokens: int = 64) -> Generator[str, None, list[int]]:
    """Yield one request's continuation by greedy search, as its words come; return its tokens.

    Raises: as `generate`, before anything is yielded.
    """
    prompt = _read(saved, request)
    room = _room(saved, prompt, max_tokens)
    tokens = (token for (token,) in greedy_steps(GenerationEngine(saved, [prompt], room), room, EOS))
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


def _read(saved: Saved, request: GenerateRequest) -> Prompt:
    slots, length = saved.config.vision.latents, saved.config.data.sequence_length
    return format_prompt(saved.tokenizer, request.prompt, list(request.images), slots, length)


def _room(saved: Saved, prompt: Prompt, max_tokens: int) -> int:
    return min(max_tokens, saved.config.data.sequence_length - len(prompt.tokens_L))


def read_requests(path: Path) -> list[GenerateRequest]:
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
        requests.append(GenerateRequest(found["prompt"], images))
    return requests


def check(prompt: str | None, file: Path | None, is_talk: bool, images: Sequence[object], num_beams: int) -> None:
    """Check what a command line asks for, before a model is loaded.

    Raises: RecipeError unless it is one of a prompt, a file and a talk, and a talk without images and beams.
    """
    if [prompt is not None, file is not None, is_talk].count(True) != 1:
        raise RecipeError("give one of PROMPT, --input FILE and --interactive")
    if is_talk and (images or num_beams > 1):
        raise RecipeError("--interactive takes images by its own /image PATH, and goes without beams")


def show(
    saved: Saved, request: GenerateRequest | None, file: Path | None, num_beams: int, penalty: float, most: int
) -> None:
    """Print one request's continuation, as its words come where beams allow, or a JSON line for each of a file."""
    if request is not None and num_beams == 1:
        tell(stream(saved, request, most))
        return
    requests = read_requests(file) if file is not None else [request or GenerateRequest("")]
    for asked, text in zip(requests, generate(saved, requests, most, num_beams, penalty), strict=True):
        images = [str(image) for image in asked.images]
        told = {"prompt": asked.prompt, "images": images, "text": text}
        print(printable(text, lines=True) if file is None else to_json(told), flush=True)


HELP = "Say something. /image PATH puts an image before your next words; /new begins anew; /quit ends."
_IMAGE = re.compile(r"""/image\s+(?:(["'])(?P<quoted>.+?)\1|(?P<bare>\S+))\s*(?P<words>.*)""")


@dataclass(frozen=True)
class Said:
    """What was said so far, and which images were shown."""

    words: tuple[str, ...] = ("",)
    """Before, between and behind the images: one text more than there are images."""
    images: tuple[Path, ...] = ()

    @property
    def request(self) -> GenerateRequest:
        """All of it as one prompt."""
        return GenerateRequest(PLACEHOLDER.join(self.words), self.images)

    def shown(self, image: Path) -> "Said":
        """Return it with an image behind."""
        return Said((*self.words, ""), (*self.images, image))

    def told(self, words: str) -> "Said":
        """Return it with a person's words behind, in a line of their own."""
        return self._ending("\n".join(filter(None, (self.words[-1], words))))

    def answered(self, tokenizer: Tokenizer, tokens: list[int]) -> "Said":
        """Return it with an answer behind, which goes on in the last line."""
        return self._ending(tokenizer.decode([*tokenizer.encode(self.words[-1]), *tokens]))

    def _ending(self, words: str) -> "Said":
        # Whoever spells <image> in words shows none.
        return Said((*self.words[:-1], words.replace(PLACEHOLDER, "< image>")), self.images)


def chat(saved: Saved, max_tokens: int) -> None:
    """Answer the lines of standard input, each in at most `max_tokens`, until /quit or the input's end.

    Answers go to standard output, as their words come, each with a line break behind it. All else, and what is wrong
    with a line, goes to standard error, and the talk goes on as if that line had not been.
    """
    print(HELP, file=sys.stderr)
    said = Said()
    for line in _lines():
        if line == "/quit":
            return
        try:
            said = Said() if line == "/new" else _turn(saved, said, line, max_tokens)
        except WeftError as error:
            print(f"error: {message(error)}", file=sys.stderr)


def _turn(saved: Saved, said: Said, words: str, max_tokens: int) -> Said:
    """Answer a line; return what was said then. Raises: WeftError when nothing can be answered."""
    if image := _IMAGE.fullmatch(words):
        path, words = Path(image["quoted"] or image["bare"]), image["words"]
        pixels(path, saved)  # one that cannot be read is told of now, not when it is spoken of
        said = said.shown(path)
        if not words:
            return said
    elif words.startswith("/"):
        raise RecipeError(f"cannot do {words.split()[0]}; there are /image PATH, /new and /quit")
    elif not words and (said.words[-1] or not said.images):
        return said  # an empty line asks for words only where an image has just been shown
    said = said.told(words)
    try:
        tokens = tell(stream(saved, said.request, max_tokens))
    except RecipeError as error:
        raise RecipeError(f"{error}; /new begins anew") from error
    return said.answered(saved.tokenizer, tokens)


def _lines() -> Iterator[str]:
    """Yield the lines that are typed or piped, without spaces around; bytes that are no UTF-8 become U+FFFD."""
    typed = sys.stdin.isatty()
    while True:
        if typed:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.buffer.readline()
        if not line:
            return
        yield line.decode("utf-8", "replace").strip()

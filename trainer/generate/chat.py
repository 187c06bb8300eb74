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
    """A prompt to continue."""

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
    """Yield each request's continuation, without the prompt, in order; `batch` prompts at a time.

    A continuation ends at </s>, after `max_tokens`, or at the sequence length of the model.

    Raises: PathError, RecipeError or IntegrityError, before anything is generated, when a prompt cannot be read.
    """
    prompts = [_read(saved, request) for request in requests]
    for first in range(0, len(prompts), batch):
        part = prompts[first : first + batch]
        room = [_room(saved, prompt, max_tokens) for prompt in part]
        continuations = search(GenerationEngine(saved, part, max(room)), num_beams, room, EOS, length_penalty)
        yield from map(saved.tokenizer.decode, continuations)


def stream(saved: Saved, request: GenerateRequest, max_tokens: int = 64) -> Generator[str, None, list[int]]:
    """Yield one request's continuation by greedy search, part by part; return its tokens.

    Raises: as `generate`, before anything is yielded.
    """
    prompt = _read(saved, request)
    room = _room(saved, prompt, max_tokens)
    tokens = (token for (token,) in greedy_steps(GenerationEngine(saved, [prompt], room), room, EOS))
    return (yield from as_text(saved.tokenizer, takewhile(lambda token: token != EOS, tokens)))


def as_text(tokenizer: Tokenizer, tokens: Iterable[int]) -> Generator[str, None, list[int]]:
    """Decode tokens part by part; return the tokens.

    Joined, the parts are the text of all tokens. A character of several bytes is yielded with its last byte; an
    incomplete one decodes to U+FFFD at the end of the text.
    """
    received: list[int] = []
    num_yielded = 0
    for token in tokens:
        received.append(token)
        text = tokenizer.decode(received).rstrip("\N{REPLACEMENT CHARACTER}")
        if len(text) > num_yielded:
            yield text[num_yielded:]
            num_yielded = len(text)
    if rest := tokenizer.decode(received)[num_yielded:]:
        yield rest
    return received


def print_stream(parts: Generator[str, None, list[int]]) -> list[int]:
    """Print a continuation part by part, then a line break; return its tokens."""
    while True:
        try:
            print(printable(next(parts), lines=True), end="", flush=True)
        except StopIteration as ended:
            print(flush=True)
            return list(ended.value)


def _read(saved: Saved, request: GenerateRequest) -> Prompt:
    num_image_tokens, length = saved.config.vision.latents, saved.config.data.sequence_length
    return format_prompt(saved.tokenizer, request.prompt, list(request.images), num_image_tokens, length)


def _room(saved: Saved, prompt: Prompt, max_tokens: int) -> int:
    return min(max_tokens, saved.config.data.sequence_length - len(prompt.tokens_L))


def read_requests(path: Path) -> list[GenerateRequest]:
    """Read JSON lines of {"prompt": TEXT, "images": [PATH, ...]}; paths are relative to the file's folder.

    Raises: PathError when there is no such file; RecipeError that names the line when one is malformed.
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
            raise RecipeError(f'{where} is not {{"prompt": TEXT, "images": [PATH, ...]}}: {error}') from error
        requests.append(GenerateRequest(found["prompt"], images))
    return requests


def check(prompt: str | None, file: Path | None, is_chat: bool, images: Sequence[object], num_beams: int) -> None:
    """Check the options of a command line, before a model is loaded.

    Raises: RecipeError unless there is exactly one of a prompt, a file and a chat, and a chat has no images or beams.
    """
    if [prompt is not None, file is not None, is_chat].count(True) != 1:
        raise RecipeError("give one of PROMPT, --input FILE and --interactive")
    if is_chat and (images or num_beams > 1):
        raise RecipeError("--interactive takes images by /image PATH, and has no beam search")


def show(
    saved: Saved, request: GenerateRequest | None, file: Path | None, num_beams: int, penalty: float, max_tokens: int
) -> None:
    """Print one request's continuation, part by part without beams, or a JSON line for each request of a file."""
    if request is not None and num_beams == 1:
        print_stream(stream(saved, request, max_tokens))
        return
    requests = read_requests(file) if file is not None else [request or GenerateRequest("")]
    for one, text in zip(requests, generate(saved, requests, max_tokens, num_beams, penalty), strict=True):
        line = {"prompt": one.prompt, "images": [str(image) for image in one.images], "text": text}
        print(printable(text, lines=True) if file is None else to_json(line), flush=True)


HELP = "Type a message. /image PATH puts an image before the next message; /new starts again; /quit ends the chat."
_IMAGE = re.compile(r"""/image\s+(?:(["'])(?P<quoted>.+?)\1|(?P<bare>\S+))\s*(?P<text>.*)""")


@dataclass(frozen=True)
class Conversation:
    """The text and images of a conversation so far."""

    texts: tuple[str, ...] = ("",)
    """The text before, between and after the images: one part more than there are images."""
    images: tuple[Path, ...] = ()

    @property
    def request(self) -> GenerateRequest:
        """The conversation as one prompt."""
        return GenerateRequest(PLACEHOLDER.join(self.texts), self.images)

    def with_image(self, image: Path) -> "Conversation":
        """Return the conversation with an image appended."""
        return Conversation((*self.texts, ""), (*self.images, image))

    def with_message(self, text: str) -> "Conversation":
        """Return the conversation with a user's message appended on a new line."""
        return self._with_last_text("\n".join(filter(None, (self.texts[-1], text))))

    def with_answer(self, tokenizer: Tokenizer, tokens: list[int]) -> "Conversation":
        """Return the conversation with an answer appended to the last line."""
        return self._with_last_text(tokenizer.decode([*tokenizer.encode(self.texts[-1]), *tokens]))

    def _with_last_text(self, text: str) -> "Conversation":
        # <image> in a text is not an image
        return Conversation((*self.texts[:-1], text.replace(PLACEHOLDER, "< image>")), self.images)


def chat(saved: Saved, max_tokens: int) -> None:
    """Answer each line of standard input in at most `max_tokens`, until /quit or the end of the input.

    Answers are streamed to standard output, with a line break after each. Everything else goes to standard error. A
    line that gives an error does not change the conversation.
    """
    print(HELP, file=sys.stderr)
    conversation = Conversation()
    for line in _lines():
        if line == "/quit":
            return
        try:
            conversation = Conversation() if line == "/new" else _turn(saved, conversation, line, max_tokens)
        except WeftError as error:
            print(f"error: {message(error)}", file=sys.stderr)


def _turn(saved: Saved, conversation: Conversation, line: str, max_tokens: int) -> Conversation:
    """Answer a line; return the conversation after it. Raises: WeftError when it cannot be answered."""
    text = line
    if image := _IMAGE.fullmatch(line):
        path, text = Path(image["quoted"] or image["bare"]), image["text"]
        pixels(path, saved)  # raises now if it cannot be read, not at the next message
        conversation = conversation.with_image(path)
        if not text:
            return conversation
    elif line.startswith("/"):
        raise RecipeError(f"unknown command {line.split()[0]}; the commands are /image PATH, /new and /quit")
    elif not line and (conversation.texts[-1] or not conversation.images):
        return conversation  # an empty line gets an answer only directly after an image
    conversation = conversation.with_message(text)
    try:
        tokens = print_stream(stream(saved, conversation.request, max_tokens))
    except RecipeError as error:
        raise RecipeError(f"{error}; /new starts again") from error
    return conversation.with_answer(saved.tokenizer, tokens)


def _lines() -> Iterator[str]:
    """Yield the lines of standard input, stripped; bytes that are not UTF-8 become U+FFFD."""
    is_terminal = sys.stdin.isatty()
    while True:
        if is_terminal:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.buffer.readline()
        if not line:
            return
        yield line.decode("utf-8", "replace").strip()

"""CLIP through open_clip's own loader: columns of images or texts to embeddings in full forward passes."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from PIL import Image

from pipeline.io.imports import import_open_clip
from schemas.errors import MissingError, RecipeError
from schemas.recipe import Clip
from schemas.tables import Batches

CPU = "cpu"


def choose(addresses: Sequence[str], num_gpus: int, process: int) -> str:
    """Return the name of a device as torch takes it.

    Args: addresses are those of the GPUs that Spark assigned to the task, empty when it schedules none; num_gpus is
    how many torch sees here; process is the id of this process, by which workers spread over GPUs that Spark does not
    schedule (a local master cannot) and keep theirs for life.
    Raises: MissingError when torch does not see the assigned GPU: a run must not fall back to a CPU unnoticed.
    """
    if addresses:
        if addresses[0] not in map(str, range(num_gpus)):
            raise MissingError(
                f"Spark assigned GPU {addresses[0]}, and torch sees {num_gpus} here: install a torch for CUDA on every "
                "node, and let the discovery script print torch's numbers (docs/cluster.md)"
            )
        return f"cuda:{addresses[0]}"
    return f"cuda:{process % num_gpus}" if num_gpus else CPU


def num_decoders(device: str, num_cores: int, num_gpus: int) -> int:
    """Return how many threads prepare images beside the forward pass.

    On a CPU one is enough: ViT-B-32 takes its core for forty times as long. A GPU outruns any single
    core, so its process takes its share of them all.
    """
    return 1 if device == CPU else max(1, num_cores // max(1, num_gpus))


if TYPE_CHECKING:
    import torch

CPU_BATCH = 32  # a core is as fast with fewer; a last batch that is padded costs less
GPU_BATCH = 512  # not tuned on a GPU yet: large enough that its matrices fill one


@dataclass(frozen=True)
class Encoder:
    """A CLIP in evaluation mode on one device. Embeddings are of length 1."""

    model: Any
    shape: Callable[[Image.Image], Image.Image]  # the part of open_clip's preprocessing that is done on a picture
    normalize: Any  # the rest, torchvision's Normalize: done on whole batches, on the device
    tokenize: Callable[[list[str]], "torch.Tensor"]
    device: str
    batch_size: int

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Have the weights on the device, where images and texts need them.

        They leave a GPU in the end: Spark's idle workers take turns at one, and each would keep its own weights there.
        """
        self.model.to(self.device)
        try:
            yield
        finally:
            if self.device != CPU:
                import torch

                self.model.to(CPU)
                torch.cuda.empty_cache()

    def picture(self, data: bytes) -> "torch.Tensor | None":
        """Prepare an encoded image: uint8, 3 x side x side; None when it cannot be decoded."""
        import torch

        try:
            image = Image.open(io.BytesIO(data))
            image.load()
        except Exception:  # Pillow's plugins raise whatever they like on bad bytes
            return None
        return torch.from_numpy(np.array(self.shape(image))).permute(2, 0, 1)

    def tokens(self, text: str) -> "torch.Tensor":
        """Prepare a text: int64, as long as the model's window; what is beyond it is cut off."""
        return self.tokenize([text])[0]

    def images(self, pictures: list["torch.Tensor"]) -> np.ndarray:
        """Embed one to batch_size prepared images: n of them to n x d, float32."""

        def encode(pixels: "torch.Tensor") -> "torch.Tensor":
            # ToTensor and Normalize to the last bit, with a quarter of the bytes on the way to a GPU.
            encoded: torch.Tensor = self.model.encode_image(self.normalize(pixels.float().div_(255)), normalize=False)
            return encoded

        return self._run(encode, pictures)

    def width(self) -> int:
        """Return the length of an embedding."""
        return int(self.texts([self.tokens("")]).shape[1])

    def texts(self, tokens: list["torch.Tensor"]) -> np.ndarray:
        """Embed one to batch_size prepared texts: n of them to n x d, float32."""
        return self._run(lambda rows: self.model.encode_text(rows, normalize=False), tokens)

    def _run(self, encode: Callable[["torch.Tensor"], "torch.Tensor"], rows: list["torch.Tensor"]) -> np.ndarray:
        import torch

        # Always a full batch: kernels are chosen by the shape, and a row's last bits must not depend on how many
        # other rows happen to lie in its partition.
        full = torch.stack(rows + rows[:1] * (self.batch_size - len(rows)))
        gpu = self.device != CPU
        half = torch.autocast("cuda", torch.bfloat16) if gpu else nullcontext()
        with torch.inference_mode(), half:
            moved = full.pin_memory().to(self.device, non_blocking=True) if gpu else full
            embedded = torch.nn.functional.normalize(encode(moved).float(), dim=-1)
        kept: np.ndarray = embedded[: len(rows)].cpu().numpy()
        return kept


@cache
def load(config: Clip, device: str = CPU) -> Encoder:
    """Load a model once in a process, for a device.

    Raises: RecipeError when open_clip does not know the model or cannot find its weights.
    """
    open_clip = import_open_clip()
    import torch
    from torchvision.transforms import Compose

    torch.set_num_threads(1)
    local = config.model.startswith("local-dir:")
    if not local and config.pretrained is None:
        raise RecipeError("clip.pretrained is not set: name an open_clip tag or the path of a checkpoint")
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(config.model, config.pretrained)
        tokenize = open_clip.get_tokenizer(config.model)
    except (OSError, RuntimeError, ValueError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(
            f"clip.model={config.model} with clip.pretrained={config.pretrained} cannot be loaded ({line}). "
            "Give a checkpoint by path where no model hub is reachable, or --set clip.enabled=false"
        ) from error
    *shape, _, normalize = preprocess.transforms  # resize, crop, to RGB; to a tensor; normalize
    size = config.batch_size or (CPU_BATCH if device == CPU else GPU_BATCH)
    return Encoder(model.eval(), Compose(shape), normalize, tokenize, device, size)


EMBEDDED = pa.schema([pa.field("id", pa.string()), pa.field("embedding", pa.list_(pa.float32()))])
"""embedding is null for an image that cannot be decoded."""
Row = tuple[str, Any]  # an id, and a value on its way from bytes or text to its tensor
IMAGES, TEXTS = "bytes", "text"


def embed(
    config: Clip, column: str, assigned_gpus: Callable[[], Sequence[str]] = tuple
) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of (id, `column`) into batches of EMBEDDED: a row for each, in order.

    Args: column is IMAGES (encoded images) or TEXTS; assigned_gpus returns the addresses of the GPUs that the
    scheduler has assigned to the task in which it is called.
    """

    def run(batches: Batches) -> Batches:
        rows = (row for b in batches for row in zip(b["id"].to_pylist(), b[column].to_pylist(), strict=True))
        first = next(rows, None)
        if first is None:  # no model is loaded for an empty partition
            return
        encoder = load(config, choose(assigned_gpus(), _num_gpus(), os.getpid()))
        prepare: Callable[[Any], Any] = encoder.picture if column == IMAGES else encoder.tokens
        encode = encoder.images if column == IMAGES else encoder.texts
        with encoder.at_hand(), ThreadPoolExecutor(_num_threads(encoder.device)) as pool:
            for group in _prepared(chain([first], rows), prepare, encoder.batch_size, pool):
                good = [value for _, value in group if value is not None]
                vectors = iter(encode(good) if good else ())
                found = [None if value is None else next(vectors) for _, value in group]
                yield pa.RecordBatch.from_pydict({"id": [i for i, _ in group], "embedding": found}, schema=EMBEDDED)

    return run


def _prepared(
    rows: Iterator[Row], prepare: Callable[[Any], Any], size: int, pool: Executor
) -> Iterator[list[tuple[str, Any]]]:
    """Group rows and prepare their values in the pool. A group comes out when the one after it is under way.

    Torch and Pillow release the interpreter's lock while they compute, so threads are enough.
    """

    def submit() -> list[tuple[str, Future[Any]]]:
        return [(i, pool.submit(prepare, value)) for i, value in islice(rows, size)]

    group = submit()
    while group:
        following = submit()
        yield [(i, future.result()) for i, future in group]
        group = following


def _num_threads(device: str) -> int:
    return num_decoders(device, len(os.sched_getaffinity(0)), _num_gpus())


def _num_gpus() -> int:
    import torch

    return torch.cuda.device_count()

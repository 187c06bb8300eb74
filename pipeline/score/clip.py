"""CLIP embeddings of columns of images or texts, with models of open_clip, in full batches."""

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
    """Return torch's name of the device to use.

    Args: addresses of the GPUs that Spark assigned to the task, empty if it schedules none; num_gpus, the number that
    torch sees; process, this process's id, by which workers spread over GPUs that Spark does not schedule (a local
    master cannot).
    Raises: MissingError when torch does not see the assigned GPU: a run must not silently use a CPU.
    """
    if addresses:
        if addresses[0] not in map(str, range(num_gpus)):
            raise MissingError(
                f"Spark assigned GPU {addresses[0]}, but torch sees {num_gpus} GPUs: install torch with CUDA on every "
                "node, and let the discovery script print torch's device numbers (docs/cluster.md)"
            )
        return f"cuda:{addresses[0]}"
    return f"cuda:{process % num_gpus}" if num_gpus else CPU


def num_decoders(device: str, num_cores: int, num_gpus: int) -> int:
    """Return the number of threads that prepare images during the forward pass.

    On a CPU one is enough: a ViT-B-32 forward pass takes forty times as long. A GPU is faster than one core, so its
    process uses its share of all cores.
    """
    return 1 if device == CPU else max(1, num_cores // max(1, num_gpus))


if TYPE_CHECKING:
    import torch

CPU_BATCH = 32  # larger batches are not faster on a core; padding the last one costs little
GPU_BATCH = 512  # not tuned yet: large enough to use a full GPU


@dataclass(frozen=True)
class Encoder:
    """A CLIP model in evaluation mode on one device. Embeddings have norm 1."""

    model: Any
    shape: Callable[[Image.Image], Image.Image]  # open_clip's preprocessing of a PIL image
    normalize: Any  # torchvision's Normalize, applied to batches on the device
    tokenize: Callable[[list[str]], "torch.Tensor"]
    device: str
    batch_size: int

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """Move the weights to the device for the block.

        Afterwards they leave a GPU: Spark's workers share it, and each idle one would keep its own weights there.
        """
        self.model.to(self.device)
        try:
            yield
        finally:
            if self.device != CPU:
                import torch

                self.model.to(CPU)
                torch.cuda.empty_cache()

    def pixels(self, data: bytes) -> "torch.Tensor | None":
        """Preprocess an encoded image: uint8, 3 x side x side; None when it cannot be decoded."""
        import torch

        try:
            image = Image.open(io.BytesIO(data))
            image.load()
        except Exception:  # Pillow's plugins raise arbitrary errors on bad bytes
            return None
        return torch.from_numpy(np.array(self.shape(image))).permute(2, 0, 1)

    def tokens(self, text: str) -> "torch.Tensor":
        """Tokenize a text: int64, truncated or padded to the model's context length."""
        return self.tokenize([text])[0]

    def images(self, pictures: list["torch.Tensor"]) -> np.ndarray:
        """Embed n preprocessed images, 1 to batch_size: n x d, float32."""

        def encode(pixels: "torch.Tensor") -> "torch.Tensor":
            # bit-identical to ToTensor and Normalize, with a quarter of the bytes transferred to a GPU
            encoded: torch.Tensor = self.model.encode_image(self.normalize(pixels.float().div_(255)), normalize=False)
            return encoded

        return self._run(encode, pictures)

    def width(self) -> int:
        """Return the length of an embedding."""
        return int(self.texts([self.tokens("")]).shape[1])

    def texts(self, tokens: list["torch.Tensor"]) -> np.ndarray:
        """Embed n tokenized texts, 1 to batch_size: n x d, float32."""
        return self._run(lambda rows: self.model.encode_text(rows, normalize=False), tokens)

    def _run(self, encode: Callable[["torch.Tensor"], "torch.Tensor"], rows: list["torch.Tensor"]) -> np.ndarray:
        import torch

        # Always a full batch: kernels depend on the shape, and a row's last bits must not depend on the number of rows
        # in its partition.
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
    """Load a model for a device, once per process.

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
            "Set the path of a checkpoint if no model hub is reachable, or --set clip.enabled=false"
        ) from error
    *shape, _, normalize = preprocess.transforms  # resize, crop, to RGB; to a tensor; normalize
    size = config.batch_size or (CPU_BATCH if device == CPU else GPU_BATCH)
    return Encoder(model.eval(), Compose(shape), normalize, tokenize, device, size)


EMBEDDED = pa.schema([pa.field("id", pa.string()), pa.field("embedding", pa.list_(pa.float32()))])
"""embedding is null for an image that cannot be decoded."""
Row = tuple[str, Any]  # an id, and bytes, a text or a tensor
IMAGES, TEXTS = "bytes", "text"


def embed(
    config: Clip, column: str, assigned_gpus: Callable[[], Sequence[str]] = tuple
) -> Callable[[Batches], Batches]:
    """Return the function that turns batches of (id, `column`) into batches of EMBEDDED, in the same order.

    Args: column is IMAGES (encoded images) or TEXTS; assigned_gpus returns the addresses of the GPUs that the scheduler
    assigned to the current task.
    """

    def run(batches: Batches) -> Batches:
        rows = (row for b in batches for row in zip(b["id"].to_pylist(), b[column].to_pylist(), strict=True))
        first = next(rows, None)
        if first is None:  # no model is loaded for an empty partition
            return
        encoder = load(config, choose(assigned_gpus(), _num_gpus(), os.getpid()))
        prepare: Callable[[Any], Any] = encoder.pixels if column == IMAGES else encoder.tokens
        encode = encoder.images if column == IMAGES else encoder.texts
        with encoder.on_device(), ThreadPoolExecutor(_num_threads(encoder.device)) as pool:
            for group in _prepared(chain([first], rows), prepare, encoder.batch_size, pool):
                good = [value for _, value in group if value is not None]
                vectors = iter(encode(good) if good else ())
                found = [None if value is None else next(vectors) for _, value in group]
                yield pa.RecordBatch.from_pydict({"id": [i for i, _ in group], "embedding": found}, schema=EMBEDDED)

    return run


def _prepared(
    rows: Iterator[Row], prepare: Callable[[Any], Any], size: int, pool: Executor
) -> Iterator[list[tuple[str, Any]]]:
    """Group rows and prepare their values in the pool; the next group is prepared while one is processed.

    Torch and Pillow release the GIL while they compute, so threads are sufficient.
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

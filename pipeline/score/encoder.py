"""A CLIP as a value, through open_clip's own loader: what prepares an image or a text, and what embeds a batch of them.

Torch is imported where it computes: it takes longer than all else together, and most commands never score.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pipeline.imports import import_open_clip
from pipeline.score.device import CPU
from schemas.errors import RecipeError
from schemas.recipe.score import Clip

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

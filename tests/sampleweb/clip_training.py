"""Train the sample's CLIP on drawn scenes: minutes on two CPU cores.

    python -m tests.sampleweb.clip_training [OUT_DIR]

Writes `open_clip_config.json`, `open_clip_model.safetensors` (half precision) and `README.md` with its figures on
held-out scenes. `open_clip.create_model_and_transforms("local-dir:OUT_DIR")` opens it.
"""

import json
import random
from pathlib import Path
from typing import Annotated, Any

import open_clip
import torch
import typer
from rich.progress import track
from safetensors.torch import save_file

from tests.sampleweb.clip_evaluation import Figures, Tokenizer, evaluate
from tests.sampleweb.clip_scenes import any_text, image, scenes

HOME = Path(__file__).with_name("clip")
CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 128,
        "custom_text": True,
        "vision_cfg": {
            "image_size": 64,
            "layers": [1, 1, 1, 1],
            "width": 16,
        },  # a ResNet: sees shapes sooner than a ViT
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
    },
    "preprocess_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.25, 0.25, 0.25],
        "interpolation": "bicubic",
        "resize_mode": "squash",
    },
}
SEED = 0
NUM_SCENES = 10_000
NUM_STEPS = 400
BATCH_SIZE = 128
MAX_LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
README = """\
# A CLIP of drawn scenes

A small open_clip model that knows the drawn scenes of this package, their captions and the sentences about them,
and nothing else. It lets the pipeline score images and texts where no model hub can be reached.

It was made by `python -m tests.sampleweb.clip_training`: a ResNet of 64 x 64 pixels and a text transformer, trained
with
CLIP's loss (arXiv 2103.00020, section 2.3) on {num_training} scenes for {num_steps} steps of {batch_size} pairs.
That takes about seven minutes of one CPU core. The weights are stored in half precision.

    open_clip.create_model_and_transforms("local-dir:tests/sampleweb/clip")
    open_clip.get_tokenizer("local-dir:tests/sampleweb/clip")

Figures on {num_scenes} held-out scenes with the alt texts that pages give them:

| measure | value |
|---|---|
| own caption found among 32 | {retrieval:.1%} |
| ROC-AUC, matched against mismatched pairs | {roc_auc:.4f} |
| median cosine of matched pairs | {matched_cosine:.2f} |
| median cosine of mismatched pairs | {mismatched_cosine:.2f} |
| cosine that separates best | {threshold:.2f} |
| precision and recall there | {precision:.1%}, {recall:.1%} |
"""


def train(directory: Path) -> Figures:
    """Train, store and measure the model; the same machine and thread count give the same weights."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "open_clip_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    torch.manual_seed(SEED)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{directory}", load_weights=False)
    tokenizer = open_clip.get_tokenizer(f"local-dir:{directory}")
    _fit(model, preprocess, tokenizer)
    weights = {name: w.half().contiguous() for name, w in model.state_dict().items()}
    save_file(weights, directory / "open_clip_model.safetensors")
    stored, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{directory}")
    figures = evaluate(stored, preprocess, tokenizer)
    made = {"num_training": NUM_SCENES, "num_steps": NUM_STEPS, "batch_size": BATCH_SIZE}
    (directory / "README.md").write_text(README.format(**made, **vars(figures)))
    return figures


def _fit(model: Any, preprocess: Any, tokenizer: Tokenizer) -> None:
    shown = scenes("training", NUM_SCENES)
    pixels_NCHW = torch.stack([image(s, i, preprocess) for i, s in enumerate(track(shown, "drawing"))])
    decayed = [p for p in model.parameters() if p.ndim > 1]
    kept = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": kept, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, MAX_LEARNING_RATE, NUM_STEPS, pct_start=0.1)
    loss_function = open_clip.ClipLoss()
    rng = random.Random(SEED)
    model.train()
    for _ in track(range(NUM_STEPS), "training"):
        rows = rng.sample(range(NUM_SCENES), BATCH_SIZE)
        tokens_BT = tokenizer([any_text(shown[row], rng) for row in rows])
        image_BE, text_BE, scale = model(pixels_NCHW[rows], tokens_BT)[:3]
        loss = loss_function(image_BE, text_BE, scale)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)  # at most 100, as in the paper


def main(out_dir: Annotated[Path, typer.Argument(help="directory to write into")] = HOME) -> None:
    """Train the sample's CLIP and print its figures on held-out scenes."""
    for name, value in vars(train(out_dir)).items():
        print(f"{name:18} {value:.4f}" if isinstance(value, float) else f"{name:18} {value}")


if __name__ == "__main__":
    typer.run(main)

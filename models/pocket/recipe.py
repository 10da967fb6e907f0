"""How pocket's weights are trained: the rendered scenes, the latents, and a loss for each network.

The rendered scenes are stored in memory-mapped arrays (`Scenes`). Each loss draws its batch from the generator that is
passed in. Knows nothing of the training loop, of Prefect or of the command line.
Letters: B batch; images are uint8 on disk, and float in [-1, 1] for a network.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import CLIPTokenizer

from models.atomic import replacing, replacing_folder
from models.pocket import scenes
from models.pocket.inputs import clip_input, mirrored, short_caption, softened, to_tensor, token_ids
from models.training.loop import Loss, mixed_precision
from models.training.schedule import Training


@dataclass(frozen=True)
class Scenes:
    """Rendered scenes of one seed: images (N, 128, 128, 3) uint8, masks (N, 128, 128) bool, classes and captions."""

    images: np.ndarray
    masks: np.ndarray
    categories: list[str]
    captions: list[str]

    def __len__(self) -> int:
        return len(self.categories)


def render_scenes(folder: Path, seed: int, count: int, on_step: Callable[[int, int], None] | None = None) -> Scenes:
    """Render `count` scenes of `seed` into `folder` on all cores, or open them if they exist."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    target = folder / f"scenes-{seed}-{count}"
    if not target.exists():
        size = scenes.SIZE
        with replacing_folder(target) as partial:
            images = np.lib.format.open_memmap(
                partial / "images.npy", mode="w+", dtype=np.uint8, shape=(count, size, size, 3)
            )
            masks = np.lib.format.open_memmap(partial / "masks.npy", mode="w+", dtype=bool, shape=(count, size, size))
            words = []
            with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
                for i, scene in enumerate(pool.map(scenes.render, [seed] * count, range(count), chunksize=64)):
                    images[i], masks[i] = scene.image, scene.mask
                    words.append([scene.category, scene.caption])
                    if on_step and i % 64 == 0:
                        on_step(i, count)
            (partial / "words.json").write_text(json.dumps(words))
            images.flush(), masks.flush()
    words = json.loads((target / "words.json").read_text())
    images, masks = (np.load(target / f"{name}.npy", mmap_mode="r") for name in ("images", "masks"))
    return Scenes(images, masks, [w[0] for w in words], [w[1] for w in words])


# One loss per network. Each draws its batch from the step's generator.


def vae_loss(vae: nn.Module, data: Scenes, training: Training) -> Loss:
    """Mean squared error of the reconstruction (as in PSNR) + 1e-4 KL per latent value.

    The first 80 % of the steps use 64x64 crops, the others a quarter as many whole scenes: the cost is the same, and
    crops cover four times as many scenes.
    """
    device = next(vae.parameters()).device

    def loss_of(step: int, rng: np.random.Generator) -> torch.Tensor:
        crop = step < 0.8 * training.steps
        count = training.batch_size if crop else max(1, training.batch_size // 4)
        images = data.images[np.sort(rng.choice(len(data), count, replace=False))]
        if crop:
            y, x = rng.integers(0, 65, 2)
            images = images[:, y : y + 64, x : x + 64]
        image = mirrored(to_tensor(images, device), rng)
        posterior = vae.encode(image.contiguous(memory_format=torch.channels_last)).latent_dist
        reconstruction = vae.decode(posterior.sample()).sample
        kl = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean()
        return F.mse_loss(reconstruction.float(), image) + 1e-4 * kl

    return loss_of


@torch.no_grad()
def encode_latents(
    vae: nn.Module, data: Scenes, folder: Path, on_step: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """The VAE's posterior mean of every scene, computed once: (N, 4, 16, 16) float16, unscaled."""
    path = folder / "latents.npy"
    if path.exists():
        return np.load(path, mmap_mode="r")
    device = next(vae.parameters()).device
    count = len(data)
    latents = np.empty((count, 4, 16, 16), np.float16)
    for start in range(0, count, 64):
        image = to_tensor(data.images[start : min(start + 64, count)], device).contiguous(
            memory_format=torch.channels_last
        )
        with mixed_precision(device):
            latents[start : start + 64] = vae.encode(image).latent_dist.mean.float().cpu().numpy()
        if on_step:
            on_step(min(start + 64, count), count)
    with replacing(path) as partial, partial.open("wb") as file:
        np.save(file, latents)
    return latents


def tokenise(tokenizer: CLIPTokenizer, data: Scenes) -> torch.Tensor:
    """Token ids of each scene's full, short and empty caption: (N, 3, 32) int64."""
    texts = [data.captions, [short_caption(c) for c in data.categories], [""] * len(data)]
    return torch.stack([token_ids(tokenizer, t) for t in texts], dim=1)


def diffusion_loss(
    model: nn.ModuleDict,
    latents: np.ndarray,
    ids: torch.Tensor,
    alphas_cumprod: torch.Tensor,
    scaling: float,
    batch_size: int,
) -> Loss:
    """Velocity loss with min-SNR weighting (gamma 5); the caption is full (70 %), short (20 %) or empty (10 %)."""
    device = next(model.parameters()).device
    alpha_bar = alphas_cumprod.to(device)

    def loss_of(step: int, rng: np.random.Generator) -> torch.Tensor:
        rows = rng.choice(len(latents), batch_size)
        x0 = torch.from_numpy(latents[rows]).to(device).float() * scaling  # (B, 4, h, w)
        words = ids[rows, rng.choice(3, batch_size, p=[0.7, 0.2, 0.1])].to(device)
        t = torch.from_numpy(rng.integers(1000, size=batch_size)).to(device)
        a = alpha_bar[t][:, None, None, None]
        noise = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32)).to(device)
        velocity = a.sqrt() * noise - (1 - a).sqrt() * x0
        context = model["text_encoder"](words).last_hidden_state
        predicted = model["unet"](a.sqrt() * x0 + (1 - a).sqrt() * noise, t, context).sample
        snr = alpha_bar[t] / (1 - alpha_bar[t])
        error = (predicted.float() - velocity).pow(2).mean(dim=(1, 2, 3))
        return (error * snr.clamp(max=5) / (snr + 1)).mean() / 0.5

    return loss_of


def clip_loss(clip: nn.Module, data: Scenes, ids: torch.Tensor, batch_size: int) -> Loss:
    """Symmetric contrastive loss; images with the same caption are positives of each other."""
    device = next(clip.parameters()).device

    def loss_of(step: int, rng: np.random.Generator) -> torch.Tensor:
        rows = np.sort(rng.choice(len(data), batch_size, replace=False))
        image = softened(mirrored(to_tensor(data.images[rows], device), rng), rng)
        words = ids[rows, rng.choice(2, batch_size, p=[0.4, 0.6])].to(device)
        same = (words[:, None] == words[None]).all(-1).float()
        image_vector = clip.encode_image(clip_input(image), normalize=True)
        text_vector = clip.encode_text(words, normalize=True)
        logits = (clip.logit_scale.exp().clamp(max=100) * image_vector @ text_vector.T).float()
        target = same / same.sum(1, keepdim=True)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    return loss_of


def classifier_loss(classifier: nn.Module, data: Scenes, batch_size: int) -> Loss:
    """Cross-entropy of the captioned class."""
    device = next(classifier.parameters()).device
    labels = torch.tensor([scenes.CLASSES.index(c) for c in data.categories])

    def loss_of(step: int, rng: np.random.Generator) -> torch.Tensor:
        rows = np.sort(rng.choice(len(data), batch_size, replace=False))
        image = softened(mirrored(to_tensor(data.images[rows], device), rng), rng)
        return F.cross_entropy(classifier(image).float(), labels[rows].to(device))

    return loss_of


def oracle_loss(oracle: nn.Module, data: Scenes, batch_size: int) -> Loss:
    """Binary cross-entropy + (1 - Dice) of the captioned object's mask."""
    device = next(oracle.parameters()).device
    labels = torch.tensor([scenes.CLASSES.index(c) for c in data.categories])

    def loss_of(step: int, rng: np.random.Generator) -> torch.Tensor:
        rows = np.sort(rng.choice(len(data), batch_size, replace=False))
        image = softened(to_tensor(data.images[rows], device), rng)
        truth = torch.from_numpy(data.masks[rows]).to(device).float()  # (B, H, W)
        logits = oracle(image, labels[rows].to(device)).float()
        probability = logits.sigmoid()
        overlap = 2 * (probability * truth).sum((1, 2)) / (probability.sum((1, 2)) + truth.sum((1, 2)))
        return F.binary_cross_entropy_with_logits(logits, truth) + (1 - overlap).mean()

    return loss_of

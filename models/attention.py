"""Record a UNet's attention while it samples: A_c, A_s, and the evidence a cut needs of them (DiffusionSeg, eq. 2 and 3).

Nothing is kept per step. Each layer's head-mean probabilities are formed in blocks of queries, added to sums and
dropped; only the last B of a guided batch [unconditional, conditional] are looked at. Layers of coarser grids are
brought to the latent grid by repeating queries and keys, keys divided by the cells they fill, so rows of A_s sum to 1.
Knows nothing of sampling, prompts or images.

Letters: B samples, T text tokens, h x w latent grid, N = h * w cells, n cells of one layer's own grid, P pooled cells.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch.nn import functional as F

from models.attentioncut import OFFSETS, Evidence, evidence_of, normalise, seeds
from models.config import CutConfig

MAX_POOLED = 16  # cells a side of the pooled key grid
MAX_SCORES = 2**26  # float32 scores formed at once: 256 MiB
NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]  # a cell itself is number 4

Grid = tuple[int, int]


@dataclass
class Record:
    """Running sums of one recorded sampling; read it after the last step.

    weights: (B, T) float32, 1 / span length at the category's tokens, 0 elsewhere.
    cross: layer -> (B, n) sum over steps of the span's mean probability; whole: grid -> (B, n, n), mode full only;
    pooled: grid -> (B, n, keys) and stencil: grid -> (B, n, 9), probabilities of keys and of the nine nearest cells.
    """

    grid: Grid
    weights: torch.Tensor
    mode: Literal["evidence", "full"]
    cross: dict[str, torch.Tensor] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    whole: dict[Grid, torch.Tensor] = field(default_factory=dict)
    pooled: dict[Grid, torch.Tensor] = field(default_factory=dict)
    stencil: dict[Grid, torch.Tensor] = field(default_factory=dict)
    num_self: int = 0

    def add_cross(self, layer: str, query: torch.Tensor, key: torch.Tensor, scale: float) -> None:
        """Add one cross-attention layer's map. query: (B, heads, n, d); key: (B, heads, T, d)."""
        maps = [probs @ self.weights[:, :, None] for _, probs in _probabilities(query, key, scale)]
        _accumulate(self.cross, layer, torch.cat(maps, dim=1)[:, :, 0])
        self.steps[layer] = self.steps.get(layer, 0) + 1

    def add_self(self, query: torch.Tensor, key: torch.Tensor, scale: float) -> None:
        """Add one self-attention layer's probabilities. query, key: (B, heads, n, d)."""
        B, n = query.shape[0], query.shape[2]
        grid = _layer_grid(self.grid, n)
        self.num_self += 1
        if self.mode == "full":
            total = self.whole.setdefault(grid, query.new_zeros((B, n, n), dtype=torch.float32))
            for rows, probs in _probabilities(query, key, scale):
                total[:, rows] += probs
            return
        cells = min(n, self.pooled_grid[0] * self.pooled_grid[1])
        pooled = self.pooled.setdefault(grid, query.new_zeros((B, n, cells), dtype=torch.float32))
        stencil = self.stencil.setdefault(grid, query.new_zeros((B, n, 9), dtype=torch.float32))
        index, inside = _stencil_index(grid, query.device)
        for rows, probs in _probabilities(query, key, scale):
            pooled[:, rows] += pool_keys(probs, grid, self.pooled_grid)
            near = probs.gather(2, index[rows].expand(B, -1, -1))
            stencil[:, rows] += torch.where(inside[rows], near, 0)

    @property
    def pooled_grid(self) -> Grid:
        """The latent grid divided by the smallest power of two that leaves at most 16 cells a side."""
        factor = 1
        while max(self.grid) > MAX_POOLED * factor:
            factor *= 2
        return self.grid[0] // factor, self.grid[1] // factor

    def layer_maps(self) -> np.ndarray:
        """Time-mean map of the category in each cross-attention layer, bilinear to the latent grid: (B, layers, h, w) float32."""
        maps = []
        for layer, total in self.cross.items():
            mean = (total / self.steps[layer]).unflatten(1, _layer_grid(self.grid, total.shape[1]))
            maps.append(F.interpolate(mean[:, None], self.grid, mode="bilinear")[:, 0])
        return torch.stack(maps, dim=1).cpu().numpy()

    def self_attention(self, sample: int) -> np.ndarray:
        """A_s of one sample, whole (mode full): (N, N) float32, rows sum to 1."""
        total = sum(_spread(sums[sample], grid, self.grid, self.grid) for grid, sums in self.whole.items())
        return (total / self.num_self).cpu().numpy()

    def pooled_attention(self, sample: int) -> np.ndarray:
        """A_s of one sample with its keys summed over the pooled grid's cells: (N, P) float32, rows sum to 1."""
        total = sum(_spread(sums[sample], grid, self.grid, self.pooled_grid) for grid, sums in self.pooled.items())
        return (total / self.num_self).cpu().numpy()

    def affinities(self, sample: int) -> np.ndarray:
        """Symmetrised A_s between a cell and its neighbour at each of OFFSETS, exactly: (4, h, w) float32, 0 outside."""
        total = sum(_neighbour_affinities(sums[sample], grid, self.grid) for grid, sums in self.stencil.items())
        return (total / self.num_self).cpu().numpy()

    def evidence(self, sample: int, top_k: int, config: CutConfig) -> Evidence:
        """What the cut of one sample needs; r(p) from the pooled A_s in mode evidence (docs/decisions/evidence.md)."""
        class_map = mean_of_top(self.layer_maps()[sample], top_k)
        if self.mode == "full":
            return evidence_of(class_map, self.self_attention(sample), config)
        chosen = seeds(normalise(class_map), config.tau, config.num_seeds)
        refined = refined_from_pooled(self.pooled_attention(sample), chosen, self.grid, self.pooled_grid)
        return Evidence(class_map=class_map, refined=refined, affinities=self.affinities(sample))


@contextmanager
def record_attention(unet: Any, grid: Grid, spans: list[list[int]], tokens: int, mode: Literal["evidence", "full"] = "evidence") -> Iterator[Record]:
    """Record the attention of every layer of `unet` while the context is open; its own processors come back after.

    grid: latent (h, w); spans: token positions of each sample's category, as from `category_span`; tokens: T.
    """
    weights = torch.zeros(len(spans), tokens)
    for row, span in zip(weights, spans, strict=True):
        row[span] = 1 / len(span)
    record = Record(grid, weights.to(unet.device), mode)
    own = dict(unet.attn_processors)
    unet.set_attn_processor({name: _Recording(name, processor, record) for name, processor in own.items()})
    try:
        yield record
    finally:
        unet.set_attn_processor(own)


class _Recording:
    """A processor that lets the layer's own one compute, so the image does not change, and records beside it."""

    def __init__(self, name: str, inner: Any, record: Record):
        self.layer, self.inner, self.record = name.removesuffix(".processor"), inner, record

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        assert attention_mask is None, "recorded attention knows no masks"
        B = len(self.record.weights)
        source = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query = attn.to_q(hidden_states[-B:]).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        key = attn.to_k(source[-B:]).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        if encoder_hidden_states is None:
            self.record.add_self(query, key, attn.scale)
        else:
            self.record.add_cross(self.layer, query, key, attn.scale)
        return self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, temb)


def mean_of_top(layer_maps: np.ndarray, top_k: int) -> np.ndarray:
    """A_c: the mean of the k layers of largest standard deviation. layer_maps: (layers, h, w) -> (h, w) float32 >= 0."""
    order = np.argsort(-layer_maps.std(axis=(1, 2)), kind="stable")
    return layer_maps[order[:top_k]].mean(axis=0, dtype=np.float32)


def refined_from_pooled(pooled: np.ndarray, chosen: np.ndarray, grid: Grid, pooled_grid: Grid) -> np.ndarray:
    """r(p) of eq. 3 with a seed's column of A_s replaced by its pooled cell's mean. pooled: (N, P); chosen: flat seed cells."""
    factor = grid[0] // pooled_grid[0]
    y, x = np.divmod(chosen, grid[1])
    columns = pooled[:, (y // factor) * pooled_grid[1] + x // factor] / factor**2
    return columns.mean(axis=1).reshape(grid).astype(np.float32)


def pool_keys(probs: torch.Tensor, grid: Grid, pooled_grid: Grid) -> torch.Tensor:
    """Sum keys over the pooled grid's cells; a grid that is coarser already stays. probs: (B, queries, n) -> (B, queries, keys)."""
    if grid[0] <= pooled_grid[0]:
        return probs
    (h, w), k = pooled_grid, grid[0] // pooled_grid[0]
    return probs.unflatten(2, (h, k, w, k)).sum(dim=(3, 5)).flatten(2)


def _probabilities(query: torch.Tensor, key: torch.Tensor, scale: float) -> Iterator[tuple[slice, torch.Tensor]]:
    """softmax(q k^T * scale) in float32, mean over heads, in blocks of queries: (rows, (B, block, keys))."""
    B, heads, n, _ = query.shape
    key = key.float().transpose(2, 3)
    block = max(1, MAX_SCORES // (B * heads * key.shape[3]))
    for start in range(0, n, block):
        rows = slice(start, min(start + block, n))
        yield rows, (query[:, :, rows].float() * scale @ key).softmax(dim=3).mean(dim=1)


def _accumulate(sums: dict[str, torch.Tensor], name: str, value: torch.Tensor) -> None:
    sums[name] = sums[name] + value if name in sums else value


def _layer_grid(grid: Grid, cells: int) -> Grid:
    """Grid of a layer with so many cells: the latent grid halved as often as needed."""
    h, w = grid
    while h * w > cells:
        h, w = h // 2, w // 2
    assert h * w == cells, f"a layer of {cells} cells does not fit the latent grid {grid}"
    return h, w


def _stencil_index(grid: Grid, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """For each cell its nine nearest ones: flat index (n, 9), clamped into the grid, and whether inside it (n, 9) bool."""
    h, w = grid
    y, x = torch.meshgrid(torch.arange(h, device=device), torch.arange(w, device=device), indexing="ij")
    offsets = torch.tensor(NEIGHBOURS, device=device)
    y, x = y.reshape(-1, 1) + offsets[:, 0], x.reshape(-1, 1) + offsets[:, 1]
    inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
    return y.clamp(0, h - 1) * w + x.clamp(0, w - 1), inside


def _spread(sums: torch.Tensor, grid: Grid, queries: Grid, keys: Grid) -> torch.Tensor:
    """Repeat a layer's (n, m) sums to (queries' cells, keys' cells), dividing keys by the cells they fill: row sums stay."""
    own_keys = grid if grid[0] <= keys[0] else keys
    value = sums.unflatten(1, own_keys).unflatten(0, grid)  # (query rows, query columns, key rows, key columns)
    for dim, size in enumerate((*queries, *keys)):
        value = value.repeat_interleave(size // value.shape[dim], dim=dim)
    return value.flatten(2).flatten(0, 1) / ((keys[0] // own_keys[0]) * (keys[1] // own_keys[1]))


def _neighbour_affinities(stencil: torch.Tensor, grid: Grid, target: Grid) -> torch.Tensor:
    """Mean of A(p, q) and A(q, p) for the neighbours q of p on the target grid. stencil: (n, 9) of one layer grid -> (4, h, w)."""
    (h, w), factor = target, target[0] // grid[0]
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    result = stencil.new_zeros((4, h, w))
    for d, (dy, dx) in enumerate(OFFSETS):
        py, px = y[: h - dy, max(0, -dx) : w - max(0, dx)], x[: h - dy, max(0, -dx) : w - max(0, dx)]
        qy, qx = py + dy, px + dx
        move = (qy // factor - py // factor + 1) * 3 + (qx // factor - px // factor + 1)  # number in NEIGHBOURS
        p, q = (py // factor) * grid[1] + px // factor, (qy // factor) * grid[1] + qx // factor
        forth, back = stencil[p.to(stencil.device), move.to(stencil.device)], stencil[q.to(stencil.device), (8 - move).to(stencil.device)]
        result[d, py.to(stencil.device), px.to(stencil.device)] = (forth + back) / (2 * factor**2)
    return result

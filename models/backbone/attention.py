"""Record a backbone's attention while it samples: A_c, A_s, and the evidence a cut needs (DiffusionSeg, eq. 2 and 3).

Nothing is kept per step. Each layer's head-mean probabilities are computed in blocks of queries, added to sums and
dropped; of a guided batch [unconditional, conditional] only the last B are used. The attention grid is that of the
finest layers: the latent grid, in SDXL half of it (docs/decisions/sdxl.md). Layers with coarser grids are brought to it
by repeating queries and keys; keys are divided by the cells they fill, so rows of A_s sum to 1.
Mode evidence keeps the exact values of A_s between nearest neighbours and, symmetrised, in the columns of K seed cells;
mode full keeps all of A_s. Both draw seeds among the seed cells (docs/decisions/evidence.md). Knows nothing of
sampling, prompts or images.

Letters: B samples, T text tokens, h x w attention grid, N = h * w cells, n cells of one layer's grid, K seed cells.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
import torch
from torch.nn import functional as F

from models.backbone.protocol import AttentionLayer, Backbone
from models.config.cut import CutConfig
from models.cut.attentioncut import Evidence, affinities_of
from models.cut.graph import OFFSETS
from models.cut.seeds import class_and_refined, seed_cells, seed_columns

MAX_SCORES = 2**26  # float32 scores computed at once: 256 MiB
NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]  # number 4 is the cell itself

Grid = tuple[int, int]


@dataclass
class Record:
    """Running sums of one recorded sampling; read it after the last step.

    grid: attention (h, w), which is the latent grid halved `halvings` times;
    weights: (B, T) float32, 1 / span length at the category's tokens, 0 elsewhere.
    cross: layer -> (B, n), sum over steps of the span's mean probability; steps: layer -> number of steps; grids:
    layer -> its grid; whole: grid -> (B, n, n), mode full only; columns: grid -> (B, n, keys), probabilities to and
    from the cells that contain seed cells, and stencil: grid -> (B, n, 9), probabilities of the nine nearest cells,
    both mode evidence only.
    """

    grid: Grid
    weights: torch.Tensor
    mode: Literal["evidence", "full"]
    cross: dict[str, torch.Tensor] = field(default_factory=dict)
    grids: dict[str, Grid] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    whole: dict[Grid, torch.Tensor] = field(default_factory=dict)
    columns: dict[Grid, torch.Tensor] = field(default_factory=dict)
    stencil: dict[Grid, torch.Tensor] = field(default_factory=dict)
    num_self: int = 0
    halvings: int = 0

    def add(self, layer: AttentionLayer, query: torch.Tensor, key: torch.Tensor, scale: float) -> None:
        """Add one layer's attention of one step. query: (B, heads, n, d); key: (B, heads, n or T, d)."""
        if layer.is_cross:
            self._add_cross(layer, query, key, scale)
        else:
            self._add_self(layer, query, key, scale)

    def _grid_of(self, layer: AttentionLayer, cells: int) -> Grid:
        halvings = layer.halvings - self.halvings
        h, w = (side >> halvings for side in self.grid)
        assert h * w == cells, f"{layer.name}: expected {self.grid} halved {halvings} times, got {cells} cells"
        return h, w

    def _add_cross(self, layer: AttentionLayer, query: torch.Tensor, key: torch.Tensor, scale: float) -> None:
        """Add the span's mean probability."""
        maps = [probs @ self.weights[:, :, None] for _, probs in _probabilities(query, key, scale)]
        _accumulate(self.cross, layer.name, torch.cat(maps, dim=1)[:, :, 0])
        self.grids[layer.name] = self._grid_of(layer, query.shape[2])
        self.steps[layer.name] = self.steps.get(layer.name, 0) + 1

    def _add_self(self, layer: AttentionLayer, query: torch.Tensor, key: torch.Tensor, scale: float) -> None:
        """Add the probabilities: all of them, or those that the evidence needs."""
        B, n = query.shape[0], query.shape[2]
        grid = self._grid_of(layer, n)
        self.num_self += 1
        if self.mode == "full":
            total = self.whole.setdefault(grid, query.new_zeros((B, n, n), dtype=torch.float32))
            for rows, probs in _probabilities(query, key, scale):
                total[:, rows] += probs
            return
        keys = torch.from_numpy(_keys_of_seed_cells(self.grid, grid)[0]).to(query.device)
        columns = self.columns.setdefault(grid, query.new_zeros((B, n, len(keys)), dtype=torch.float32))
        stencil = self.stencil.setdefault(grid, query.new_zeros((B, n, 9), dtype=torch.float32))
        index, inside = _stencil_index(grid, query.device)
        for rows, probs in _probabilities(query, key, scale):
            if len(keys) == n:  # the same as below, without gathering
                columns[:, rows] += probs
                columns[:, :, rows] += probs.transpose(1, 2)
            else:
                in_block = (keys >= rows.start) & (keys < rows.stop)
                columns[:, rows] += probs[:, :, keys]
                columns[:, :, in_block] += probs[:, keys[in_block] - rows.start].transpose(1, 2)
            near = probs.gather(2, index[rows].expand(B, -1, -1))
            stencil[:, rows] += torch.where(inside[rows], near, 0)

    def layer_maps(self, sample: int) -> np.ndarray:
        """Time-mean map of the category in each cross-attention layer, enlarged bilinearly: (layers, h, w) float32."""
        maps = []
        for layer, total in self.cross.items():
            mean = (total[sample] / self.steps[layer]).unflatten(0, self.grids[layer])
            maps.append(F.interpolate(mean[None, None], self.grid, mode="bilinear")[0, 0])
        return torch.stack(maps).cpu().numpy()

    def self_attention(self, sample: int) -> np.ndarray:
        """A_s of one sample, whole (mode full): (N, N) float32, rows sum to 1."""
        total = torch.zeros(*self.grid, *self.grid, device=self.weights.device)
        for grid, sums in self.whole.items():
            factor = self.grid[0] // grid[0]
            total += _repeat(sums[sample].unflatten(1, grid).unflatten(0, grid), factor, (0, 1, 2, 3)) / factor**2
        return (total / self.num_self).flatten(2).flatten(0, 1).cpu().numpy()

    def seed_columns(self, sample: int) -> np.ndarray:
        """Symmetrised A_s of one sample at `seed_cells`: (N, K) float32, N = K on grids of at most 48 a side."""
        if self.mode == "full":
            return seed_columns(self.self_attention(sample), *self.grid)
        total = torch.zeros(*self.grid, len(seed_cells(*self.grid)), device=self.weights.device)
        for grid, sums in self.columns.items():
            factor = self.grid[0] // grid[0]
            columns = sums[sample][:, _keys_of_seed_cells(self.grid, grid)[1]].unflatten(0, grid)
            total += _repeat(columns, factor, (0, 1)) / (2 * factor**2)
        return (total / self.num_self).flatten(0, 1).cpu().numpy()

    def affinities(self, sample: int) -> np.ndarray:
        """Symmetrised A_s between a cell and its neighbour at each of OFFSETS: (4, h, w) float32, 0 outside."""
        if self.mode == "full":
            return affinities_of(self.self_attention(sample), *self.grid)
        total = sum(_neighbour_affinities(sums[sample], grid, self.grid) for grid, sums in self.stencil.items())
        return (total / self.num_self).numpy()

    def evidence(self, sample: int, top_k: int, config: CutConfig) -> Evidence:
        """The evidence of one sample."""
        return self.evidence_from(sample, self.layer_maps(sample), self.seed_columns(sample), top_k, config)

    def evidence_from(
        self, sample: int, layer_maps: np.ndarray, columns: np.ndarray, top_k: int, config: CutConfig
    ) -> Evidence:
        """The same from the sample's `layer_maps` and `seed_columns`, which may be rounded as a dataset stores them."""
        class_map, refined = class_and_refined(layer_maps, columns, top_k, config)
        return Evidence(class_map=class_map, refined=refined, affinities=self.affinities(sample))


@contextmanager
def record_attention(
    backbone: Backbone, grid: Grid, spans: list[list[int]], tokens: int, mode: Literal["evidence", "full"] = "evidence"
) -> Iterator[Record]:
    """Record the attention of every layer of a backbone while the context is open.

    grid: latent (h, w); spans: token positions of each sample's category, as from `category_span`; tokens: T.
    """
    weights = torch.zeros(len(spans), tokens)
    for row, span in zip(weights, spans, strict=True):
        row[span] = 1 / len(span)
    facts, weights = backbone.facts, weights.to(backbone.device)
    record = Record(facts.attention_grid(grid), weights, mode, halvings=facts.attention_halvings)
    with backbone.watch_attention(len(spans), record.add):
        yield record


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


@cache
def _stencil_index(grid: Grid, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The nine nearest cells of each cell: flat index (n, 9), clamped into the grid, and whether inside (n, 9) bool."""
    h, w = grid
    y, x = torch.meshgrid(torch.arange(h, device=device), torch.arange(w, device=device), indexing="ij")
    offsets = torch.tensor(NEIGHBOURS, device=device)
    y, x = y.reshape(-1, 1) + offsets[:, 0], x.reshape(-1, 1) + offsets[:, 1]
    inside = (y >= 0) & (y < h) & (x >= 0) & (x < w)
    return y.clamp(0, h - 1) * w + x.clamp(0, w - 1), inside


@cache
def _keys_of_seed_cells(target: Grid, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Cells of a layer's grid that contain the target grid's seed cells (keys,), and the key of each seed cell (K,)."""
    factor = target[0] // grid[0]
    y, x = np.divmod(seed_cells(*target), target[1])
    return np.unique((y // factor) * grid[1] + x // factor, return_inverse=True)


def _repeat(values: torch.Tensor, factor: int, dims: tuple[int, ...]) -> torch.Tensor:
    for dim in dims:
        values = values.repeat_interleave(factor, dim=dim)
    return values


def _neighbour_affinities(stencil: torch.Tensor, grid: Grid, target: Grid) -> torch.Tensor:
    """Mean of A(p, q) and A(q, p) for the neighbours q of p on the target grid.

    stencil: (n, 9), probabilities of one layer grid's nine nearest cells -> (4, h, w).
    """
    (h, w), factor, stencil = target, target[0] // grid[0], stencil.cpu()
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    result = torch.zeros(4, h, w)
    for d, (dy, dx) in enumerate(OFFSETS):
        inside = (slice(0, h - dy), slice(max(0, -dx), w - max(0, dx)))
        py, px, qy, qx = (v // factor for v in (y[inside], x[inside], y[inside] + dy, x[inside] + dx))
        step = (qy - py + 1) * 3 + (qx - px + 1)  # its number in NEIGHBOURS; the reverse step is 8 - step
        to_q, to_p = stencil[py * grid[1] + px, step], stencil[qy * grid[1] + qx, 8 - step]
        result[(d, *inside)] = (to_q + to_p) / (2 * factor**2)
    return result

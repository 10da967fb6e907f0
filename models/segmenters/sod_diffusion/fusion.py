"""SOD-diffusion's feature fusion: an encoder's stages become one map f of 64 channels, which enters the UNet.

The paper weights the stages by CBAM (arXiv 1807.06521); the released code uses InSPyReNet's parallel axial attention
(PAA) instead, which UACANet (arXiv 2107.02368) introduced. Knows nothing of encoders or of noise.

Letters: B images, C channels, h x w a map's grid; the grid of each stage is half that of the stage before.
"""

import torch
from torch import nn
from torch.nn import functional as F

WIDTH = 64  # channels of f


class Fusion(nn.Module):
    """The stages, each projected to 64 channels, enlarged to the finest grid, concatenated and fused.

    method: 'cbam'; 'paa'; or 'plain', which is 'cbam' without its weights. channels: of each stage, the finest first.
    """

    def __init__(self, method: str, channels: list[int]):
        super().__init__()
        paa, joint = method == "paa", len(channels) * WIDTH
        self.stages = nn.ModuleList(PaaStage(C) if paa else nn.Sequential(conv(C, 1), nn.ReLU()) for C in channels)
        self.weighted = Cbam(joint) if method == "cbam" else nn.Identity()
        self.joined = nn.Sequential(conv(joint, 3), Axial(), conv(WIDTH, 3), conv(WIDTH, 3), conv(WIDTH, 3)) if paa \
            else conv(joint, 3)  # fmt: skip

    def forward(self, stages: list[torch.Tensor]) -> torch.Tensor:
        """For each stage (B, C, ...) -> f: (B, 64, h, w) on the first stage's grid."""
        maps = [project(stage) for project, stage in zip(self.stages, stages, strict=True)]
        grid = maps[0].shape[2:]
        enlarged = [F.interpolate(m, grid, mode="bilinear", align_corners=True) for m in maps]
        return self.joined(self.weighted(torch.cat(enlarged, dim=1)))


class Cbam(nn.Module):
    """Weights a map's channels, then its cells, by factors in (0, 1) (CBAM, eq. 2 and 3)."""

    def __init__(self, channels: int, reduction: int = 16):
        super().__init__()
        hidden = channels // reduction
        self.shared = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, h, w)
        pooled = self.shared(x.mean((2, 3), keepdim=True)) + self.shared(x.amax((2, 3), keepdim=True))
        x = x * pooled.sigmoid()  # (B, C, 1, 1)
        pooled = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)  # (B, 2, h, w)
        return x * self.spatial(pooled).sigmoid()


class PaaStage(nn.Module):
    """PAA_e: a 1x1 branch and three branches of growing kernel size, concatenated, with a residual path."""

    def __init__(self, channels: int):
        super().__init__()
        self.branches = nn.ModuleList([conv(channels, 1), *(branch(channels, size) for size in (3, 5, 7))])
        self.together, self.residual = conv(4 * WIDTH, 3), conv(channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, h, w) -> (B, 64, h, w)
        branches = torch.cat([layer(x) for layer in self.branches], dim=1)  # (B, 256, h, w)
        return F.relu(self.together(branches) + self.residual(x))


class Axial(nn.Module):
    """The sum of attention among the rows and attention among the columns of a map."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.columns = AxisAttention(2), AxisAttention(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, 64, h, w)
        return self.rows(x) + self.columns(x)


class AxisAttention(nn.Module):
    """Self-attention in which each row (axis 2) or each column (axis 3) of a map is one token; at first the identity.

    A_ij = softmax_j(sum over channels and cells of q_i k_j), without a scale. The released code reshapes a square map
    so that both attend among columns; here `rows` really attends among rows.
    """

    def __init__(self, axis: int):
        super().__init__()
        self.axis = axis
        self.query, self.key = conv(WIDTH, 1, WIDTH // 8), conv(WIDTH, 1, WIDTH // 8)
        self.value, self.gamma = conv(WIDTH, 1), nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, 64, h, w)
        x = x.transpose(2, self.axis)  # tokens along axis 2
        weights = torch.einsum("bcix,bcjx->bij", self.query(x), self.key(x)).softmax(dim=2)
        attended = torch.einsum("bij,bcjx->bcix", weights, self.value(x))
        return (self.gamma * attended + x).transpose(2, self.axis)


class Tile(nn.Module):
    """Repeats the channels up to a width that is a multiple of 64: (B, 64, h, w) -> (B, width, h, w)."""

    def __init__(self, width: int):
        super().__init__()
        assert width % WIDTH == 0
        self.times = width // WIDTH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat(1, self.times, 1, 1)


class PlainCrossAttention(nn.Module):
    """The replacement of AFIM in its ablation: one cross-attention from the UNet's input to f, which starts at zero."""

    def __init__(self, channels: int):
        super().__init__()
        self.query, self.out = nn.Conv2d(channels, WIDTH, 1), nn.Conv2d(WIDTH, channels, 1)
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        """x: (B, channels, h, w), f: (B, 64, h, w) -> as x."""
        query, key = (m.flatten(2).transpose(1, 2) for m in (self.query(x), f))  # (B, hw, 64)
        attended, _ = self.attention(query, key, key, need_weights=False)
        return x + self.out(attended.transpose(1, 2).unflatten(2, x.shape[2:]))


def branch(channels: int, size: int) -> nn.Sequential:
    """A PAA branch: convolutions along x and y, axial attention, then a convolution dilated by the kernel size."""
    along = conv(WIDTH, (1, size)), conv(WIDTH, (size, 1))
    return nn.Sequential(conv(channels, 1), *along, Axial(), conv(WIDTH, 3, dilation=size))


def conv(channels: int, kernel: int | tuple[int, int], out: int = WIDTH, dilation: int = 1) -> nn.Sequential:
    """A convolution without bias that keeps the grid, and batch normalisation."""
    convolution = nn.Conv2d(channels, out, kernel, padding="same", dilation=dilation, bias=False)
    nn.init.kaiming_normal_(convolution.weight)
    return nn.Sequential(convolution, nn.BatchNorm2d(out))

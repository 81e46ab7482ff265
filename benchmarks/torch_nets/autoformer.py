"""A plain PyTorch AutoFormer network, written for comparison of speed only."""

from __future__ import annotations

import torch
from torch import nn

DEVIATION = 0.02


class RelativePositions(nn.Module):
    """Embeddings of the offset between any two tokens: a vertical and a horizontal one, added."""

    def __init__(self, side: int, head_dim: int, reach: int):
        super().__init__()
        self.embeddings_table_v = nn.Parameter(DEVIATION * torch.randn(2 * reach + 2, head_dim))
        self.embeddings_table_h = nn.Parameter(DEVIATION * torch.randn(2 * reach + 2, head_dim))
        place = torch.arange(side)
        offset = (place[None] - place[:, None]).clamp(-reach, reach) + reach + 1
        rows = offset.repeat_interleave(side, 0).repeat_interleave(side, 1)
        columns = offset.repeat(side, side)
        # Row 0 belongs to pairs with the class token.
        pad = (1, 0, 1, 0)
        self.register_buffer("rows", nn.functional.pad(rows, pad), persistent=False)
        self.register_buffer("columns", nn.functional.pad(columns, pad), persistent=False)

    def forward(self) -> torch.Tensor:
        """Embeddings [tokens, tokens, head_dim]."""
        return self.embeddings_table_v[self.rows] + self.embeddings_table_h[self.columns]


class Attention(nn.Module):
    """Self-attention whose keys and values have relative positions."""

    def __init__(self, width: int, heads: int, head_dim: int, side: int, reach: int):
        super().__init__()
        self.heads, self.scale = heads, head_dim**-0.5
        self.qkv, self.proj = nn.Linear(width, 3 * heads * head_dim), nn.Linear(heads * head_dim, width)
        self.rel_pos_embed_k = RelativePositions(side, head_dim, reach)
        self.rel_pos_embed_v = RelativePositions(side, head_dim, reach)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, width] to the same."""
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        relative = torch.einsum("bhnd,nmd->bhnm", q, self.rel_pos_embed_k())
        weights = ((q @ k.transpose(-2, -1) + relative) * self.scale).softmax(-1)
        out = weights @ v + torch.einsum("bhnm,nmd->bhnd", weights, self.rel_pos_embed_v())
        return self.proj(out.transpose(1, 2).reshape(batch, tokens, -1))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, hidden: int, head_dim: int, side: int, reach: int):
        super().__init__()
        self.attn_layer_norm, self.ffn_layer_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, head_dim, side, reach)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[batch, tokens, width] to the same."""
        x = x + self.attn(self.attn_layer_norm(x))
        return x + self.fc2(nn.functional.gelu(self.fc1(self.ffn_layer_norm(x))))


class Patches(nn.Module):
    """Patch embedding."""

    def __init__(self, ins: int, width: int, size: int):
        super().__init__()
        self.proj = nn.Conv2d(ins, width, size, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to [batch, patches, width]."""
        return self.proj(x).flatten(2).transpose(1, 2)


class Network(nn.Module):
    """Patches, class token, positions, blocks, mean over patches, head."""

    def __init__(
        self,
        width: int,
        blocks: list[tuple[int, int]],
        num_classes: int,
        side: int,
        patch_size: int,
        in_channels: int,
        head_dim: int,
        reach: int,
    ):
        super().__init__()
        self.patch_embed_super = Patches(in_channels, width, patch_size)
        self.cls_token = nn.Parameter(DEVIATION * torch.randn(1, 1, width))
        self.pos_embed = nn.Parameter(DEVIATION * torch.randn(1, side**2 + 1, width))
        self.blocks = nn.Sequential(*(Block(width, *block, head_dim, side, reach) for block in blocks))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits."""
        x = self.patch_embed_super(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.head(self.norm(self.blocks(x))[:, 1:].mean(1))


def network(
    arch: list[int],
    *,
    num_classes: int,
    image_size: int,
    in_channels: int,
    patch_size: int,
    head_dim: int,
    max_distance: int,
    **choices: object,
) -> nn.Module:
    """The network of an architecture int [2 + 2 D]: width, depth, heads and ten times the ratio of each block."""
    del choices
    width, depth, *rest = arch
    heads, tenths = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    blocks = [(heads[i], width * tenths[i] // 10) for i in range(depth)]
    return Network(
        width, blocks, num_classes, image_size // patch_size, patch_size, in_channels, head_dim, max_distance
    )

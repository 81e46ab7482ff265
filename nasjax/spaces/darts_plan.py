"""The skeleton of DARTS networks: which cells there are, how wide, and what enters them.

Networks are those of the DARTS code for CIFAR (Liu et al., ICLR 2019): a stem, ``cells`` cells of which those at one
and at two thirds of the depth halve the image and double the channels, mean over positions, classifier; for ImageNet,
with a stem that halves the image three times, and whose last two outputs the first cell reads. A cell reads
the outputs of the two cells before it, through a 1x1 convolution each; behind a reduction, the older one is twice as
large, and enters through two convolutions of its even and its odd pixels.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

MULTIPLIER = 4  # nodes that the output of a cell concatenates


class Variant(NamedTuple):
    """What distinguishes the networks in use.

    Attributes:
      channels: default channels of the cells before the first reduction.
      cells: default number of cells.
      stem: output channels of the stem, a multiple of the channels; 0 for no stem.
      affine: whether the norms in the cells scale and shift.
      pool_norm: whether a norm without scale and shift follows each pool.
      tap_last: whether the auxiliary head reads the last cell, instead of the second reduction.
      deep: whether the stem is three convolutions of stride 2, instead of one of stride 1.
      auxiliary_stride: of the pool of the auxiliary head, which puts out 2x2 pixels.
      auxiliary_norms: norms of the auxiliary head, behind the first of its two convolutions.
      num_classes: default number of outputs.
      image_size: default size of the images.
    """

    channels: int
    cells: int
    stem: int
    affine: bool
    pool_norm: bool
    tap_last: bool
    deep: bool = False
    auxiliary_stride: int = 3
    auxiliary_norms: int = 2
    num_classes: int = 10
    image_size: int = 32


VARIANTS = {
    "darts": Variant(36, 20, 3, True, False, False),
    "imagenet": Variant(48, 14, 1, True, False, False, True, 2, 1, 1000, 224),
    "naslib": Variant(32, 8, 3, False, True, True),
    "swap": Variant(3, 1, 0, True, False, False),
}
STEM_HALVINGS = 3  # of the deep stem


class Entry(NamedTuple):
    """How an earlier output enters a cell.

    Attributes:
      ins: its channels.
      reduces: whether it is twice as large as the cell; even and odd pixels are then convolved apart.
    """

    ins: int
    reduces: bool

    @property
    def width(self) -> int:
        """Channels of the convolution's input: even and odd pixels side by side."""
        return 2 * self.ins if self.reduces else self.ins


class Segment(NamedTuple):
    """Cells of equal shape in a row; a reduction cell stands alone.

    Attributes:
      name: "stage0", "reduction0", "stage1", ...
      reduction: whether it is a reduction cell.
      cells: numbers of the cells.
      channels: channels of the nodes.
      entries: of each cell, how the older and the newer output enter.
    """

    name: str
    reduction: bool
    cells: tuple[int, ...]
    channels: int
    entries: tuple[tuple[Entry, Entry], ...]

    @property
    def outs(self) -> int:
        """Channels of a cell's output."""
        return MULTIPLIER * self.channels

    def widths(self) -> tuple[int, int]:
        """Input channels of the arrays of both entering convolutions; narrower ones are padded."""
        widest = [max(entry[i].width for entry in self.entries) for i in range(2)]
        # Within a stage the output of one cell is the input of the next.
        return (widest[0], widest[1]) if self.reduction else (max(*widest, self.outs),) * 2


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Static sizes of a network.

    Attributes:
      variant: see ``VARIANTS``.
      channels: channels of the cells before the first reduction.
      cells: number of cells.
      num_classes: outputs of the classifier.
      in_channels: channels of the images.
      auxiliary: whether there is an auxiliary head.
    """

    variant: str
    channels: int
    cells: int
    num_classes: int
    in_channels: int
    auxiliary: bool

    @property
    def kind(self) -> Variant:
        """What the variant's name stands for."""
        return VARIANTS[self.variant]

    @property
    def stem_channels(self) -> int:
        """Channels of what enters the first cell."""
        return self.kind.stem * self.channels or self.in_channels

    def reductions(self) -> list[bool]:
        """Of each cell, whether it is a reduction cell."""
        return [i in (self.cells // 3, 2 * self.cells // 3) for i in range(self.cells)]

    def num_reductions(self) -> int:
        """How often the image is halved: twice, but once with one cell."""
        return sum(self.reductions())

    def halvings(self, cells: int | None = None) -> int:
        """How often the image is halved by the stem and the first cells, all by default."""
        return STEM_HALVINGS * self.kind.deep + sum(self.reductions()[:cells])

    def segments(self) -> tuple[Segment, ...]:
        """The cells in order."""
        older = newer = self.stem_channels
        channels, halved = self.channels, self.kind.deep
        found: list[Segment] = []
        for i, reduction in enumerate(self.reductions()):
            channels *= 2 if reduction else 1
            entries = (Entry(older, halved), Entry(newer, False))
            if found and not reduction and not found[-1].reduction:
                last = found.pop()
                cell = last._replace(cells=(*last.cells, i), entries=(*last.entries, entries))
            else:
                stage = sum(segment.reduction for segment in found)
                name = f"{'reduction' if reduction else 'stage'}{stage}"
                cell = Segment(name, reduction, (i,), channels, (entries,))
            found.append(cell)
            older, newer, halved = newer, MULTIPLIER * channels, reduction
        return tuple(found)

    @property
    def top(self) -> int:
        """Channels that the classifier reads."""
        return self.segments()[-1].outs

    @property
    def auxiliary_cell(self) -> int:
        """Number of the cell that the auxiliary head reads."""
        return self.cells - 1 if self.kind.tap_last else 2 * self.cells // 3

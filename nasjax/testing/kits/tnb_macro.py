"""TransNAS-Bench-101, macro space at base width 16: batches of 16 photos of 64x64."""

from __future__ import annotations

from nasjax.spaces.transnas_macro import TransNasMacro
from nasjax.testing.kits import Kit, tnb_micro

KIT = Kit(
    space=lambda entry: TransNasMacro(channels=16, num_classes=tnb_micro.NUM_CLASSES, image_size=64),
    arch=lambda space, entry: space.decode([entry["arch"]])[0],
    batches=tnb_micro.batches,
    scores=tnb_micro.SCORES,
    # Three times the official codes' own float32-float64 gap.
    loose={"naslib_grad_norm": 2e-4, "naslib_snip": 3e-5, "zico": 6e-2},
    rounding=tnb_micro.rounding,  # every block ends in a batch norm, too
)

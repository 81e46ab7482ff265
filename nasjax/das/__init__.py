"""Images to videos by differentiable augmentation search, and the networks that fuse them."""

from nasjax.das.cell import apply_cell as apply_cell
from nasjax.das.cell import mixture as mixture
from nasjax.das.cell import reference_magnitudes as reference_magnitudes
from nasjax.das.cell import sample_magnitudes as sample_magnitudes
from nasjax.das.config import DASConfig as DASConfig
from nasjax.das.config import preset as preset
from nasjax.das.genotype import Gene as Gene
from nasjax.das.genotype import Genotype as Genotype

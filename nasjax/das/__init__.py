"""Images to videos by differentiable augmentation search, and the networks that fuse them."""

from nasjax.das.cell import apply_cell as apply_cell
from nasjax.das.cell import mixture as mixture
from nasjax.das.cell import reference_magnitudes as reference_magnitudes
from nasjax.das.cell import sample_magnitudes as sample_magnitudes
from nasjax.das.config import DASConfig as DASConfig
from nasjax.das.config import preset as preset
from nasjax.das.genotype import Gene as Gene
from nasjax.das.genotype import Genotype as Genotype
from nasjax.das.search import SearchDivergedError as SearchDivergedError
from nasjax.das.search import search as search
from nasjax.das.search import search_seeds as search_seeds
from nasjax.das.search_config import Network as Network
from nasjax.das.search_config import SearchConfig as SearchConfig
from nasjax.das.search_config import SearchData as SearchData
from nasjax.das.search_config import linen_network as linen_network
from nasjax.das.search_config import split_halves as split_halves
from nasjax.das.search_result import SearchResult as SearchResult

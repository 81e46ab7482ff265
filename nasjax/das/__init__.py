"""Images to videos by differentiable augmentation search, and the networks that fuse them."""

from nasjax.das.cell import apply_cell as apply_cell
from nasjax.das.cell import mixture as mixture
from nasjax.das.cell import reference_magnitudes as reference_magnitudes
from nasjax.das.cell import sample_magnitudes as sample_magnitudes
from nasjax.das.config import DASConfig as DASConfig
from nasjax.das.config import preset as preset
from nasjax.das.genotype import Gene as Gene
from nasjax.das.genotype import Genotype as Genotype
from nasjax.das.networks import efficientnet_b0 as efficientnet_b0
from nasjax.das.networks import get_backbone as get_backbone
from nasjax.das.networks import mobilenet_v2 as mobilenet_v2
from nasjax.das.networks import resnet as resnet
from nasjax.das.receptive_field import Field as Field
from nasjax.das.receptive_field import receptive_field as receptive_field
from nasjax.das.scenes import Scenes as Scenes
from nasjax.das.scenes import load_scenes as load_scenes
from nasjax.das.segmentation import SegmentationConfig as SegmentationConfig
from nasjax.das.segmentation import train_segmentation as train_segmentation
from nasjax.das.temporal import GSF as GSF
from nasjax.das.temporal import GSM as GSM
from nasjax.das.temporal import TemporalConfig as TemporalConfig
from nasjax.das.temporal import temporal_shift as temporal_shift
from nasjax.das.train import DASTrainConfig as DASTrainConfig
from nasjax.das.train import train as train
from nasjax.das.variants import VARIANTS as VARIANTS
from nasjax.das.videos import VideoMaker as VideoMaker

"""GRASP-GCN: a predictor that ranks architectures from graph and vertex shapes, after the published description."""

from nasjax.grasp.config import FeatureConfig as FeatureConfig
from nasjax.grasp.config import ModelConfig as ModelConfig
from nasjax.grasp.config import PredictorConfig as PredictorConfig
from nasjax.grasp.config import TrainConfig as TrainConfig
from nasjax.grasp.config import preset as preset
from nasjax.grasp.encoders import EncodeConfig as EncodeConfig
from nasjax.grasp.encoders import encode as encode
from nasjax.grasp.evaluation import Evaluation as Evaluation
from nasjax.grasp.evaluation import evaluate as evaluate
from nasjax.grasp.graphs import Graphs as Graphs
from nasjax.grasp.graphs import concatenate as concatenate
from nasjax.grasp.graphs import from_graphs as from_graphs
from nasjax.grasp.predictor import Prediction as Prediction
from nasjax.grasp.predictor import Predictor as Predictor
from nasjax.grasp.predictor import fit as fit
from nasjax.grasp.predictor import fit_many as fit_many
from nasjax.grasp.predictor import load as load
from nasjax.grasp.selection import Selected as Selected
from nasjax.grasp.selection import select as select
from nasjax.grasp.splits import Split as Split
from nasjax.grasp.splits import groups_of as groups_of
from nasjax.grasp.splits import one_each as one_each
from nasjax.grasp.splits import split as split
from nasjax.grasp.splits import splits as splits
from nasjax.grasp.transfer import Transfer as Transfer
from nasjax.grasp.transfer import transfer_matrix as transfer_matrix

"""What was found in the traced programs of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nasjax.own_model.space import OwnModel

if TYPE_CHECKING:
    import pandas as pd


def table(spaces: Mapping[str, OwnModel]) -> pd.DataFrame:
    """Size and contents of each model.

    Args:
      spaces: name of a model -> the model as a space.

    Returns:
      A row a model: ``model``, ``layers`` (weight layers), ``activations`` (such as "3 relu, 1 gelu"), ``params`` and
      ``flops`` (multiply-adds for one image).
    """
    import pandas as pd

    rows = []
    for name, space in spaces.items():
        kinds = [activation.kind for activation in space.analysis().activations]
        found = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)) or "none"
        rows.append((name, len(space.layer_names()), found, int(space.num_params(None)), int(space.flops(None))))
    return pd.DataFrame(rows, columns=["model", "layers", "activations", "params", "flops"])

"""A model cut into blocks at the feature maps that its ``features_fn`` gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasjax.own_model.analysis import Analysis
from nasjax.own_model.execute import execute
from nasjax.own_model.space import OwnModel, widened
from nasjax.types import Array, Block, BlockFunction, InputError, PyTree, Variables, Visit, Walk


class OwnModelWithFeatures(OwnModel):
    """A model with feature maps."""

    def blocks(
        self, variables: Variables, arch: tuple[Any, ...], images: Array, visit: Visit, *, norm: str = "batch"
    ) -> Walk:
        """Walks from map to map; see `nasjax.spaces.optional.HasBlocks`.

        Raises:
          InputError: a map does not depend on the one before.
        """
        del norm
        analysis = self.analysis("features", images)
        leaves = self._merge(variables.params, arch)
        source, x = analysis.program.images, images
        seen: dict[str, PyTree] = {}
        for number, target in enumerate(analysis.program.outputs):
            function = block_function(analysis, leaves, images, source, target, self.precision)
            block = Block(f"block{number}", number, 0, True, True)
            (x, _), seen[block.name] = visit(block, function, x)
            source = target
        return Walk(x, {}, seen)


def check_blocks(analysis: Analysis) -> None:
    """Refuses feature maps that do not follow from each other.

    Raises:
      InputError: one does not depend on the one before.
    """
    source = analysis.program.images
    for number, target in enumerate(analysis.program.outputs):
        if target == source or source not in analysis.program.needed([target], known=[source])[1]:
            raise InputError(
                f"own model: feature map {number} of features_fn does not depend on "
                f"{f'map {number - 1}' if number else 'the images'}; give maps in forward order, each made from the "
                "one before."
            )
        source = target


def block_function(
    analysis: Analysis, leaves: Sequence[Any], images: Array, source: int, target: int, precision: str
) -> BlockFunction:
    """The part of a program between two registers, as a function of the first.

    Args:
      analysis: of the program.
      leaves: parameters.
      images: float [batch, height, width, channels], for what goes around the first register.
      source: register given.
      target: register wanted.
      precision: see `nasjax.own_model.execute.execute`.

    Returns:
      value of source -> (value of target, no statistics).
    """
    steps, _ = analysis.program.needed([target], known=[source])

    def function(value: Array) -> tuple[Array, PyTree]:
        own = value.astype(analysis.program.dtypes[source])
        given = {analysis.program.images: images, source: own}
        return widened(execute(analysis, leaves, given, precision=precision, steps=steps, outputs=[target])[0]), {}

    return function

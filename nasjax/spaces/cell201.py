"""NAS-Bench-201 cells without the network: encodings, moves, structure and costs.

This is the public face; the work is done in ``cell201_codec``, ``cell201_moves``, ``cell201_graph``
and ``cell201_cost``. Nothing here builds a network or reads a file.
"""

from nasjax.spaces.cell201_codec import (
    EDGES,
    EXAMPLE,
    NASLIB_EDGES,
    NASLIB_OPS,
    NUM_ARCHITECTURES,
    NUM_EDGES,
    NUM_OPS,
    OPS,
    check_arch,
    decode,
    enumeration_index,
    from_enumeration_index,
    from_index,
    from_string,
    from_tuple,
    to_index,
    to_string,
    to_tuple,
)
from nasjax.spaces.cell201_cost import flops_xautodl, macs, num_params
from nasjax.spaces.cell201_graph import canonical, is_valid, live_edges, to_graph
from nasjax.spaces.cell201_moves import all_architectures, crossover, mutate, neighbours, sample

__all__ = [
    "EDGES",
    "EXAMPLE",
    "NASLIB_EDGES",
    "NASLIB_OPS",
    "NUM_ARCHITECTURES",
    "NUM_EDGES",
    "NUM_OPS",
    "OPS",
    "all_architectures",
    "canonical",
    "check_arch",
    "crossover",
    "decode",
    "enumeration_index",
    "flops_xautodl",
    "from_enumeration_index",
    "from_index",
    "from_string",
    "from_tuple",
    "is_valid",
    "live_edges",
    "macs",
    "mutate",
    "neighbours",
    "num_params",
    "sample",
    "to_graph",
    "to_index",
    "to_string",
    "to_tuple",
]

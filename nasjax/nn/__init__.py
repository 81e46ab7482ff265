"""Layers made for scoring many small networks in one compiled program.

Convolutions have a backward pass of their own. XLA:CPU runs the gradients that autodiff derives for
``lax.conv_general_dilated`` 8 to 40 times slower inside ``while`` and ``switch`` than at top level;
the forms used here keep their speed there (``python -m benchmarks.conv`` measures both). Values and
derivatives of first and second order equal those of ``lax``.

Arrays are NHWC, kernels HWIO. Nothing here fixes a dtype.
"""

from __future__ import annotations

from nasjax.nn.attention import RelativeTables as RelativeTables
from nasjax.nn.attention import relative_attention as relative_attention
from nasjax.nn.common import Moments as Moments
from nasjax.nn.common import batched_by as batched_by
from nasjax.nn.common import sample_moments as sample_moments
from nasjax.nn.common import use_fast_backward as use_fast_backward
from nasjax.nn.convolution import conv as conv
from nasjax.nn.convolution import linear as linear
from nasjax.nn.depthwise import depthwise_conv as depthwise_conv
from nasjax.nn.merge import weighted_sum as weighted_sum
from nasjax.nn.norm import batch_count as batch_count
from nasjax.nn.norm import batch_mode as batch_mode
from nasjax.nn.norm import batch_moments as batch_moments
from nasjax.nn.norm import batch_norm as batch_norm
from nasjax.nn.norm import layer_norm as layer_norm
from nasjax.nn.norm import probe as probe
from nasjax.nn.norm import running_stats as running_stats
from nasjax.nn.pool import avg_pool as avg_pool
from nasjax.nn.pool import max_pool as max_pool
from nasjax.nn.readers import Fisher as Fisher
from nasjax.nn.readers import Signs as Signs
from nasjax.nn.readers import observe as observe
from nasjax.nn.readers import split_readers as split_readers

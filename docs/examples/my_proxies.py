"""Two proxies of our own: the first reads a pass that others read too, the second brings one of its own."""

import dataclasses
import math

import jax.numpy as jnp

from nasjax import proxies
from nasjax.proxies.pass_base import CustomPass


def grad_log(*, preset="nbsz", init="torch"):
    """``sum_l log ||dL/dW_l||_2`` on one batch: gradients that vanish in one layer show. Higher is better."""
    del preset  # both protocols agree
    gradients = proxies.GradientPass(init=init, num_batches=1)

    def finish(facts):
        norms = facts.stats[gradients]["layers"]["grad_norm"][facts.layers.active]
        score = sum(math.log(norm) if norm > 0 else -math.inf for norm in norms)
        return proxies.Value(score, score)

    return proxies.Proxy("grad_log", (("init", init),), (gradients,), finish)


@dataclasses.dataclass(frozen=True)
class SpreadPass(CustomPass):
    """How far the logits of the images of one batch lie apart."""

    def measure(self, space, variables, arch, images, labels, *, key=None, fixed=None):
        """Statistics of one architecture; see `CustomPass.measure`."""
        logits = space.apply(variables, arch, images[0]).logits
        return {"spread": jnp.std(logits, axis=0).mean()}


def logit_spread(*, preset="nbsz", init="torch", repeats=None):
    """``log mean_k std_i(logit_k of image i)``, over 1 initialisation (nbsz) or 8 (paper). Higher is better."""
    repeats = repeats or (8 if preset == "paper" else 1)
    spread = SpreadPass(init=init, repeats=repeats)

    def finish(facts):
        raw = float(facts.stats[spread]["spread"].mean())
        return proxies.Value(math.log(raw) if raw > 0 else -math.inf, raw)

    return proxies.Proxy("logit_spread", (("init", init), ("repeats", repeats)), (spread,), finish)


proxies.register("grad_log", grad_log, replace=True)
proxies.register("logit_spread", logit_spread, replace=True)

# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/_OWNER_/nasjax/blob/main/notebooks/own_flax_model.ipynb)
#
# # Score your own Flax model
#
# `nasjax.score_model` scores any JAX function: Flax Linen, Flax NNX or plain. Nothing in the model changes; its layers
# and activations are found in the traced program. Here: one Linen model, one NNX model, then a family of candidates,
# ranked.
#
# **What to expect.** It took 65 s of processor time on one core of a busy Xeon, compilation included. No accelerator
# was timed. A score has no unit and says nothing alone: only the order of models on the same images counts, higher is
# better. The models run on one device, one after the other, and each is compiled by itself, which is most of the time.

# %% [markdown]
# ## Install
#
# In Colab, choose the kind of device by Runtime > Change runtime type first. If pip asks for a restart, restart the
# session and run from the top.

# %%
# Installs nasjax where it is missing; elsewhere this cell does nothing.
import glob
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys

REPOSITORY = "https://github.com/_OWNER_/nasjax"
if importlib.util.find_spec("nasjax") is None:
    there = {package.name for package in importlib.metadata.distributions()}
    if glob.glob("/dev/accel*") or glob.glob("/dev/vfio/[0-9]*"):
        jax_kind = "jax[tpu]"
    elif shutil.which("nvidia-smi"):
        jax_kind = "jax[cuda13]" if "jax-cuda13-plugin" in there else "jax[cuda12]"
    else:
        jax_kind = "jax"
    wanted = [f"nasjax @ git+{REPOSITORY}", f"{jax_kind}>=0.10"]
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *wanted], check=True)

# %%
import os

import flax.linen as nn
import jax
from flax import nnx

import nasjax
from nasjax import notebook

SMOKE = bool(os.environ.get("SMOKE_TEST"))  # a small, quick run, as the tests do
print(notebook.about())

# %% [markdown]
# ## A Linen model
#
# Any module will do. `init` gives the parameters, `apply` is the function that is scored.

# %%


class Net(nn.Module):
    """Convolutions with group norm, steps of two where the width doubles, mean over the pixels, a classifier."""

    width: int = 16
    depth: int = 3
    activation: str = "relu"

    @nn.compact
    def __call__(self, x):
        for layer in range(self.depth):
            wide, step = self.width * 2 ** min(layer, 2), 2 if 0 < layer < 3 else 1
            x = nn.Conv(wide, (3, 3), strides=step, use_bias=False)(x)
            x = getattr(nn, self.activation)(nn.GroupNorm(num_groups=2)(x))
        return nn.Dense(10)(x.mean((1, 2)))


batches = nasjax.data.load("photos", batch_size=8 if SMOKE else 32, image_size=8 if SMOKE else 32)
proxies = ("lswag", "zico", "nwot", "params")
net = Net(width=4, depth=2) if SMOKE else Net()
params = net.init(jax.random.key(0), batches.images[0])

# %%
with notebook.progress("Scoring"):
    result = nasjax.score_model(net.apply, params, batches, proxies, name="linen")
result.table()

# %% [markdown]
# With batch norm, hand over `lambda v, x: net.apply(v, x, mutable=["batch_stats"])`; keep dropout off.
#
# ## An NNX model
#
# `nnx.split` takes the parameters out, `nnx.merge` puts them back.

# %%


class Block(nnx.Module):
    """The same kind of network in NNX, two layers."""

    def __init__(self, width, *, rngs):
        self.first = nnx.Conv(3, width, (3, 3), rngs=rngs)
        self.second = nnx.Conv(width, 2 * width, (3, 3), strides=2, rngs=rngs)
        self.head = nnx.Linear(2 * width, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.first(x))
        return self.head(nnx.gelu(self.second(x)).mean((1, 2)))


graphdef, weights, rest = nnx.split(Block(4 if SMOKE else 16, rngs=nnx.Rngs(0)), nnx.Param, ...)


def apply_nnx(weights, images):
    """Logits of images, by these weights."""
    return nnx.merge(graphdef, weights, rest, copy=True)(images)


# %%
with notebook.progress("Scoring"):
    result = nasjax.score_model(apply_nnx, weights, batches, proxies, name="nnx")
result.table()

# %% [markdown]
# ## Several candidates
#
# A candidate is a name with its function and parameters. Look first at what is found in them: weight layers,
# activations, sizes. A layer that is missing here would be missing in the scores.

# %%
shapes = [(4, 2, "relu")] if SMOKE else [
    (8, 2, "relu"), (8, 4, "relu"), (16, 2, "relu"), (16, 4, "relu"), (16, 4, "gelu")
]  # fmt: skip
models = {"nnx": (apply_nnx, weights)}
for width, depth, activation in shapes:
    net = Net(width, depth, activation)
    params = net.init(jax.random.key(0), batches.images[0])
    models[f"width {width}, depth {depth}, {activation}"] = (net.apply, params)
nasjax.own_model.describe_models(models, batches)

# %% [markdown]
# All scores go into one store, `scores.sqlite`, with `scores.csv` and `report.html` beside it. The same call, made
# again after an interruption, goes on from there; a model that was changed is scored anew.

# %%
with notebook.progress("Scoring") as shown:
    result = nasjax.score_models(models, batches, proxies, workdir="runs/own_models", progress=shown)
table = result.table()
table.iloc[result.ranking("lswag")].drop(columns=["valid", "reason"])

# %%
with notebook.progress("Reading what the store has"):
    again = nasjax.score_models(models, batches, proxies, workdir="runs/own_models")
assert again.table().equals(table)
sorted(os.listdir("runs/own_models"))

# %% [markdown]
# Do the proxies agree with each other? Where they do not, look twice.

# %%
table[list(result.scores)].corr(method="spearman").round(2)

# %% [markdown]
# `params` is among the proxies because size alone is a hard rival. When this was written, the six models had a
# Spearman correlation with `params` of .93 (lswag), .99 (zico) and .75 (nwot): nwot follows size least, and only
# trained accuracies could tell which is right.
#
# ## Scale up
#
# - Your own images, of the size the model will see: `nasjax.data.load("npz:mine.npz#train", image_size=224)`.
# - More proxies: `proxies="all"` takes those that every model can serve; some need a further function of the model
#   (`init_fn`, `features_fn`, `norm_free_fn`): `docs/own_model.md` has the table.
# - Other tasks: `nasjax.own_model.Model(apply_fn, params, loss_fn=...)`, with targets of any form.
# - Train a few of the candidates and measure how well the order holds: `nasjax.metrics.spearman(scores, accuracies)`.
# - A family with thousands of members is better a search space: one compiled program, all devices. `docs/spaces.md`.

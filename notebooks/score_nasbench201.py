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
# # Score NAS-Bench-201 without training
#
# Sample cells, score them with several proxies, rank them, and see how well the ranking agrees with the accuracies that
# the cells reach after 200 epochs. Runs on a CPU in a few minutes; choose a GPU or TPU runtime in Colab for more cells.
#
# Install first, from a checkout of the repository: `pip install .` (`'.[cuda]'` on a GPU, `'.[tpu]'` on a TPU).

# %%
import os

import jax
from IPython.display import Image, display

import nasjax
from nasjax import correlation, figures, report

SMOKE = bool(os.environ.get("SMOKE_TEST"))  # a small, quick run, as the tests do
print("jax", jax.__version__, "on", jax.devices())

# %% [markdown]
# ## The space, the images, the cells
#
# The search space is one object for all 15,625 cells; an architecture is six integers. Images are built in here;
# `npz:FILE` and `folder:DIR` read your own.

# %%
size = {"channels": 4, "cells": 1} if SMOKE else {"channels": 16, "cells": 5}
batches = nasjax.data.load("photos", batch_size=16 if SMOKE else 64)
space = nasjax.get_space("nasbench201", num_classes=batches.num_classes, image_size=batches.image_size, **size)

known = nasjax.data.tables.load("nasbench201")
sample = known.sample(8 if SMOKE else 48, random_state=0)
archs = space.decode(list(sample["arch"]))
print(archs.shape, "e.g.", space.encode(archs[:1])[0])

# %% [markdown]
# ## Score
#
# The first call compiles one program; it serves every further cell. The key decides the initial weights: each cell has
# its own, whatever else is scored beside it.

# %%
proxies = ("params", "nwot", "zico", "lswag")
result = nasjax.score(space, archs, batches, proxies=proxies, key=jax.random.key(0))
table = result.table()
table.iloc[result.ranking("lswag")[:5]]

# %% [markdown]
# ## Does the ranking agree with the accuracies?
#
# Spearman's correlation with a 95 % bootstrap interval, Kendall's tau-b, the share of the best tenth that is found, and
# what is lost by trusting the favourite.

# %%
found = correlation.correlate(table, known, columns=["cifar10_test"], num_bootstrap=50 if SMOKE else 1000)
found.table

# %%
panels = []
for proxy in found.proxies:
    row = found.row(proxy, "cifar10_test")
    shown = (row["spearman"], row["kendall"], (row["low"], row["high"]))
    panels.append(figures.Panel(proxy, *found.pair(proxy, "cifar10_test"), *shown))
display(Image(report.png(figures.scatter_grid(panels, target="cifar10_test")), width=720))

# %% [markdown]
# ## Next
#
# - Your own images: `nasjax.data.load("folder:pets", image_size=32)`.
# - All cells, with a store that survives a crash: `python -m launch.score --archs=all --workdir=runs/all`.
# - What each proxy computes: `docs/proxies.md`.

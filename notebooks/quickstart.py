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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/_OWNER_/nasjax/blob/main/notebooks/quickstart.ipynb)
#
# # Quickstart: score NAS-Bench-201 without training
#
# Sample cells, score them with four proxies, rank them, and see how well the ranking agrees with the accuracies that
# the cells reach after 200 epochs of training.
#
# **What to expect.** It took 59 s of processor time on one core of a busy Xeon, half of it compilation. No accelerator
# was timed. A correlation of 1 would mean that the proxy puts all cells in the order of their true accuracies, 0 that
# it knows nothing. With 100 cells the intervals are wide: two proxies whose intervals overlap are not told apart. The
# number of parameters is no bad proxy itself, and what another one adds to it is the question.

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

import jax

import nasjax
from nasjax import correlation, notebook

SMOKE = bool(os.environ.get("SMOKE_TEST"))  # a small, quick run, as the tests do
print(notebook.about())

# %% [markdown]
# ## The space, the images, the cells
#
# The search space is one object for all 15,625 cells; an architecture is six integers. The images are built in;
# `npz:FILE` and `folder:DIR` read your own. The table holds 12,134 cells of known accuracy. The networks have one cell
# a stage here, so that a CPU will do; those that were trained have five.

# %%
size = {"channels": 4, "cells": 1, "image_size": 8} if SMOKE else {"channels": 16, "cells": 1, "image_size": 32}
batches = nasjax.data.load("photos", batch_size=8 if SMOKE else 32, image_size=size["image_size"])
space = nasjax.get_space("nasbench201", num_classes=batches.num_classes, **size)

known = nasjax.data.tables.load("nasbench201")
sample = known.sample(8 if SMOKE else 100, random_state=0)
archs = space.decode(list(sample["arch"]))
print(batches)
print(archs.shape, "e.g.", space.encode(archs[:1])[0])

# %% [markdown]
# ## Score
#
# The first call compiles one program; it serves every further cell, and all devices share the cells. The key decides
# the initial weights: each cell has its own, whatever else is scored beside it.

# %%
proxies = ("params", "nwot", "zico", "lswag")
with notebook.progress("Scoring") as shown:
    result = nasjax.score(space, archs, batches, proxies=proxies, key=jax.random.key(0), progress=shown)
table = result.table()
table.iloc[result.ranking("lswag")[:5]]

# %% [markdown]
# A cell without a path from input to output is dead: its scores are marked as not valid, with the reason, and ranked
# last.
#
# ## Does the ranking agree with the accuracies?
#
# Spearman's correlation with a 95 % bootstrap interval (`low`, `high`), Kendall's tau-b, the share of the best tenth
# that is found (`precision`), and what is lost by trusting the favourite (`regret`, in points of accuracy).

# %%
found = correlation.correlate(table, known, columns=["cifar10_test"], num_bootstrap=50 if SMOKE else 1000)
found.table

# %% [markdown]
# A point is a cell, the best tenth by accuracy in the second colour. When this was written, 99 cells were valid, and
# rho was .73 (.60 to .83) for lswag, .71 (.59 to .80) for zico, .67 (.55 to .78) for params and .67 (.52 to .79) for
# nwot: all intervals overlap, so this sample tells none of them apart.

# %%
notebook.show(found.figure())

# %% [markdown]
# ## Scale up
#
# - The networks that were trained: `cells=5`, and batches of 64.
# - All cells: `archs = space.all()`, with a store that survives a crash: `nasjax.score(...,
#   store=nasjax.records.Store.open("runs/all"))`; or `python -m launch.score --archs=all --workdir=runs/all`. The same
#   call goes on where it was stopped.
# - Your own images: `nasjax.data.load("folder:pets", image_size=32)`, `"npz:cifar10.npz#train"`.
# - More proxies: `proxies="all"`. What each computes, costs and where it fails: `docs/proxies.md`.
# - On accelerators `precision="fast"` uses their quick products; scores then differ in the last digits.
# - Several machines, SLURM, TPU pods: `docs/scaling.md`.

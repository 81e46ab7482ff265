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
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/_OWNER_/nasjax/blob/main/notebooks/das.ipynb)
#
# # DAS: images into videos
#
# DAS (Casarin et al., CVPR 2024) searches for transformations that turn an image into a short video, so that a 2-D
# network with temporal shifts sees more of it. Here: the cell, a search on built-in photographs, the frames that it
# chose, training beside two baselines, and the receptive fields.
#
# **What to expect.** It took 185 s of processor time on one core of a busy Xeon, compilation included. No accelerator
# was timed. The task is small and easy on purpose: 32x32 crops of ten photographs. Accuracies of a few epochs on it
# show that everything runs, and not which method is better; `docs/results.md` has longer comparisons.

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
import numpy as np

import nasjax
from nasjax import das, notebook
from nasjax.das import figures, train_figures

SMOKE = bool(os.environ.get("SMOKE_TEST"))  # a small, quick run, as the tests do
print(notebook.about())

# %% [markdown]
# ## Images and cell
#
# An edge of the cell mixes operations, a node sums its edges, the last node is the video. Level 0 is the image as it
# is, and operations grow with the level. Two nodes with five edges keep the search short; the paper's cell has four,
# with 14 edges. Half of the images train the network, the other half decide between the operations.

# %%
size = 8 if SMOKE else 32
images = nasjax.data.load_dataset("photos", image_size=size, num_images=32 if SMOKE else 160)
halves = das.SearchData.of(jax.random.key(0), images)
shape = {"num_frames": 2, "num_nodes": 1, "num_inputs": 1} if SMOKE else {"num_frames": 4, "num_nodes": 2}
cell = das.preset("geometric5", **shape, mean=images.mean, std=images.std)
print(f"{len(cell.edges)} edges, operations {', '.join(cell.names)}, levels {cell.levels}")

# %% [markdown]
# ## Search
#
# In turns, the weights of the network and those of the operations descend the loss. Then operations are chosen one by
# one: that whose removal hurts most stays. All devices share every batch, so its size is a multiple of their number.

# %%
tiny = {"width": 8, "stages": (1,)}
network = das.linen_network(das.resnet(10, num_classes=10, stem="cifar", temporal="tsm" if SMOKE else "gsf",
                                       **(tiny if SMOKE else {"width": 8})))  # fmt: skip
config = das.SearchConfig(epochs=1 if SMOKE else 2, interval=1, batch_size=8 if SMOKE else 40)
with notebook.progress("Searching") as shown:
    found = das.search(cell, halves, network, key=jax.random.key(1), config=config, devices=None, progress=shown)
print(found.genotype)
found.table().round(3)

# %% [markdown]
# The weight of every operation over the epochs; a ring marks what was chosen, edges without one were dropped. With so
# few epochs the weights hardly move: the choice is that of the removals.

# %%
notebook.show(figures.alpha_figure(found))

# %% [markdown]
# ## The frames
#
# What the network sees: an image a row, its frames from left to right.

# %%
videos = das.apply_cell(found.genotype, jax.numpy.asarray(halves.valid_images[:4]))
notebook.show(figures.frames_figure(videos * np.array(images.std) + np.array(images.mean), cell.levels))

# %% [markdown]
# ## Train it
#
# From scratch, with the chosen frames (`das`), with copies of the image (`identity`), and the 2-D network alone
# (`2d`). A video of four frames costs four times the image.

# %%
test = nasjax.data.load_dataset("photos", split="test", image_size=size, num_images=16 if SMOKE else None)
options = {"network": "resnet10", "options": tuple((tiny if SMOKE else {"width": 8}).items())}
if SMOKE:
    options["temporal"] = das.TemporalConfig(kind="tsm")
recipe = das.recipe(epochs=1 if SMOKE else 10, batch_size=8 if SMOKE else 40)
plan = das.DASTrainConfig(recipe=recipe, **options)
trained = {}
for variant in ("das", "2d") if SMOKE else ("das", "identity", "2d"):
    with notebook.progress(variant) as shown:
        trained[variant] = das.train(found.genotype, images, test, key=jax.random.key(2), config=plan,
                                     variant=variant, devices=None, progress=shown)  # fmt: skip

# %%
notebook.show(train_figures.curves_figure({name: t.fitted.history for name, t in trained.items()}, measure="accuracy"))

# %% [markdown]
# When this was written, the three ended at 44 % (das), 40 % (identity) and 42 % (2d) of 160 test images. One such
# share is uncertain by about 8 points, so they are not told apart. `identity` tells what copies of the image and the
# temporal modules bring by themselves; without it a gain could not be credited to the frames.
#
# ## Receptive fields
#
# Which pixels of the image move the centre of the last feature map, measured through the cell. The circles hold 50 and
# 90 % of the sum.

# %%
pictures = test.images(np.arange(8 if SMOKE else 60))
fields = {name: t.field(pictures) for name, t in trained.items()}
notebook.show(train_figures.field_figure(fields))

# %% [markdown]
# When this was written, the three fields were about equally large: half of the sum within 9.6 (das), 9.3 (identity)
# and 9.9 pixels (2d). The field of `das` is taken with respect to the image, so it includes what the transformations
# bring in from elsewhere; this cell moves pixels by a few only.
#
# ## Scale up
#
# - The settings of the paper's code, on CIFAR-10: `das.preset("geometric5")` with 8 frames, `das.resnet(18,
#   width=64)`, `das.SearchConfig()` (50 epochs and 5 after each choice), `das.recipe()` (120 epochs). From the command
#   line: `python -m launch.das_search`, `launch.das_train`, `launch.das_erf`.
# - Your own images: `nasjax.data.load_dataset("folder:pets", image_size=64)`.
# - `checkpoints="runs/states"` keeps the state of every epoch; the same call goes on after a stop.
# - Several seeds in one program: `das.search_seeds(..., keys=jax.random.split(key, 4))`.
# - Your own operations, segmentation: `docs/das.md`, `docs/das_networks.md`.

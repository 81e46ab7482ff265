"""Package metadata of nasjax. Tools are configured in pyproject.toml."""

import pathlib

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent

setup(
    name="nasjax",
    version="0.1.0",
    description="Neural architecture search in JAX: training-free scores of architectures, fast and reproducible.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The nasjax authors",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    packages=find_packages(include=["nasjax", "nasjax.*"]),
    package_data={"nasjax": ["py.typed"], "nasjax.data": ["assets/*"], "nasjax.report": ["assets/*"]},
    install_requires=[
        "absl-py>=2.1",
        "chex>=0.1.90",
        "flax>=0.12",
        "jax>=0.10",
        # The newest jraph is a pre-release; naming it lets pip choose it without --pre.
        "jraph>=0.0.6.dev0",
        "matplotlib>=3.9",
        "networkx>=3.2",
        "numpy>=2.0",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.11.30",
        "pandas>=2.2",
        "pillow>=11",
        "plotly>=6.0",
        "rich>=13.9",
        "scipy>=1.14",
        "tensorflow-datasets>=4.9.9",
    ],
    extras_require={
        "cuda": ["jax[cuda12]>=0.10"],
        "tpu": ["jax[tpu]>=0.10"],
        "test": [
            "hypothesis>=6.130",
            "ipykernel>=6.29",
            "jupytext>=1.16",
            "mypy>=1.15",
            "nbclient>=0.10",
            "nbformat>=5.10",
            "pytest>=8.3",
            "pytest-xdist>=3.6",
            "ruff>=0.11",
            "scikit-learn>=1.5",
            "selenium>=4.25",
        ],
        "notebooks": ["ipykernel>=6.29", "jupyterlab>=4.3", "jupytext>=1.16"],
        "docs": ["furo>=2024.8", "myst-parser>=4.0", "sphinx>=8.1"],
        "benchmark": ["scikit-learn>=1.5", "torch>=2.6"],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    keywords="jax neural-architecture-search zero-cost-proxy training-free automl",
)

"""How well predictors rank unseen architectures: training sizes, ablations, transfer, baselines, ceilings.

    python -m benchmarks.grasp_tables [--tables=sizes,ablation,baselines,nb101] [--seeds=5] [--out=FILE]

NAS-Bench-201 without leaks: one cell a group of functional duplicates, trained on some, measured on all others. Every
setting is trained for all seeds (and members of its ensemble) in one program; a finished one is a line of --out, and
is not computed again. --show prints Markdown tables of what is there.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np

from benchmarks import grasp_data
from benchmarks.grasp_data import CHEAP, Table, flat, nasbench101, nasbench201
from benchmarks.grasp_settings import EPOCHS, SIZES, TABLES, settings
from nasjax import grasp, metrics, search
from nasjax.cli import common
from nasjax.grasp import predictor
from nasjax.grasp.features import fit_scaling, inputs
from nasjax.hashing import array_fingerprint, fingerprint
from nasjax.types import InputError

KS = (1, 10, 50)
NAMES = {"spearman": "ρ", "precision@5%": "P@5 %", "precision@50": "P@50", "regret@10": "regret@10", "N@10": "N@10"}
_PRETRAINED_BY = ("pretrain", "pretrain_steps", "pretrain_rate", "pretrain_batch", "weight_decay")


def measure(data: Table, setting: dict[str, Any], seeds: int, cache: pathlib.Path) -> dict[str, Any]:
    """Trains a setting on all seeds, and compares with every target."""
    config = grasp.PredictorConfig().with_options(**setting["options"])
    source = setting.get("source", "cifar10")
    parts = grasp.splits(data.groups, setting["num"], range(seeds))
    rows = np.stack([part.train for part in parts])
    begin = time.perf_counter()
    made = inputs(data.graphs, config.features, config.model, fit_scaling(data.graphs, config.features.proxies))
    init = pretrained(data, config, made, seeds, cache)
    labels = data.targets[source][rows]
    models = predictor.fit_many(data.graphs, rows, labels, seeds=range(seeds), config=config, made=made, params=init)
    trained = time.perf_counter() - begin
    found = []
    for model, part in zip(models, parts, strict=True):
        test = jax.tree.map(lambda x, part=part: x[part.test], made)
        scores = model.predict_inputs(test).score
        found.append(compared(data, scores, part.test))
    return {"results": found, "seconds": trained, "score_seconds": time.perf_counter() - begin - trained}


def kronecker(tasks: dict[str, Table], setting: dict[str, Any], seeds: int) -> dict[str, Any]:
    """Trained on one task of the own benchmark, at an early or the last epoch; truth is the test accuracy of each task.

    Baselines are params, FLOPs, ridge and boosted trees on flat encodings, and the target itself: the training accuracy
    of the unseen, which no predictor knows.
    """
    source = setting["source"]
    own = tasks[source.split("_valid")[0]]
    parts = grasp.splits(own.groups, setting["num"], range(seeds))
    labels = own.targets[source]

    def row(scores: np.ndarray, part: Any) -> dict[str, Any]:
        return {
            task: grasp.evaluate(scores[part.test], data.targets[f"{task}_test"][part.test], ks=(1, 5, 10)).row()
            for task, data in tasks.items()
        }

    if setting.get("baselines"):
        from sklearn.ensemble import GradientBoostingRegressor
        from sklearn.linear_model import RidgeCV

        found: dict[str, list[Any]] = {}
        matrix = flat(own, proxies=True)
        for seed, part in enumerate(parts):
            known = matrix[part.train], labels[part.train]
            ridge = RidgeCV(np.logspace(-2, 4, 13)).fit(*known)
            trees = GradientBoostingRegressor(n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8,
                                              random_state=seed).fit(*known)  # fmt: skip
            made = {"the target itself": labels, **{name: own.graphs.proxies[name] for name in CHEAP},
                    "ridge, flat + costs": ridge.predict(matrix),
                    "boosted trees, flat + costs": trees.predict(matrix)}  # fmt: skip
            for name, scores in made.items():
                found.setdefault(name, []).append(row(np.asarray(scores, float), part))
        return {"baselines": found}
    config = grasp.PredictorConfig().with_options(**setting["options"])
    rows = np.stack([part.train for part in parts])
    models = grasp.fit_many(own.graphs, rows, labels[rows], seeds=range(seeds), config=config)
    return {"results": [row(model.score(own.graphs), part) for model, part in zip(models, parts, strict=True)]}


def pretrained(data: Table, config: Any, made: Any, seeds: int, cache: pathlib.Path) -> Any:
    """Pre-trained networks, which depend on no label: kept for all settings that share them."""
    if not config.train.pretrain_steps:
        return None
    train = config.train
    model = {name: value for name, value in config.describe()["model"].items() if name != "head"}
    about = {"model": model, "train": [getattr(train, name) for name in _PRETRAINED_BY], "members": config.members,
             "seeds": seeds, "table": data.name, "graphs": array_fingerprint(*made[:3])}  # fmt: skip
    file = cache / f"{fingerprint(json.loads(json.dumps(about)))[:24]}.npz"
    if file.exists():
        with np.load(file) as saved:
            leaves = {name: saved[name] for name in saved.files}
        return _unflat(leaves)
    params = predictor.pretrain(data.graphs, seeds=range(seeds), config=config, made=made)
    params = {name: part for name, part in params.items() if name.startswith(("layer", "norm"))}  # what carries over
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(file, **_flat(params))
    return params


def compared(data: Table, scores: np.ndarray, test: np.ndarray) -> dict[str, dict[str, float]]:
    """Metrics against every target of a table."""
    names = ("epochs_108",) if data.name == "nasbench101" else data.targets
    valid = None if data.validation is None else data.validation[test]
    usable = valid is not None and np.isfinite(valid).all()
    found = {}
    for name in names:
        known = np.isfinite(data.targets[name][test])
        use = valid if usable and known.all() and name == "cifar10" else None
        row = grasp.evaluate(scores[known], data.targets[name][test][known], ks=KS, validation=use).row()
        top = max(1, round(0.05 * known.sum()))
        row["precision@5%"] = metrics.precision_at_k(scores[known], data.targets[name][test][known], top)
        found[name] = row
    return found


def baselines(data: Table, num: int, source: str, seeds: int) -> dict[str, list[dict[str, Any]]]:
    """Scores without graph networks: costs, proxies, LIBRA, ridge and boosted trees."""
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.linear_model import RidgeCV

    alone, both = flat(data, proxies=False), flat(data, proxies=True)
    found: dict[str, list[dict[str, Any]]] = {}
    proxies = {name: np.where(np.isnan(v), np.nanmedian(v), v) for name, v in data.graphs.proxies.items()}
    for seed, part in enumerate(grasp.splits(data.groups, num, range(seeds))):
        y, train = data.targets[source][part.train], part.train

        def add(name: str, scores: np.ndarray, part: Any = part) -> None:
            found.setdefault(name, []).append(compared(data, np.asarray(scores, float)[part.test], part.test))

        add("params", proxies["params"])
        add("flops", proxies["flops"])
        taus = {name: metrics.kendall(values[train], y) for name, values in proxies.items()}
        best = max(taus, key=lambda name: -1.0 if np.isnan(taus[name]) else taus[name])
        add("best proxy on the training cells", proxies[best])
        if len(proxies) > 3:
            own = {name: values[train] for name, values in proxies.items()}
            choice = search.libra(own, y, own["params"], invalid="drop")
            merged = search.aggregate({n: proxies[n] for n in choice.proxies}, kind=choice.config.aggregation,
                                      signs=choice.signs)  # fmt: skip
            add("LIBRA chosen on the training cells", merged)
        for name, matrix in (("flat", alone), ("flat + proxies", both)):
            ridge = RidgeCV(np.logspace(-2, 4, 13)).fit(matrix[train], y)
            add(f"ridge, {name}", ridge.predict(matrix))
            trees = GradientBoostingRegressor(n_estimators=300, learning_rate=0.05, max_depth=3, subsample=0.8,
                                              random_state=seed).fit(matrix[train], y)  # fmt: skip
            add(f"boosted trees, {name}", trees.predict(matrix))
    return found


def ceilings(data: Table) -> dict[str, float]:
    """Tau of the true accuracies of one target as predictor of another, and of one training run as that of another."""
    first, *others = data.targets
    if data.name == "nasbench101":
        first, others = "epochs_108", [name for name in data.targets if name != "epochs_108"]
    found = {f"{first} and {name}": metrics.kendall(data.targets[first], data.targets[name]) for name in others}
    runs = grasp_data.runs(data) if data.name == "nasbench201" else []
    for i, one in enumerate(runs):
        for j, other in enumerate(runs[:i]):
            known = np.isfinite(one) & np.isfinite(other)
            found[f"runs {j} and {i} of {first} ({known.sum()} cells)"] = metrics.kendall(one[known], other[known])
    return found


def jobs(args: argparse.Namespace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for table in args.tables:
        found += settings(table)
        if table == "baselines":
            found += [{"table": table, "name": "", "options": {}, "num": num} for num in SIZES]
        if table.endswith("ceilings"):
            found.append({"table": table, "name": "", "options": {}, "num": 0})
        if table == "nb101_baselines":
            found += [{"table": table, "name": "", "options": {}, "num": num, "source": source}
                      for num in (100, 400) for source in EPOCHS]  # fmt: skip
    return found


def key(setting: dict[str, Any], seeds: int) -> str:
    return json.dumps({**setting, "seeds": seeds}, sort_keys=True)


def run(args: argparse.Namespace) -> None:
    done = {line["key"]: line for line in read(args.out)}
    data: dict[str, Table] = {}
    for setting in jobs(args):
        name = key(setting, args.seeds)
        if name in done or (args.sizes and setting["num"] not in args.sizes):
            continue
        same = next((line for line in done.values() if alike(line["setting"], setting)), None)
        if same is not None and json.loads(same["key"])["seeds"] == args.seeds:  # measured for another table
            done[name] = {**same, "key": name, "setting": setting}
            write(args.out, done[name])
            continue
        bench = "nb101" if setting["table"].startswith("nb101") else "nb201"
        encoding = setting.get("encoding")
        if setting["table"] == "kronecker":
            own = kronecker(grasp_data.kronecker(), setting, args.seeds)
            write(args.out, json.loads(json.dumps({"key": name, "setting": setting, **own})))
            print(f"kronecker {setting['source']} {setting['name'] or 'baselines'}", flush=True)
            continue
        which = bench + json.dumps(encoding)
        if which not in data:
            made = grasp.EncodeConfig(**encoding) if encoding else None
            data[which] = nasbench101() if bench == "nb101" else nasbench201(made)
        table = data[which]
        begin = time.perf_counter()
        if setting["table"].endswith("ceilings"):
            result: dict[str, Any] = {"ceilings": ceilings(table)}
        elif setting["table"].endswith("baselines"):
            source = setting.get("source", "cifar10")
            result = {"baselines": baselines(table, setting["num"], source, args.seeds)}
        else:
            result = measure(table, setting, args.seeds, args.out.with_suffix(".pretrained"))
        done[name] = json.loads(json.dumps({"key": name, "setting": setting, **result}))
        write(args.out, done[name])
        first = next(iter(result.get("results", [{}])[0]), None)
        tau = np.mean([r[first]["kendall"] for r in result["results"]]) if first else np.nan
        print(f"{setting['table']} {setting['num']} {setting.get('source', '')} {setting['name']}: tau {tau:.3f}, "
              f"{time.perf_counter() - begin:.0f} s", flush=True)  # fmt: skip


def alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two settings differ in nothing but their names."""
    names = ("num", "options", "source", "encoding")
    kinds = [(s["table"].endswith(("baselines", "ceilings")), s["table"].startswith("nb101")) for s in (one, other)]
    if kinds[0] != kinds[1] or kinds[0][0]:
        return False
    return json.dumps([one.get(n) for n in names], sort_keys=True) == json.dumps(
        json.loads(json.dumps([other.get(n) for n in names])), sort_keys=True
    )


def write(file: pathlib.Path, line: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")


def read(file: pathlib.Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def show(args: argparse.Namespace) -> None:
    """Prints Markdown tables."""
    rows = read(args.out)
    for table in TABLES:
        own = [row for row in rows if row["setting"]["table"] == table]
        if not own:
            continue
        if table.endswith("ceilings"):
            print(f"\n### {table}\n")
            for name, tau in own[0]["ceilings"].items():
                print(f"- {name}: tau {tau:.3f}")
            continue
        entries: list[tuple[str, int, str, list[Any]]] = []
        for row in own:
            setting = row["setting"]
            named = row["baselines"] if "baselines" in row else {setting["name"]: row["results"]}
            entries += [(n, setting["num"], setting.get("source", ""), found) for n, found in named.items()]
        targets = list(entries[0][3][0])
        print(f"\n### {table}\n")
        heads = ["Predictor", "Trained on", *(["Epochs"] if entries[0][2] else []), *(f"τ {t}" for t in targets)]
        shown = [m for m in NAMES if m in entries[0][3][0][targets[0]]]
        heads += [NAMES[m] for m in shown]
        print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for name, num, source, found in sorted(entries, key=lambda e: (e[1], e[2])):
            first = targets[0]
            cells = [name, str(num), *([source.removeprefix("epochs_")] if source else [])]
            cells += [spread([r[t]["kendall"] for r in found]) for t in targets]
            for m in shown:
                values = [r[first][m] for r in found]
                cells.append(f"{np.mean(values):.2f}" if m in ("regret@10", "N@10") else spread(values))
            print("| " + " | ".join(cells) + " |")


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {prefix: np.asarray(tree)}
    return {k: v for name, part in tree.items() for k, v in _flat(part, f"{prefix}/{name}" if prefix else name).items()}


def _unflat(leaves: dict[str, Any]) -> Any:
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *path, last = name.split("/")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[last] = leaf
    return tree


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.grasp_tables", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--tables", default=",".join(TABLES[:-1]), help="comma-separated (all but kronecker)")
    parser.add_argument("--sizes", default="", help="training sizes to measure, comma-separated (all)")
    parser.add_argument("--seeds", type=int, default=5, help="splits and trainings of each setting (5)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/grasp_tables.jsonl"), help="results")
    parser.add_argument("--show", action="store_true", help="print what is there as Markdown")
    args = parser.parse_args(argv)
    args.tables = args.tables.split(",")
    args.sizes = [int(word) for word in args.sizes.split(",") if word]
    unknown = [name for name in args.tables if name not in TABLES]
    if unknown or args.seeds < 1:
        parser.error(f"--tables: {', '.join(TABLES)}; --seeds at least 1")
    return args


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    if args.show:
        show(args)
        return 0
    common.enable_compile_cache()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    run(args)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(str(error))

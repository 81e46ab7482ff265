"""What `benchmarks.grasp_tables` measures: the settings of each table."""

from __future__ import annotations

from typing import Any

from benchmarks.grasp_data import CHEAP

SIZES = (78, 156, 469, 781, 1563)
EPOCHS = ("epochs_4", "epochs_12", "epochs_36", "epochs_108")
TABLES = ("ceilings", "nb101_ceilings", "baselines", "sizes", "ablation", "loss", "nb101_baselines", "nb101",
          "ablation469", "kronecker")  # fmt: skip
PROXIES = ("epe_nas", "fisher", "flops", "grad_norm", "grasp", "jacov", "l2_norm", "nwot", "params", "plain", "snip",
           "synflow", "zen")  # fmt: skip
PLAIN: dict[str, Any] = {}  # the published description, and the defaults of the library
FULL: dict[str, Any] = {
    "direction": "bi", "members": 5, "proxies": PROXIES, "head": 128, "batch": 128, "steps": 400,
    "loss": "listmle", "learning_rate": 3e-3,
    "pretrain": PROXIES, "pretrain_steps": 500,
}  # fmt: skip
COSTLY: dict[str, Any] = {"direction": "bi", "loss": "listmle", "proxies": CHEAP, "head": 128}


def settings(table: str) -> list[dict[str, Any]]:
    """The settings of a table: name, options, training size, source."""
    found: list[dict[str, Any]] = []

    def add(name: str, options: dict[str, Any], num: int, **more: Any) -> None:
        found.append({"table": table, "name": name, "options": options, "num": num, **more})

    if table == "sizes":
        for num in SIZES:
            add("published description (sym, mean, bt)", PLAIN, num)
            add("bi, listmle, ensemble of 5, proxies taught and read", FULL, num)
    if table in ("ablation", "ablation469"):
        num = 78 if table == "ablation" else 469
        bare = {"pretrain": (), "pretrain_steps": 0}
        one = {**FULL, "members": 1}
        add("full: bi, listmle, ensemble of 5, proxies taught and read", FULL, num)
        add("one network", one, num)
        add("one network - proxies read", {**one, "proxies": (), "head": 0}, num)
        add("one network - proxies taught", {**one, **bare}, num)
        add("one network - proxies", {**one, **bare, "proxies": (), "head": 0}, num)
        add("plain: sym, mean, bt, one network", PLAIN, num)
        add("plain + bi", {"direction": "bi"}, num)
        add("plain + ensemble of 5", {"members": 5}, num)
        add("plain - shapes", {"shapes": "none"}, num)
        add("plain + succ, global node (propagation of BRP-NAS)", {"direction": "succ", "readout": "global"}, num)
        add("plain + dead operations kept", {}, num, encoding={"drop_dead": False})
        add("one network, params and FLOPs alone", {**one, "pretrain": CHEAP, "proxies": CHEAP}, num)
        add("one network, bt", {**one, "loss": "bt"}, num)
        add("plain + global node", {"readout": "global"}, num)
        add("plain + skips as edges", {}, num, encoding={"skip": "contract"})
        add("plain + degrees and depth", {"degrees": True}, num)
        add("one network - bi (sym)", {**one, "direction": "sym"}, num)
    if table == "loss":
        for loss in ("bt", "hinge", "listmle", "lambdarank", "brp", "mse", "l1"):
            add(f"plain, {loss}", {"loss": loss}, 78)
            add(f"full - ensemble, {loss}", {**FULL, "members": 1, "loss": loss}, 78)
    if table == "kronecker":
        from nasjax.benchmark import reader, shipped

        rows = shipped.kronecker_table()
        last = int(rows["epoch"].max())
        for task in reader.tasks(rows):
            for source in (f"{task}_valid_e{max(1, last // 4)}", f"{task}_valid_e{max(1, last // 2)}", f"{task}_valid"):
                half = rows["arch"].nunique() // 2
                add("published description (sym, mean, bt)", PLAIN, half, source=source)
                add("published description without shapes", {"shapes": "none"}, half, source=source)
                add("bi, listmle, params and FLOPs read", COSTLY, half, source=source)
                add("", {}, half, source=source, baselines=True)
    if table == "nb101":
        full = {**FULL, "proxies": CHEAP, "pretrain": CHEAP, "members": 1}
        for num in (100, 400):
            for source in EPOCHS:
                add("published description (sym, mean, bt)", PLAIN, num, source=source)
                add("bi, listmle, params and FLOPs taught and read", full, num, source=source)
                if num == 100:
                    add("published description without shapes", {"shapes": "none"}, num, source=source)
    return found

"""Published latencies and energies."""

import numpy as np
import pandas as pd
import pytest

from nasjax.data import latency, tables
from nasjax.types import InputError

# Printed in the documentation of HW-NAS-Bench, for architecture 0 on CIFAR-10.
PRINTED = {
    "edgegpu_latency": 5.807418537139893,
    "edgegpu_energy": 24.226614330768584,
    "raspi4_latency": 10.481976820010459,
    "edgetpu_latency": 0.9571811309997429,
    "pixel3_latency": 3.60585,
    "eyeriss_latency": 3.64562,
    "eyeriss_energy": 0.6872827645,
    "fpga_latency": 2.57296,
    "fpga_energy": 18.01072,
}


def test_numbers_are_those_that_the_authors_print():
    cells = tables.load("nasbench201").set_index("arch_index")
    row = latency("nasbench201", "cifar10").set_index("arch").loc[cells.loc[0, "arch"]]
    for name, value in PRINTED.items():
        np.testing.assert_allclose(row[name], value, rtol=5.1e-5, err_msg=name)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16"])
def test_tables_agree_with_the_source(dataset, shared):
    source = {"imagenet16": "imagenet16_120"}.get(dataset, dataset)
    reference = pd.read_csv(shared / "data" / f"nasbench201_hw_{source}.csv.gz")
    names = tables.load("nasbench201").set_index("arch_index")["arch"]
    expected = reference.assign(arch=names[reference["arch_index"]].to_numpy()).set_index("arch")
    found = latency("nasbench201", dataset).set_index("arch")
    assert list(found.columns) == [c for c in expected.columns if c != "arch_index"]
    assert len(found) == 12_134
    np.testing.assert_allclose(found, expected.loc[found.index, found.columns], rtol=5.1e-5)


def test_chosen_columns_and_fresh_tables():
    table = latency("nasbench201", "imagenet16", columns=["raspi4_latency"])
    assert list(table.columns) == ["arch", "raspi4_latency"]
    table["raspi4_latency"] = 0
    again = latency("nasbench201", "imagenet16", columns="raspi4_latency")
    assert (again["raspi4_latency"] > 0).all()


def test_unknown_names():
    with pytest.raises(InputError, match="no latencies of the space 'nasbench101'; allowed: nasbench201; do: did you"):
        latency("nasbench101", "cifar10")
    with pytest.raises(
        InputError, match="on 'cifar'; allowed: cifar10, cifar100, imagenet16; do: did you mean cifar10"
    ):
        latency("nasbench201", "cifar")
    with pytest.raises(InputError, match="no column 'raspi_latency'.*do: did you mean raspi4_latency"):
        latency("nasbench201", "cifar10", columns=["raspi_latency"])

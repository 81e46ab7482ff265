"""Tests of nasjax.spaces.registry."""

import dataclasses
import sys
import types

import pytest

from nasjax.spaces import registry
from nasjax.types import InputError


@dataclasses.dataclass(frozen=True)
class _Toy:
    width: int = 4
    precision: str = "highest"
    derived: int = dataclasses.field(default=0, init=False)

    def __post_init__(self):
        if self.width < 1:
            raise InputError(f"width={self.width}; allowed: >= 1; do: widen")


@pytest.fixture
def toy(monkeypatch):
    module = types.ModuleType("toy_space_module")
    module.Toy = _Toy
    monkeypatch.setitem(sys.modules, "toy_space_module", module)
    monkeypatch.setitem(registry._SPACES, "toy", "toy_space_module:Toy")


def test_names_are_sorted(toy):
    assert {"nasbench201", "toy"} <= set(registry.names())
    assert list(registry.names()) == sorted(registry.names())


def test_options_reach_the_constructor(toy):
    assert registry.get_space("toy") == _Toy()
    assert registry.get_space("toy", width=7) == _Toy(width=7)


def test_lookup_is_lazy(monkeypatch):
    monkeypatch.setitem(registry._SPACES, "absent", "no_such_module_at_all:Space")
    assert "absent" in registry.names()
    with pytest.raises(ModuleNotFoundError):
        registry.get_space("absent")


@pytest.mark.parametrize("name", ["nasbench-201", "NASBench201", "nasbench20", "nasbench2001"])
def test_unknown_name_suggests_the_nearest(name):
    with pytest.raises(InputError, match="did you mean 'nasbench201'") as error:
        registry.get_space(name)
    assert repr(name) in str(error.value) and "allowed: " in str(error.value)


@pytest.mark.parametrize("name", ["zzz", "", None, 3, ["nasbench201"]])
def test_unknown_name_without_a_neighbour(name):
    with pytest.raises(InputError, match="is unknown; allowed: .*nasbench201.*; do: "):
        registry.get_space(name)


def test_unknown_option_suggests_the_nearest(toy):
    with pytest.raises(InputError, match="option 'widht' of space 'toy'.*allowed: width, precision.*'width'"):
        registry.get_space("toy", widht=3)


def test_unknown_option_without_a_neighbour(toy):
    with pytest.raises(InputError, match="leave it out"):
        registry.get_space("toy", qqq=3)


def test_unknown_precision(toy):
    with pytest.raises(InputError, match="toy: precision='best'; allowed are highest, high, default"):
        registry.get_space("toy", precision="best")


def test_derived_fields_are_no_options(toy):
    with pytest.raises(InputError, match="derived"):
        registry.get_space("toy", derived=3)


def test_the_space_judges_values(toy):
    with pytest.raises(InputError, match="width=0"):
        registry.get_space("toy", width=0)


def test_nasbench201():
    space = registry.get_space("nasbench201", channels=4, cells=1)
    assert (space.channels, space.cells, space.num_classes, space.image_size) == (4, 1, 10, 32)
    assert hash(space) == hash(registry.get_space("nasbench201", channels=4, cells=1))
    with pytest.raises(InputError, match="channels"):
        registry.get_space("nasbench201", chanels=4)


@pytest.mark.parametrize("name", registry.names())
def test_every_registered_space_knows_its_name(name):
    assert registry.get_space(name).name == name


def test_fields_that_are_no_options_are_refused():
    with pytest.raises(InputError, match="'branches' of space 'nasbench101' is unknown"):
        registry.get_space("nasbench101", branches=2)

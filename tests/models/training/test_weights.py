"""Weights told apart: a digest moves with any value, and tensors misfit where torch itself refuses them."""

import pytest
import torch

from models.training.weights import digest_of, misfits


def small() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))


def test_the_digest_tells_any_changed_weight_and_nothing_else() -> None:
    network = small().to(torch.bfloat16)
    before = digest_of(network)
    for weight in (network[0].bias, network[1].running_var, network[1].num_batches_tracked):
        with torch.no_grad():
            old = weight.clone()
            weight += 1
            assert digest_of(network) != before
            weight.copy_(old)
    assert digest_of(network) == before


@pytest.mark.parametrize(
    "change, said",
    [
        ({}, []),
        ({"0.bias": None}, ["0.bias is missing"]),
        ({"0.bias": torch.zeros(4)}, ["0.bias is (4,), not (3,)"]),
        ({"2.bias": torch.zeros(3)}, ["2.bias is unexpected"]),
        ({"1.bias": None, "2.bias": torch.zeros(3)}, ["1.bias is missing", "2.bias is unexpected"]),
    ],
)
def test_tensors_misfit_where_torch_does_not_load_them(change: dict, said: list[str]) -> None:
    network = small()
    found = {name: value for name, value in (network.state_dict() | change).items() if value is not None}
    assert misfits(found, network.state_dict()) == said
    if said:
        with pytest.raises(RuntimeError):
            network.load_state_dict(found)
    else:
        network.load_state_dict(found)

"""An ensemble's alignment: copies of one map come together, and what has nothing to align stays as it is."""

import torch

from models.segmenters.sod_diffusion import ensemble
from models.segmenters.sod_diffusion.ensemble import aligned, ensembled

PLACES = ((0.5, 0.1), (0.9, 0.0), (0.3, 0.6), (1.0, 0.0))


def a_map() -> torch.Tensor:
    """From 0 to 1, smooth."""
    made = torch.nn.functional.avg_pool2d(torch.rand(1, 44, 52, generator=torch.Generator().manual_seed(0)), 5, 1)[0]
    return (made - made.min()) / (made.max() - made.min())


def test_copies_of_other_scale_and_shift_come_together_and_their_median_is_the_map():
    whole = a_map()
    copies = torch.stack([scale * whole + shift for scale, shift in PLACES])
    torch.testing.assert_close(ensembled(copies), whole, atol=1e-5, rtol=0)
    both = aligned(copies.double())
    torch.testing.assert_close(both, both[:1].expand_as(both), atol=1e-5, rtol=0)


def test_noisy_copies_are_nearer_to_each_other_and_to_the_map_than_before():
    whole, generator = a_map(), torch.Generator().manual_seed(1)
    copies = torch.stack([scale * whole + shift for scale, shift in PLACES])
    copies += 0.02 * torch.randn(copies.shape, generator=generator)
    stretched = (copies - copies.amin((1, 2), keepdim=True)) / (
        copies.amax((1, 2), keepdim=True) - copies.amin((1, 2), keepdim=True)
    )
    assert aligned(copies.double()).std(dim=0).mean() < stretched.std(dim=0).mean() < copies.std(dim=0).mean()
    assert (ensembled(copies) - whole).abs().mean() < (copies.median(dim=0).values - whole).abs().mean() / 2


def test_the_regulariser_keeps_the_median_from_shrinking(monkeypatch):
    copies = a_map() + 0.3 * torch.rand(4, *a_map().shape, generator=torch.Generator().manual_seed(1))
    spans = []
    for strength in (ensemble.STRENGTH, 0.0):
        monkeypatch.setattr(ensemble, "STRENGTH", strength)
        median = aligned(copies.double()).median(dim=0).values
        spans.append((median.max() - median.min()).item())
    assert ensemble.STRENGTH == 0.0 and spans[0] > spans[1]


def test_a_value_that_is_no_number_is_not_hidden_by_the_others():
    whole = a_map()
    for wrong in (torch.nan, torch.inf):
        spoilt = whole.clone()
        spoilt[3, 4] = wrong
        assert not ensembled(torch.stack([whole, spoilt, whole])).isfinite().any()


def test_one_map_and_constant_ones_stay_as_they_are():
    whole = a_map()
    assert torch.equal(ensembled(whole[None]), whole)
    for value in (0.0, 0.4, 1.0):
        assert torch.equal(ensembled(torch.full((3, 6, 5), value)), torch.full((6, 5), value))
    empty = torch.zeros(2, *whole.shape)
    assert torch.equal(ensembled(torch.cat([empty, whole[None]])), empty[0])

"""What is timed on both sides is the same graph: with the same weights both give the same clean latents."""

import torch

from benchmarks.training.latency import SINGLE, Ours, Plain
from models.segmenters.diffdis.config import DiffDisConfig


def test_both_sides_find_the_same_clean_latents(tiny_folders):
    folder = tiny_folders["sd2"]  # of v-prediction, as the other side takes it to be
    own = Ours(DiffDisConfig.model_validate({"backbone": str(folder), "size": 64, "batch_size": 1} | SINGLE)).segmenter
    plain = Plain(folder, 64)
    own.network.unet.load_state_dict(plain.unet.state_dict())
    plain.context = own.context.expand(2, -1, -1)
    rgb, noisy = torch.randn_like(plain.noise), torch.randn_like(plain.noise).repeat(2, 1, 1, 1)
    own.network.eval()
    plain.unet.eval()
    with torch.no_grad():
        found = own.denoised(own.network, rgb, noisy, own.levels[:, None])
        expected = plain.clean(rgb, noisy)
    assert found.shape == (2, *plain.noise.shape[1:])
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)  # the one side's alpha_bar has two digits

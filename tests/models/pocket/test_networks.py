"""pocket's networks: Stable Diffusion's shape, the starts that make training fast, and pretraining end to end."""

import json
from pathlib import Path

import numpy as np
import torch

from models.backbone.facts import check_backbone
from models.pocket import networks, recipe, stages
from models.pocket.config import PretrainConfig
from models.pocket.export import MAX_BYTES, export, load_weights
from models.pocket.scenes import CLASSES, render


def test_the_autoencoder_starts_as_block_means() -> None:
    """Untrained, it already returns a picture's colours: what it gives correlates with the 8x8 means above 0.9."""
    images = np.stack([render(8, i).image for i in range(4)])
    x = recipe.to_tensor(images, torch.device("cpu"))
    with torch.no_grad():
        vae = networks.vae()
        y = vae.decode(vae.encode(x).latent_dist.mean).sample
    means = torch.nn.functional.avg_pool2d(x, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    assert np.corrcoef(y.flatten(), means.flatten())[0, 1] > 0.9


def test_the_denoiser_has_stable_diffusions_topology() -> None:
    unet = networks.unet()
    layers = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    assert len(layers) == 16 and len(unet.config.down_block_types) == 4
    assert unet.config.down_block_types[-1] == "DownBlock2D"


def test_an_untrained_denoiser_predicts_zero() -> None:
    text = networks.text_encoder()(torch.zeros(2, 5, dtype=torch.long)).last_hidden_state
    assert networks.unet()(torch.randn(2, 4, 16, 16), 10, text).sample.abs().max() == 0


def test_each_token_is_encoded_alone() -> None:
    """Without hidden layers a token's vector does not depend on its neighbours: no class leaks into padding."""
    encoder = networks.text_encoder()
    a, b = torch.tensor([[1, 2, 3]]), torch.tensor([[1, 9, 3]])
    first, second = encoder(a).last_hidden_state, encoder(b).last_hidden_state
    assert torch.equal(first[:, [0, 2]], second[:, [0, 2]]) and not torch.equal(first[:, 1], second[:, 1])


def test_judges_and_clip_take_what_they_are_given() -> None:
    image = torch.zeros(2, 3, 128, 128)
    assert networks.classifier()(image).shape == (2, len(CLASSES))
    assert networks.Oracle()(image, torch.tensor([0, 1])).shape == (2, 128, 128)
    clip = networks.clip()
    assert clip.encode_image(recipe.clip_input(image), normalize=True).shape == (2, 128)


def test_pretraining_makes_a_whole_backbone_from_nothing(tmp_path: Path) -> None:
    """Every network one or two steps long: the folder that comes out is one that a build accepts."""
    config = PretrainConfig(scenes=128, effort=0.0005, device="cpu")
    trained = {name: stages.train(name, tmp_path, config) for name in stages.TRAININGS}
    facts = stages.training_facts(tmp_path, config, "maskmill pretrain")
    judges = {name: trained[name] for name in ("classifier", "oracle")}
    vae = stages.trained_vae(tmp_path, config)
    folder = export(tmp_path / "weights", vae, trained["diffusion"], trained["clip"], judges, facts)
    found = check_backbone(str(folder))
    assert found.image_size == (128, 128) and found.latent_size == (16, 16)
    assert sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) <= MAX_BYTES
    assert json.loads((folder / "training.json").read_text())["networks"]["vae"]["steps"] == 1
    assert "maskmill pretrain" in (folder / "README.md").read_text()
    check_training_on(folder, tmp_path, config)


def check_training_on(folder: Path, tmp_path: Path, config: PretrainConfig) -> None:
    """From exported weights only the denoiser is trained; the other networks are the folder's, and the card says so."""
    config, run = config.model_copy(update={"start": folder}), tmp_path / "on"
    run.mkdir()
    (tmp_path / "scenes-0-128").rename(run / "scenes-0-128")
    trained = {name: stages.train(name, run, config) for name in stages.TRAININGS}
    for name, network in trained.items():
        before = load_weights(folder, name, stages._BUILDERS[name]()).state_dict()
        same = all(torch.equal(before[key], value) for key, value in network.state_dict().items())
        assert same == (name != "diffusion"), name
    facts = stages.training_facts(run, config, "maskmill pretrain --set start=...")
    assert list(facts["networks"]) == ["diffusion"] and set(facts["before"]["networks"]) == set(stages.TRAININGS)
    judges = {name: trained[name] for name in ("classifier", "oracle")}
    vae = stages.trained_vae(run, config)
    again = export(tmp_path / "again", vae, trained["diffusion"], trained["clip"], judges, facts)
    assert (again / "README.md").read_text().count("| network | steps |") == 2

"""Tasks of pocket's pretraining: render scenes, train each network, export the weights."""

from pathlib import Path

from tqdm import tqdm

from models.pocket.config import PretrainConfig
from tasks.base import task


@task(task_run_name="train-{name}")
def train_network(name: str, run: Path, config: PretrainConfig) -> None:
    """Train one network in the run folder; returns at once if its training is complete."""
    from models.pocket.stages import train, training_of

    steps = training_of(name, config).steps
    with tqdm(total=steps, desc=name, unit="step") as bar:

        def on_step(done: int, of: int, loss: float) -> None:
            bar.n = done
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update(0)

        train(name, run, config, on_step)


@task(name="render")
def render_scenes(run: Path, config: PretrainConfig) -> None:
    """Render the training scenes into the run folder."""
    from models.pocket.stages import scenes_of

    with tqdm(total=config.scenes, desc="scenes", unit="img") as bar:
        scenes_of(run, config, lambda done, of: bar.update(done - bar.n))


@task(name="latents")
def encode_scenes(run: Path, config: PretrainConfig) -> None:
    """Encode the scenes once with the finished autoencoder."""
    from models.pocket.stages import latents_of

    with tqdm(total=config.scenes, desc="latents", unit="img") as bar:
        latents_of(run, config, lambda done, of: bar.update(done - bar.n))


@task(name="export")
def export_weights(run: Path, out: Path, config: PretrainConfig) -> Path:
    """Write the weights folder with its model card."""
    from models.pocket.export import export
    from models.pocket.stages import train, trained_vae, training_facts

    networks = {name: train(name, run, config) for name in ("diffusion", "clip", "classifier", "oracle")}
    judges = {name: networks[name] for name in ("classifier", "oracle")}
    choices = [f"--set {k}={v}" for k, v in config.model_dump().items() if v != PretrainConfig.model_fields[k].default]
    facts = training_facts(run, config, " ".join(["maskmill pretrain", *choices]))
    return export(out, trained_vae(run, config), networks["diffusion"], networks["clip"], judges, facts)

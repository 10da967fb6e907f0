"""A training's pace is all that its configuration says of it."""

from models.segmenters.diffdis.config import DiffDisConfig
from models.segmenters.sod_diffusion.config import SodDiffusionConfig
from models.training.schedule import training_of


def test_diffdis_decays_by_epochs_and_its_labels_layers_learn_ten_times_as_fast():
    pace = training_of(DiffDisConfig(backbone="sd", epochs=3, save_every=5, patience=2), batches_per_epoch=7)
    assert (pace.steps, pace.epoch, pace.validate_every, pace.save_every, pace.patience) == (21, 7, 7, 5, 2)
    assert (pace.lr_schedule, pace.rates, pace.learning_rate) == ("stepped", {"unet.class_embedding": 10.0}, 3e-5)
    assert (pace.weight_decay, pace.max_grad_norm, pace.gradient_accumulation_steps, pace.warmup_steps, pace.ema) == (
        0.0,
        None,
        1,
        0,
        None,
    )


def test_sod_diffusion_clips_decays_its_weights_and_steps_once_in_eight_batches():
    pace = training_of(
        SodDiffusionConfig(backbone="sd", epochs=2, warmup_steps=4, lr_schedule="cosine"), batches_per_epoch=24
    )
    assert (pace.steps, pace.epoch, pace.validate_every, pace.gradient_accumulation_steps, pace.batch_size) == (
        6,
        3,
        3,
        8,
        4,
    )
    assert (pace.weight_decay, pace.max_grad_norm, pace.learning_rate) == (1e-2, 1.0, 3e-5)
    assert (pace.warmup_steps, pace.lr_schedule, pace.rates) == (4, "cosine", {})

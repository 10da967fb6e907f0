#!/usr/bin/env bash
# Packages: diffusers 0.42.1, torch 2.14.0, numpy 2.3.4. Date: 2026-12-01.
#
# Models that sample in few steps are used with timestep_spacing="trailing", where N steps of 1,000 noise levels are
# 1000 - k * 1000 / N, less 1. One would expect N levels from any N. For twelve N up to 300 (61, 103, 121, 122, 201, 206
# ...) DDIMScheduler, EulerDiscreteScheduler and DPMSolverMultistepScheduler make N + 1, the last of which is -1: the
# steps are taken by numpy.arange(1000, 0, -1000 / N), whose end 0 is reached by rounding.
# A level of -1 is read from the end of alphas_cumprod, the noisiest: DDIM, given the true noise at every step, ends
# near the true image, of values from -1 to 1, after 60 and 62 steps, and 311 away from it after 61.
# What works: leave the last level out where it is negative, or choose another number of steps.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet diffusers==0.42.1 torch==2.14.0 numpy==2.3.4 || exit 2
cat > show.py <<'P'
import sys
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

print("diffusers", version("diffusers"), "torch", version("torch"))
EXPECTED = [61, 103, 121, 122, 201, 206, 217, 223, 227, 233, 242, 244]
found = {}
for scheduler_class in (DDIMScheduler, EulerDiscreteScheduler, DPMSolverMultistepScheduler):
    found[scheduler_class] = []
    for steps in range(1, 301):
        scheduler = scheduler_class(timestep_spacing="trailing")
        scheduler.set_timesteps(steps)
        if len(scheduler.timesteps) != steps:
            assert len(scheduler.timesteps) == steps + 1 and scheduler.timesteps[-1] == -1
            found[scheduler_class].append(steps)
    print(f"  {scheduler_class.__name__}: one level too many for", found[scheduler_class])

clean = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 4)
errors = {}
for steps in (60, 61, 62):
    scheduler = DDIMScheduler(timestep_spacing="trailing", clip_sample=False)
    scheduler.set_timesteps(steps)
    alphas = scheduler.alphas_cumprod
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    first = alphas[scheduler.timesteps[0]]
    latents = first.sqrt() * clean + (1 - first).sqrt() * noise
    for t in scheduler.timesteps:
        latents = scheduler.step(noise, t, latents).prev_sample
    errors[steps] = float((latents - clean).abs().max())
    print(f"  DDIM by the true noise, {steps} steps, {len(scheduler.timesteps)} levels: largest error {errors[steps]:.3g}")
same = all(steps == EXPECTED for steps in found.values())
sys.exit(not (same and errors[61] > 100 and max(errors[60], errors[62]) < 0.5))
P
venv/bin/python show.py || exit 1

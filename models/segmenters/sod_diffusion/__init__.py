"""SOD-diffusion: masks denoised step by step."""

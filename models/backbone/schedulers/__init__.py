"""How latents are stepped from noise to clean ones, and what a scheduler's configuration must hold."""

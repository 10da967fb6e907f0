"""What the families on a UNet2DConditionModel share; each family is a file beside this folder."""

"""UNet and DeepLabV3 from segmentation_models_pytorch."""

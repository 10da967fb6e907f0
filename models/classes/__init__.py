"""Names of object classes, ImageNet's labels merged into categories, and the words of prompts."""

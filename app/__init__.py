"""The service: reads model bundles and turns seeds and latent vectors into images over HTTP."""

__version__ = "0.1.0"

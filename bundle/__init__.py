"""The model bundle: what training writes, the service reads, and both agree on."""

from bundle.errors import BundleError, BundleIntegrityError, ManifestError
from bundle.latents import classes_of, sample_latents
from bundle.manifest import MANIFEST_FILE, LatentSpec, Manifest
from bundle.reader import Bundle, read_bundle

__all__ = [
    "MANIFEST_FILE",
    "Bundle",
    "BundleError",
    "BundleIntegrityError",
    "LatentSpec",
    "Manifest",
    "ManifestError",
    "classes_of",
    "read_bundle",
    "sample_latents",
]

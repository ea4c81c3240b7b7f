"""What can be wrong with a model bundle.

BundleError
├── ManifestError           manifest.json is missing, not JSON, or does not say what it must
└── BundleIntegrityError    a file is missing, is not a plain file, or is not the one the manifest names
"""


class BundleError(Exception):
    """A folder cannot be used as a model bundle; the message says why, for the operator."""


class ManifestError(BundleError):
    """`manifest.json` is missing, unreadable, or breaks the schema."""


class BundleIntegrityError(BundleError):
    """A file of the bundle is missing, a link, tampered with, or keeps data outside itself."""

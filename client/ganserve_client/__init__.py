"""A typed client for ganserve: images from a generative adversarial network, the same for the same seed."""

from ganserve_client.animation import Animation
from ganserve_client.answer import ModelRef, Timings
from ganserve_client.async_client import AsyncClient
from ganserve_client.client import Client
from ganserve_client.errors import (
    ApiError,
    ClientError,
    FieldError,
    InvalidRequest,
    NoAnswer,
    NotFound,
    Problem,
    RateLimited,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from ganserve_client.generation import Generation, Grid, Image
from ganserve_client.inverses import Inverse, Inverses
from ganserve_client.models import ImageShape, Latent, LoadFailure, Model, Models, ModelVersions
from ganserve_client.options import DrawOptions, GenerateOptions, InterpolateOptions
from ganserve_client.scores import Score, Scores
from ganserve_client.version import VERSION

__version__ = VERSION

__all__ = [
    "Animation",
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "DrawOptions",
    "FieldError",
    "GenerateOptions",
    "Generation",
    "Grid",
    "Image",
    "ImageShape",
    "InterpolateOptions",
    "InvalidRequest",
    "Inverse",
    "Inverses",
    "Latent",
    "LoadFailure",
    "Model",
    "ModelRef",
    "ModelVersions",
    "Models",
    "NoAnswer",
    "NotFound",
    "Problem",
    "RateLimited",
    "Score",
    "Scores",
    "Timings",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "__version__",
]

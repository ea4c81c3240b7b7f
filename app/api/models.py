"""`GET /models`: what is served."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.api import openapi
from app.api.service import service_of
from app.catalogue import Catalogue, LiveModel

router = APIRouter(tags=["models"])

_MAX_CARD_BYTES = 2**20


@router.get("/models", **openapi.MODELS)
async def list_models(request: Request) -> Response:
    """Every model version being served, which one a request without `model` gets, and what could not be loaded."""
    service = service_of(request)
    service.lifecycle.require_ready()
    return JSONResponse(listing(service.registry.catalogue))


@router.get("/models/{name}", **openapi.MODEL)
async def get_model(request: Request, name: str) -> Response:
    """The versions of a model, or one version ("name@3"), each with its model card."""
    service = service_of(request)
    service.lifecycle.require_ready()
    catalogue = service.registry.catalogue
    chosen = catalogue.get(name)
    found = [
        model for model in catalogue.listed() if model is chosen or ("@" not in name and model.name == chosen.name)
    ]
    cards = await service.workers.run(_cards, [model.path for model in found])
    versions = [describe(model) | {"card": card} for model, card in zip(found, cards, strict=True)]
    return JSONResponse({"name": chosen.name, "default": chosen.label, "versions": versions})


def listing(catalogue: Catalogue) -> dict[str, Any]:
    """Everything in a catalogue: the default, the versions being served, and those that could not be loaded."""
    return {
        "default": catalogue.get(None).label,
        "models": [describe(model) for model in catalogue.listed()],
        "failed": [asdict(failure) for failure in catalogue.failed],
    }


def describe(model: LiveModel) -> dict[str, Any]:
    """A model version as its manifest tells it, with where it runs."""
    manifest = model.manifest
    told = manifest.model_dump(
        mode="json", include={"latent", "image", "classes", "truncation", "training", "metrics", "license", "created"}
    )
    return {
        "name": model.name,
        "version": model.version,
        "digest": model.digest,
        "provider": model.provider,
        "discriminator": model.discriminator is not None,
        "encoder": model.encoder is not None,
        "calibration": None if manifest.calibration is None else manifest.calibration.model_dump(mode="json"),
        **told,
    }


def _cards(folders: list[Path]) -> list[str | None]:
    return [_card(folder / "README.md") for folder in folders]


def _card(path: Path) -> str | None:
    """The text of a model card; None where a bundle has none. It is shown, never trusted."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_CARD_BYTES).decode("utf-8", "replace")
    except OSError:
        return None

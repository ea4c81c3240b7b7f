"""The OpenAPI document, as somebody who generates a client from it needs it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from app.api import responses, schemas
from app.api.problems import MEDIA_TYPE, TABLE, ProblemBody
from tests.app.api.conftest import Serve
from tests.fakes.client import AppClient

# Generated clients name their methods after these: a new name is a break.
OPERATIONS = {
    "POST /generate": "generate",
    "POST /interpolate": "interpolate",
    "POST /discriminate": "discriminate",
    "POST /invert": "invert",
    "GET /images/{model}/{seed}.{ext}": "getImage",
    "GET /models": "listModels",
    "GET /models/{name}": "getModel",
    "POST /admin/reload": "reload",
    "GET /livez": "livez",
    "GET /readyz": "readyz",
    "GET /healthz": "healthz",
    "GET /metrics": "metrics",
}
Request = schemas.GenerateRequest | schemas.InterpolateRequest | schemas.DiscriminateRequest | schemas.InvertRequest
REQUESTS: dict[str, type[Request]] = {
    "generate": schemas.GenerateRequest,
    "interpolate": schemas.InterpolateRequest,
    "discriminate": schemas.DiscriminateRequest,
    "invert": schemas.InvertRequest,
}
ANSWERS: dict[str, type[BaseModel]] = {
    "generate": responses.GenerateResponse,
    "interpolate": responses.InterpolateResponse,
    "discriminate": responses.DiscriminateResponse,
    "invert": responses.InvertResponse,
    "listModels": responses.ModelsResponse,
    "getModel": responses.ModelResponse,
    "reload": responses.ModelsResponse,
    "livez": responses.LiveResponse,
    "readyz": responses.ReadyResponse,
    "healthz": responses.ReadyResponse,
}
# Of JSON Schema 2020-12, what this document uses.
KEYWORDS = {
    "$ref", "additionalProperties", "anyOf", "const", "default", "description", "enum", "example", "examples",
    "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maximum", "maxItems", "maxLength", "minimum",
    "minItems", "minLength", "pattern", "properties", "required", "title", "type",
}  # fmt: skip


@pytest.fixture
def whole(serve: Serve) -> AppClient:
    """A client of an app that has every route."""
    return serve(admin=True)


@pytest.fixture
def document(whole: AppClient) -> dict[str, Any]:
    found: dict[str, Any] = whole.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def test_operations_keep_their_names(document: dict[str, Any]) -> None:
    assert {route: operation["operationId"] for route, operation in operations(document)} == OPERATIONS


def test_every_operation_says_what_it_does_at_length_and_in_short(document: dict[str, Any]) -> None:
    described = {tag["name"] for tag in document["tags"]}
    for route, operation in operations(document):
        assert operation["summary"], route
        assert operation["description"], route
        assert len(operation["tags"]) == 1, route
        assert set(operation["tags"]) <= described, route
        assert all(response["description"] for response in operation["responses"].values()), route


def test_every_parameter_is_described_with_its_type_and_an_example(document: dict[str, Any]) -> None:
    for route, operation in operations(document):
        parameters = operation.get("parameters", [])
        names = [parameter["name"] for parameter in parameters]
        assert len(names) == len(set(names)), route
        in_path = {parameter["name"] for parameter in parameters if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", route)), route
        for parameter in parameters:
            assert parameter["description"], parameter
            assert parameter["schema"]["type"] in {"string", "integer", "number"}, parameter
            assert "example" in parameter, parameter
            assert parameter["required"] is (parameter["in"] == "path"), parameter


def test_the_address_of_the_examples_leads_to_an_image_and_a_model(whole: AppClient, document: dict[str, Any]) -> None:
    for route in ("/images/{model}/{seed}.{ext}", "/models/{name}"):
        path = route
        for parameter in document["paths"][route]["get"]["parameters"]:
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
        assert whole.get(path.replace("mnist", "tiny")).status_code == 200


def test_every_body_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    bodies = {
        operation["operationId"]: operation["requestBody"]["content"]["application/json"]
        for _, operation in operations(document)
        if "requestBody" in operation
    }
    assert set(bodies) == set(REQUESTS)
    for name, body in bodies.items():
        assert body["examples"]
        for example in body["examples"].values():
            assert example["summary"]
            schemas.validate(REQUESTS[name], example["value"], max_images=64)


def test_every_answer_in_text_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    found = {}
    for route, operation in operations(document):
        for media_type, content in operation["responses"]["200"]["content"].items():
            assert content["schema"], route
            if media_type in {"application/json", "text/plain"}:
                found[operation["operationId"]] = content["example"]
    assert set(found) == set(OPERATIONS.values()) - {"getImage"}
    for name, kind in ANSWERS.items():
        kind.model_validate(found[name])


@pytest.mark.parametrize(
    ("name", "asked", "body"),
    [
        ("generate", "POST /generate", {"seed": 42, "class_id": 1}),
        ("interpolate", "POST /interpolate", {"seeds": [1, 2], "steps": 2}),
        ("listModels", "GET /models", None),
        ("getModel", "GET /models/tiny", None),
        ("reload", "POST /admin/reload", None),
        ("livez", "GET /livez", None),
        ("readyz", "GET /readyz", None),
        ("healthz", "GET /healthz", None),
    ],
)
def test_an_example_has_the_fields_of_the_answer(
    whole: AppClient, document: dict[str, Any], name: str, asked: str, body: object
) -> None:
    def shape(value: object) -> object:
        """What is where, but for names that are data: a metric's, a parameter's."""
        if isinstance(value, dict):
            return {key: shape(item) for key, item in value.items() if key not in {"metrics", "parameters"}}
        return [shape(item) for item in value[-1:]] if isinstance(value, list) else None

    answer = whole.request(*asked.split(), json=body, headers={"Accept": "application/json"})
    example = next(
        operation["responses"]["200"]["content"]["application/json"]["example"]
        for _, operation in operations(document)
        if operation["operationId"] == name
    )
    assert shape(answer.json()) == shape(example)


def test_the_example_of_discriminate_is_scored(whole: AppClient, document: dict[str, Any]) -> None:
    operation = document["paths"]["/discriminate"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    answer = whole.post("/discriminate", json=example)
    assert answer.status_code == 200
    told = operation["responses"]["200"]["content"]["application/json"]["example"]
    assert set(answer.json()["results"][0]) == set(told["results"][0])


def test_the_example_of_invert_is_inverted(whole: AppClient, document: dict[str, Any]) -> None:
    operation = document["paths"]["/invert"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    answer = whole.post("/invert", json=example | {"model": "mirror"})
    assert answer.status_code == 200
    told = operation["responses"]["200"]["content"]["application/json"]["example"]
    assert set(answer.json()["results"][0]) == set(told["results"][0])


def test_every_failure_shows_the_codes_that_it_can_have(document: dict[str, Any]) -> None:
    shown = set()
    for route, operation in operations(document):
        failures = {status: found for status, found in operation["responses"].items() if int(status) >= 400}
        assert failures, route
        for status, failure in failures.items():
            content = failure["content"][MEDIA_TYPE]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert content["examples"], (route, status)
            for code, example in content["examples"].items():
                problem = ProblemBody.model_validate(example["value"])
                assert (problem.code, str(problem.status)) == (code, status)
                shown.add(code)
            assert ("Retry-After" in failure.get("headers", {})) is (status in {"429", "503"}), (route, status)
    # 405 belongs to no operation, and nobody reads a 499.
    rows = {row.code for row in TABLE.values() if row.status not in {405, 499}}
    assert shown == rows | {"internal_error", "not_live"}


def test_schemas_are_in_the_words_of_json_schema(document: dict[str, Any]) -> None:
    def inside(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield schema
        below = [*schema.get("properties", {}).values(), *schema.get("anyOf", []), schema.get("items"),
                 schema.get("additionalProperties")]  # fmt: skip
        for one in below:
            if isinstance(one, dict):
                yield from inside(one)

    for name, schema in document["components"]["schemas"].items():
        for part in inside(schema):
            assert set(part) <= KEYWORDS, (name, set(part) - KEYWORDS)
    best_of = document["components"]["schemas"]["GenerateRequest"]["properties"]["best_of"]
    assert (best_of["minimum"], best_of["maximum"]) == (1, 16)


def test_where_keys_are_set_the_document_says_how_to_send_one(serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("a-key-that-is-long-enough\n")
    document = serve(api_keys_file=keys).get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert {name for item in document["security"] for name in item} == set(schemes)

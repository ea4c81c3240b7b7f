import re
from html.parser import HTMLParser
from typing import Any

import pytest

from app.api.problems import TABLE
from tests.app.api.conftest import Serve
from tests.fakes.client import AppClient


class Links(HTMLParser):
    """Every src and href of a page, and every script or style that is written into it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "action", "data", "poster"}]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open in {"script", "style"} and data.strip():
            self.inline.append(data)


def page(client: AppClient) -> Links:
    links = Links()
    links.feed(client.get("/docs").text)
    return links


def test_the_reference_names_no_other_host(client: AppClient) -> None:
    found = page(client)
    assert len(found.links) == 4
    for link in found.links:
        assert re.fullmatch(r"docs/assets/[a-z0-9.-]+", link), link
        assert client.get(f"/{link}").status_code == 200
    assert found.inline == []
    assert "//" not in client.get("/docs/assets/start.js").text


def test_a_browser_may_load_and_call_this_host_alone(client: AppClient) -> None:
    policy = client.get("/docs").headers["content-security-policy"]
    directives = {name: sources for name, *sources in (part.split() for part in policy.split(";"))}
    assert directives["default-src"] == ["'none'"]
    assert directives["script-src"] == directives["connect-src"] == ["'self'"]
    for sources in directives.values():
        assert set(sources) <= {"'self'", "'none'", "data:", "blob:", "'unsafe-inline'"}


def test_swagger_ui_asks_no_validator_elsewhere(client: AppClient) -> None:
    assert "validatorUrl: null" in client.get("/docs/assets/start.js").text


@pytest.mark.parametrize(
    ("name", "kind"),
    [("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "text/javascript"), ("favicon-32x32.png", "image/png")],
)
def test_the_assets_come_with_their_type(client: AppClient, name: str, kind: str) -> None:
    response = client.get(f"/docs/assets/{name}")
    assert response.headers["content-type"].startswith(kind)
    assert len(response.content) > 100


@pytest.fixture(scope="module")
def document(client: AppClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


def test_every_route_is_described(document: dict[str, Any]) -> None:
    assert set(operations(document)) == {
        "POST /generate", "POST /interpolate", "POST /discriminate", "POST /invert", "GET /images/{model}/{seed}.{ext}",
        "GET /models", "GET /models/{name}", "GET /livez", "GET /readyz", "GET /healthz", "GET /metrics",
    }  # fmt: skip


def test_every_operation_has_a_name_a_summary_and_a_tag(document: dict[str, Any]) -> None:
    described = {tag["name"] for tag in document["tags"]}
    names = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(names)) == len(names)
    for operation in operations(document).values():
        assert operation["summary"]
        assert set(operation["tags"]) <= described


def test_every_failure_is_described_as_a_problem(document: dict[str, Any]) -> None:
    for operation in operations(document).values():
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                schema = response["content"]["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}


def test_every_status_of_the_error_table_is_described(document: dict[str, Any]) -> None:
    described = {status for operation in operations(document).values() for status in operation["responses"]}
    # 405 belongs to no operation, and nobody reads a 499.
    assert {str(row.status) for row in TABLE.values()} - {"405", "499"} <= described


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(value: object) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*(references(item) for item in value.values()))
        if isinstance(value, list):
            return set().union(*(references(item) for item in value))
        return set()

    found = references(document)
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in document["components"]["schemas"]


def test_the_examples_of_generate_work(client: AppClient, document: dict[str, Any]) -> None:
    content = document["paths"]["/generate"]["post"]["requestBody"]["content"]["application/json"]
    for example in content["examples"].values():
        body = {key: min(value, 2) if key == "class_id" else value for key, value in example["value"].items()}
        assert client.post("/generate", json=body).status_code == 200


def test_the_reference_says_that_the_discriminator_is_optional(document: dict[str, Any]) -> None:
    assert "without a discriminator" in document["info"]["description"]


def test_metrics_move_to_a_port_of_their_own(serve: Serve) -> None:
    client = serve(metrics_port=9)
    assert client.get("/metrics").status_code == 404
    assert "/metrics" not in client.get("/openapi.json").json()["paths"]

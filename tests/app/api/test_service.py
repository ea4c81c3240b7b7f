import re

import pytest

from app.api.responses import ModelResponse, ModelsResponse, ReadyResponse
from tests.app.api.conftest import Serve
from tests.fakes.client import AppClient


def test_every_version_of_every_model_is_listed(client: AppClient) -> None:
    found = ModelsResponse.model_validate(client.get("/models").json())
    assert [f"{model.name}@{model.version}" for model in found.models] == [
        "lone@1",
        "mirror@1",
        "plain@1",
        "plain-mirror@1",
        "tiny@2",
        "tiny@1",
    ]
    assert found.default == "tiny@2"
    lone, mirror, plain, _, tiny, _ = found.models
    assert (mirror.encoder, tiny.encoder) == (True, False)
    assert (lone.discriminator, tiny.discriminator) == (False, True)
    assert (plain.classes, tiny.classes) == (None, ["zero", "one", "two"])
    assert (plain.image.channels, plain.image.width) == (3, 6)
    assert tiny.provider == "CPUExecutionProvider"


def test_a_model_tells_its_versions_and_shows_its_card(client: AppClient) -> None:
    found = ModelResponse.model_validate(client.get("/models/tiny").json())
    assert [version.version for version in found.versions] == [2, 1]
    assert found.default == "tiny@2"
    assert found.versions[0].card == "# tiny 2\n"


def test_one_version_of_a_model_can_be_asked_for(client: AppClient) -> None:
    found = ModelResponse.model_validate(client.get("/models/tiny@1").json())
    assert [version.version for version in found.versions] == [1]


def test_a_calibration_tells_how_its_scores_spread_where_the_bundle_does(client: AppClient) -> None:
    with_scores, without = (
        ModelResponse.model_validate(client.get(f"/models/{name}").json()).versions[0].calibration
        for name in ("tiny@1", "tiny@2")
    )
    assert with_scores is not None
    assert with_scores.scores is not None
    assert (with_scores.scores.real[10], with_scores.scores.n) == (0.1, 40)
    assert without is not None
    assert without.scores is None


def test_a_discriminator_that_is_switched_off_is_not_listed(serve: Serve) -> None:
    found = ModelsResponse.model_validate(serve(discriminator=False).get("/models").json())
    assert not any(model.discriminator for model in found.models)


def test_readiness_names_the_provider_in_use(client: AppClient) -> None:
    found = ReadyResponse.model_validate(client.get("/readyz").json())
    assert {model.provider for model in found.models} == {"CPUExecutionProvider"}
    assert client.get("/healthz").json() == client.get("/readyz").json()
    assert client.get("/livez").json() == {"status": "live"}


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_a_probe_is_never_cached(client: AppClient, path: str) -> None:
    assert client.get(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/livez", "/models", "/docs", "/metrics"])
def test_head_works_wherever_get_does(client: AppClient, path: str) -> None:
    response = client.request("HEAD", path)
    assert response.status_code == 200
    assert response.content == b""


@pytest.mark.parametrize("given", ["has space", "x" * 65, "", "a/b", "a\tb"])
def test_a_request_id_that_does_not_belong_in_a_log_is_replaced(client: AppClient, given: str) -> None:
    found = client.get("/livez", headers={"X-Request-Id": given}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", found)


def test_every_answer_has_an_id_and_may_not_be_sniffed(client: AppClient) -> None:
    ids = set()
    for path in ("/livez", "/nope", "/docs", "/images/tiny/1.png"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        ids.add(headers["x-request-id"])
    assert len(ids) == 4


def test_metrics_count_what_was_served(serve: Serve) -> None:
    client = serve()
    client.post("/generate", json={"n": 3, "include": ["realness"]})
    client.get("/images/tiny/1.png")
    client.post("/generate", json={})
    client.get("/some/path/that/is/not/there")
    text = client.get("/metrics").text
    for line in (
        'gan_requests_total{code="200",endpoint="/generate"} 1.0',
        'gan_requests_total{code="422",endpoint="/generate"} 1.0',
        'gan_requests_total{code="200",endpoint="/images/{model}/{seed}.{ext}"} 1.0',
        'gan_requests_total{code="404",endpoint="other"} 1.0',
        'gan_rejected_total{reason="invalid_request"} 1.0',
        'gan_images_total{model="tiny"} 4.0',
        'gan_realness_count{model="tiny"} 3.0',
        "gan_encode_seconds_count 2.0",
        "gan_queue_seconds_count 2.0",
        "gan_request_seconds_count 4.0",
        "gan_inflight_requests 0.0",
        "gan_ready 1.0",
    ):
        assert f"\n{line}\n" in text
    assert "not/there" not in text


def test_two_apps_in_a_process_do_not_share_metrics(serve: Serve) -> None:
    one, other = serve(), serve()
    one.post("/generate", json={"seed": 1})
    assert 'gan_images_total{model="tiny"} 1.0' in one.get("/metrics").text
    assert 'gan_images_total{model="tiny"} 0.0' in other.get("/metrics").text


def test_requests_are_logged_when_asked_for(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    serve().post("/generate", json={"seed": 1})
    assert not [record for record in caplog.records if record.message == "request"]
    serve(access_log=True).post("/generate", json={"seed": 1}, headers={"X-Request-Id": "find-me"})
    (line,) = [vars(record) for record in caplog.records if record.message == "request"]
    assert (line["method"], line["endpoint"], line["status"]) == ("POST", "/generate", "200")

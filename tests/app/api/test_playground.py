"""The playground's files: what a browser may load and do with them."""

import re
from importlib import resources
from pathlib import Path

import pytest

from app.api.playground import FILES
from tests.app.api.conftest import Serve
from tests.app.api.test_reference import Links
from tests.fakes.client import AppClient

KEY = "a-key-that-is-long-enough"


def text(client: AppClient, name: str) -> str:
    return str(client.get(f"/playground/{name}").text)


def test_the_home_page_is_the_playground(client: AppClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>ganserve playground</title>" in response.text


@pytest.mark.parametrize("path", ["/", *(f"/playground/{name}" for name in FILES)])
def test_a_browser_may_load_and_run_this_host_alone(client: AppClient, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 200
    policy = response.headers["content-security-policy"]
    directives = {name: sources for name, *sources in (part.split() for part in policy.split(";"))}
    assert directives["default-src"] == ["'none'"]
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == ["'self'"]
    assert directives["img-src"] == ["'self'", "blob:", "data:"]
    assert "unsafe" not in policy


def test_every_file_comes_with_its_type(client: AppClient) -> None:
    kinds = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    for name in FILES:
        found = client.get(f"/playground/{name}").headers["content-type"]
        assert found.startswith(kinds[name.rpartition(".")[2]]), name


def test_what_is_packaged_is_what_is_served() -> None:
    packaged = {Path(str(entry)).name for entry in resources.files("app").joinpath("web").iterdir()}
    assert packaged == {"index.html", *FILES}


def test_the_page_links_to_its_own_files_alone_and_has_nothing_inline(client: AppClient) -> None:
    found = Links()
    found.feed(client.get("/").text)
    assert found.inline == []
    elsewhere = [link for link in found.links if link not in {"docs", "#sheet"}]
    assert {link.removeprefix("playground/") for link in elsewhere} == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_host_or_runs_text(client: AppClient, name: str) -> None:
    content = text(client, name).replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert re.findall(r"https?://|url\(|@import|innerHTML|\beval\(|new Function|document\.write", content) == []


def test_every_module_that_a_module_imports_is_served(client: AppClient) -> None:
    for name in FILES:
        if name.endswith(".js"):
            assert set(re.findall(r'from "\./([^"]+)"', text(client, name))) <= set(FILES), name


@pytest.mark.parametrize("path", ["/", "/playground/application.js"])
def test_a_browser_that_has_a_file_is_told_so(client: AppClient, path: str) -> None:
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(path, headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("name", ["index.html", "other.js", "..%2Fmain.py", "__init__.py"])
def test_nothing_else_is_served(client: AppClient, name: str) -> None:
    assert client.get(f"/playground/{name}").status_code == 404


def test_where_it_is_off_the_home_page_leads_to_the_reference(serve: Serve) -> None:
    client = serve(playground=False)
    response = client.get("/")
    assert response.status_code == 307
    assert response.headers["location"] == "docs"
    assert client.get("/playground/application.js").status_code == 404


def test_its_files_need_no_key_and_its_calls_do(serve: Serve, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text(KEY, encoding="utf-8")
    client = serve(api_keys_file=keys)
    assert client.get("/").status_code == 200
    assert client.get("/playground/application.js").status_code == 200
    assert client.get("/models").status_code == 401
    assert client.get("/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200

"""API9, improper inventory management: what answers is what is documented, here and in production."""

import httpx
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from kernapay.app import create_app
from kernapay.config.loading import load_settings
from tests.actors import ADMIN, PAYMENTS, assert_problem
from tests.aliases import Json
from tests.attacks.wire import Wire
from tests.house.routes import routes
from tests.stack import JWT_SECRET, STRONG_KEY_ID, STRONG_KEY_SECRET, WEBHOOK_SECRET, Api

pytestmark = pytest.mark.owasp(line="API9")

UNDOCUMENTED = {"GET /metrics", "GET /r/{token}", "GET /r/check/{code}"}
"""For the operator's own machines, behind a token of its own; and pages for people, who get a link to them."""
PAGES = {
    "/docs",
    "/docs/oauth2-redirect.html",
    "/docs/openapi.json",
    "/docs/swagger",
    "/docs/{path}",
    "/docs/assets",
    "/checkout/{token}",
    "/checkout/assets",
    "/console",
    "/console/{rest}",
    "/console/assets/{version}",
    "/guide",
    "/guide/search",
    "/guide/{page}",
    "/guide/runbooks/{runbook}",
    "/guide/pictures",
    "/guide/assets",
}
SHOP = {"/shop", "/shop/{rest}", "/shop/config", "/shop/assets"}
"""Pages of a shop that sells nothing, outside production."""

FORGOTTEN = [
    "/.env",
    "/.env.payment",
    "/.git/config",
    "/.git/HEAD",
    "/.svn/entries",
    "/.htaccess",
    "/.DS_Store",
    "/.well-known/security.txt",
    "/admin",
    "/admin/",
    "/administrator",
    "/api",
    "/api/v1",
    "/api/users",
    "/v1",
    "/v1/",
    "/v1/api",
    "/v1/api/",
    "/v2/api/users/login",
    "/v0/api/users/login",
    "/v1/api/admin",
    "/v1/api/users",
    "/v1/api/payments",
    "/v1/api/debug",
    "/v1/api/internal",
    "/v1/api/test",
    "/v1/api/payments/debug",
    "/_sandbox",
    "/_sandbox/health",
    "/_sandbox/pay",
    "/_sandbox/faults",
    "/sandbox",
    "/v1/orders",
    "/v1/payments",
    "/v1/checkout.js",
    "/debug",
    "/debug/pprof",
    "/debug/vars",
    "/_debug_toolbar",
    "/shell",
    "/trace",
    "/env",
    "/info",
    "/status",
    "/stats",
    "/health",
    "/healthz",
    "/actuator",
    "/actuator/env",
    "/actuator/heapdump",
    "/server-status",
    "/phpinfo.php",
    "/wp-login.php",
    "/index.php",
    "/config.json",
    "/swagger",
    "/swagger.json",
    "/swagger-ui.html",
    "/openapi.json",
    "/openapi.yaml",
    "/openapi.yml",
    "/api-docs",
    "/redoc",
    "/rapidoc",
    "/schema",
    "/schema/openapi.json",
    "/graphql",
    "/graphiql",
    "/soap",
    "/rpc",
    "/jsonrpc",
    "/ws",
    "/socket.io",
    "/sse",
    "/static",
    "/static/",
    "/assets",
    "/files",
    "/backup.sql",
    "/dump.sql",
    "/db.sqlite",
    "/kernapay.log",
    "/logs",
    "/.kernapay",
    "/.kernapay/files",
    "/pyproject.toml",
    "/kernapay/settings.py",
    "/docs/openapi.yaml",
    "/docs/redoc",
    "/docs/assets/../../../app.py",
    "/docs/assets/..%2f..%2f..%2fapp.py",
    "/docs/assets/%2e%2e/index.py",
    "/robots.txt",
    "/favicon.ico",
    "/crossdomain.xml",
    "/clientaccesspolicy.xml",
]


def test_every_route_is_in_the_document_or_on_the_short_list(
    application: Litestar, served_document: Json
) -> None:
    documented = {
        f"{method.upper()} {path}"
        for path, item in served_document["paths"].items()
        for method in item
    }
    assert {found.name for found in routes(application)} - documented == UNDOCUMENTED
    assert documented <= {found.name for found in routes(application)}


def paths_of(application: Litestar) -> set[str]:
    return {route.path_format for route in application.routes}


def test_beside_them_there_are_the_pages_and_their_files(application: Litestar) -> None:
    others = paths_of(application) - {found.name.partition(" ")[2] for found in routes(application)}
    assert {path.removesuffix("/{name}") for path in others} == PAGES | SHOP
    assert all(isinstance(route, HTTPRoute) for route in application.routes)


def test_production_has_the_same_routes_without_the_shop_and_no_debugging(
    application: Litestar,
) -> None:
    settings = load_settings(
        None,
        app_env="production",
        mongodb_url="mongodb://127.0.0.1:1/kernapay",
        jwt_secret=f"{JWT_SECRET}-{WEBHOOK_SECRET}",
        razorpay_key_id=STRONG_KEY_ID,
        razorpay_key_secret=STRONG_KEY_SECRET,
        razorpay_webhook_secret="kP3v9Qx7Lm2Zt8Ws4Yb6Nc1Rd5Hf0Jg",
    )
    production = create_app(settings)
    shop = {path for path in paths_of(application) if path.removesuffix("/{name}") in SHOP}
    assert paths_of(production) == paths_of(application) - shop != paths_of(application)
    assert production.debug is False
    assert production.pdb_on_exception is False


def test_what_is_left_lying_about_elsewhere_is_not_here(api_server: Api) -> None:
    with Wire(api_server.port) as wire:
        for path in FORGOTTEN:
            answer = wire.ask("GET", path)
            assert answer.status in (401, 404, 405), f"{path}: {answer}"
            if not path.startswith("/docs"):
                assert answer.problem["code"] in (
                    "not_found",
                    "unauthenticated",
                    "method_not_allowed",
                )


def test_an_older_or_newer_version_is_not_another_door(api: httpx.Client) -> None:
    for version in ("v0", "v2", "v1.0", "V1", "1", "latest", "beta", "internal"):
        for path in (f"{ADMIN}/users", f"{PAYMENTS}/export", "/v1/api/users/profile"):
            assert_problem(api.get(path.replace("v1", version, 1)), 404)


def test_a_path_tells_its_documented_methods_only(api: httpx.Client, served_document: Json) -> None:
    for path, item in served_document["paths"].items():
        if "{" in path:
            continue
        answer = api.request("PATCH", path)
        assert answer.status_code in (401, 405), path
        if answer.status_code == 405:
            allowed = {method.strip().lower() for method in answer.headers["allow"].split(",")}
            assert allowed - {"options", "head"} == set(item), path

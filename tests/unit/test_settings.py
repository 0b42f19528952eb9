"""Settings: what is taken, what is refused, and that everything wrong is told at once."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernapay.config.loading import ConfigurationError
from kernapay.config.settings import Environment, Settings
from kernapay.config.types import ServiceType, parse_duration
from tests.environment import PRODUCTION, REQUIRED
from tests.stack import JWT_SECRET, KEY_SECRET, WEBHOOK_SECRET
from tests.unit.conftest import Load, Problems


def test_five_variables_are_enough(load: Load) -> None:
    settings = load()
    assert settings.app_env is Environment.DEVELOPMENT
    assert (settings.port, settings.salt_rounds, settings.currencies) == (3000, 10, ("INR",))
    assert settings.token_expiry == timedelta(days=7)
    assert settings.redis_address == "redis://127.0.0.1:6379/0"


def test_everything_wrong_is_told_at_once_by_its_variable(problems: Problems) -> None:
    found = problems(
        {},
        MONGODB_URL="postgres://db",
        PORT="http",
        TOKEN_EXPIRY="next week",
        SALT_ROUNDS="3",
        RAZORPAY_KEY_ID="key",
        REDIS_URL="amqp://x",
        CURRENCIES="rupees",
        SIGNUP_TYPES="ADMIN",
        SERVICE_TYPES='{"X": {"mandatory": []}}',
        RAZORPAY_BASE_URL="ftp://x",
        MAX_AMOUNT="1.5",
        APP_ENV="live",
    )
    assert set(found) == {
        "MONGODB_URL",
        "PORT",
        "TOKEN_EXPIRY",
        "SALT_ROUNDS",
        "RAZORPAY_KEY_ID",
        "REDIS_URL",
        "CURRENCIES",
        "SIGNUP_TYPES",
        "SERVICE_TYPES",
        "RAZORPAY_BASE_URL",
        "MAX_AMOUNT",
        "APP_ENV",
        "JWT_SECRET",
        "RAZORPAY_KEY_SECRET",
        "RAZORPAY_WEBHOOK_SECRET",
    }
    assert found["JWT_SECRET"] == "is missing"


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, "", " "])
def test_what_is_needed_must_not_be_empty(problems: Problems, name: str, value: str | None) -> None:
    assert set(problems(**{name: value})) == {name}


@pytest.mark.owasp(line="API8")
def test_a_refusal_never_repeats_a_secret(load: Load) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(PRODUCTION, JWT_SECRET="hunter2", MONGODB_URL="mongo://admin:hunter2@db", PORT="0")
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show_when_settings_are_printed(load: Load) -> None:
    settings = load(
        JWT_SECRET_PREVIOUS="previous-jwt-secret",
        REDIS_PASSWORD="redis-password",
        REDIS_URL="redis://:url-password@r/0",
        METRICS_TOKEN="metrics-token",
        AWS_SECRET_ACCESS_KEY="aws-secret",
        AWS_ACCESS_KEY_ID="aws-id",
        FAST_2_SMS_KEY="sms-key",
        EMAIL_API_KEY="mail-key",
        SENDER_EMAIL="a@example.com",
        MONGODB_URL="mongodb://u:mongo-password@db/x",
    )
    for text in (repr(settings), str(settings), repr(settings.model_dump())):
        for secret in (
            JWT_SECRET,
            KEY_SECRET,
            WEBHOOK_SECRET,
            "previous-jwt-secret",
            "redis-password",
            "url-password",
            "metrics-token",
            "aws-secret",
            "sms-key",
            "mail-key",
            "mongo-password",
        ):
            assert secret not in text


def test_the_express_services_name_for_the_webhook_secret_counts_in_its_mode_only(
    load: Load, problems: Problems
) -> None:
    def secret(**env: str) -> str:
        return load(WEBHOOK_SECRET="tD6mKf9XzQ3v", **env).razorpay_webhook_secret.get_secret_value()

    assert secret(COMPAT="express") == "tD6mKf9XzQ3v"
    assert secret() == WEBHOOK_SECRET
    assert set(problems(COMPAT="rupees")) == {"COMPAT"}


def test_settings_cannot_be_changed_afterwards(load: Load) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().port = 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7d", 7 * 86400),
        ("12h", 43200),
        ("30m", 1800),
        ("45s", 45),
        ("45", 45),
        ("1.5h", 5400),
        ("2w", 14 * 86400),
        ("500ms", 0.5),
        (" 7D ", 7 * 86400),
        ("2 days", 2 * 86400),
        ("10 hrs", 36000),
        (".5h", 1800),
        ("1 Year", 31557600),
        ("3 weeks", 3 * 604800),
        ("5 minutes", 300),
        ("250 msecs", 0.25),
    ],
)
def test_a_lifetime_is_written_as_in_node(load: Load, text: str, seconds: float) -> None:
    assert load(TOKEN_EXPIRY=text).token_expiry.total_seconds() == seconds


@pytest.mark.parametrize(
    "text",
    [
        *("d", "7 days ago", "-1d", "-1", "0s", "7d7d", "1e9d", "1 month", "1.", "9" * 30 + "y"),
        *("101y", "9" * 400, "1" + "0" * 100),
    ],
)
def test_what_is_no_lifetime_is_refused(problems: Problems, text: str) -> None:
    assert set(problems(TOKEN_EXPIRY=text)) == {"TOKEN_EXPIRY"}


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        # Past its lease the worker takes the event, and no failure is recorded.
        ("WEBHOOK_DEADLINE", "21s"),
        ("WEBHOOK_DEADLINE", "2m"),
        ("SEND_TIMEOUT", "0"),
        ("SEND_TIMEOUT", "2h"),
    ],
)
def test_a_deadline_that_would_do_harm_is_refused(
    problems: Problems, variable: str, text: str
) -> None:
    assert set(problems(**{variable: text})) == {variable}


@given(st.text())
def test_no_text_breaks_the_reading_of_a_lifetime(text: str) -> None:
    try:
        found = parse_duration(text)
    except ValueError:
        return
    assert isinstance(found, timedelta)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"NODE_ENV": "production"}, Environment.PRODUCTION),
        ({"APP_ENV": "test"}, Environment.TEST),
        ({"APP_ENV": "test", "NODE_ENV": "production"}, Environment.TEST),
        ({"APP_ENV": "production", "NODE_ENV": "development"}, Environment.PRODUCTION),
        ({}, Environment.DEVELOPMENT),
    ],
)
def test_the_environment_is_named_by_either_variable(
    load: Load, given: dict[str, str], expected: Environment
) -> None:
    base = {name: value for name, value in PRODUCTION.items() if name != "APP_ENV"}
    assert load(base, **given).app_env is expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"REDIS_HOST": "r", "REDIS_PORT": "6380"}, "redis://r:6380/0"),
        ({"REDIS_HOST": "r", "REDIS_PASSWORD": "p@ss:/w"}, "redis://:p%40ss%3A%2Fw@r:6379/0"),
        ({"REDIS_URL": "redis://u/3", "REDIS_HOST": "r"}, "redis://u/3"),
        ({"REDIS_URL": "redis://u/3", "REDIS_HOST": ""}, "redis://u/3"),
        ({"REDIS_URL": "", "REDIS_HOST": "r"}, "redis://r:6379/0"),
        ({"REDIS_URL": "rediss://u:6379/0"}, "rediss://u:6379/0"),
        ({"REDIS_URL": "redis+sentinel://a,b/m"}, "redis+sentinel://a,b/m"),
        ({"REDIS_URL": "redis+cluster://a,b"}, "redis+cluster://a,b"),
        ({"REDIS_URL": "rediss+sentinel://a,b/m"}, "rediss+sentinel://a,b/m"),
        ({"REDIS_URL": "rediss+cluster://u:p@a,b"}, "rediss+cluster://u:p@a,b"),
        ({"REDIS_URL": "redis://r/3", "REDIS_PASSWORD": "p@s s"}, "redis://:p%40s%20s@r/3"),
        ({"REDIS_URL": "redis://me@r", "REDIS_PASSWORD": "p"}, "redis://me:p@r"),
        ({"REDIS_URL": "redis://:@r", "REDIS_PASSWORD": "p"}, "redis://:p@r"),
        ({"REDIS_URL": "redis://:own@r", "REDIS_PASSWORD": "p"}, "redis://:own@r"),
        ({"REDIS_URL": "redis://r?password=own", "REDIS_PASSWORD": "p"}, "redis://r?password=own"),
        (
            {"REDIS_URL": "redis+sentinel://a:1,b/m/2?sentinel_password=s", "REDIS_PASSWORD": "p"},
            "redis+sentinel://:p@a:1,b/m/2?sentinel_password=s",
        ),
        ({"REDIS_URL": "rediss+cluster://a,b", "REDIS_PASSWORD": "p"}, "rediss+cluster://:p@a,b"),
    ],
)
def test_redis_is_named_by_its_url_or_by_its_parts(
    load: Load, given: dict[str, str], expected: str
) -> None:
    assert load(**given).redis_address == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGODB_URL", "mongodb://us@er:hunter2@ss@host/db"),
        ("MONGODB_URL", "mongodb://127.0.0.1:hunter2/db"),
        ("MONGODB_URL", "mongodb://user:hunter2@host:99999/db"),
        ("MONGODB_URL", "mongodb://user:pa?hunter2=x@host/db"),
        ("MONGODB_URL", "mongodb://user:hunter2@host/db?timeoutMS=soon"),
        ("MONGODB_URL", "mongodb://user:hunter2/@host/db"),
        ("MONGODB_URL", "mongodb://user:hunter2@/db"),
        ("MONGODB_URL", "mongodb://user:hunter2@host/my db"),
        ("MONGODB_URL", "mongodb://user:hunter2@host/db?tls=true&ssl=false"),
        ("MONGODB_URL", "mongodb://user:hunter2@host/db?tls=true&tlsCAFile=/not/there"),
        ("MONGODB_URL", "mongodb+srv://us@er:hunter2@ss@a.example.com/db"),
        ("MONGODB_URL", "mongodb+srv://user:hunter2@a.example.com:27017/db"),
        ("REDIS_URL", "redis://:hunter2#ss@host"),
        ("REDIS_URL", "redis://:1#hunter2@host"),
        ("REDIS_URL", "redis://u:1#hunter2@host"),
        ("REDIS_URL", "redis://u:1?hunter2@host"),
        ("REDIS_URL", "redis://u:1/hunter2@host"),
        ("REDIS_URL", "redis://:hunter2@/0"),
        ("REDIS_URL", "redis://"),
        ("REDIS_URL", "redis://[::1/0"),
        ("REDIS_URL", "redis://host:hunter2/0"),
        ("REDIS_URL", "redis://host:70000/0"),
        ("REDIS_URL", "redis://a,b/0"),
        ("REDIS_URL", "redis://host/hunter2"),
        ("REDIS_URL", "redis://host/0?hunter2=1"),
        ("REDIS_URL", "redis://host/0?db=hunter2"),
        ("REDIS_URL", "rediss://host/0?ssl_cert_reqs=hunter2"),
        ("REDIS_URL", "redis+sentinel://u:p#hunter2@a/m"),
        ("REDIS_URL", "redis+sentinel://a,b:hunter2/m"),
        ("REDIS_URL", "redis+sentinel://a,,b/m"),
        ("REDIS_URL", "redis+sentinel://a/m/hunter2"),
        ("REDIS_URL", "redis+cluster://a:1,b:hunter2"),
        ("REDIS_URL", "redis+cluster://a/3"),
        ("REDIS_HOST", "host:6379"),
        ("REDIS_HOST", "::1"),
        ("REDIS_URL", "redis+sentinel://u:1/hunter2@a/3"),
        ("REDIS_URL", "redis+sentinel://u:1?hunter2@a/m"),
        ("REDIS_URL", "redis+sentinel://a/m?db=hunter2"),
        ("REDIS_URL", "redis+cluster://a?hunter2=1"),
        ("REDIS_URL", "redis://u:p@1/0?hunter2@host"),
        ("MONGODB_URL", "mongodb://user:1/hunter2@host"),
        ("MONGODB_URL", "mongodb://user:1?w=hunter2@host"),
        ("RAZORPAY_BASE_URL", "https://user:hunter2@gateway.example"),
        ("RAZORPAY_BASE_URL", "https://user:hunter2℀@gateway.example"),
        ("FAST_2_SMS_URL", "https://sms.example:hunter2/x"),
        ("SENDGRID_URL", "https://[hunter2/x"),
        ("AWS_ENDPOINT_URL", "https://s3.example/hunter2 x"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_repeated(
    problems: Problems, name: str, value: str
) -> None:
    found = problems(**{name: value})
    assert set(found) == {name}
    assert "hunter2" not in found[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGODB_URL", "mongodb://user:p%40ss%2F@a,b:27018,c/db?replicaSet=rs0&tls=true"),
        ("MONGODB_URL", "mongodb+srv://user:p%40ss@nope.invalid/db"),  # not looked up here
        ("MONGODB_URL", "mongodb://[::1]:27017/db"),
        ("REDIS_URL", "redis://user:p%23ss@host:6379/3"),
        ("REDIS_URL", "redis://[::1]:6379"),
        ("REDIS_URL", "rediss://host/0?ssl_cert_reqs=none"),
        ("REDIS_URL", "redis+sentinel://u:p@a:1,b,[::1]:3/m/1?sentinel_password=x"),
        ("REDIS_URL", "redis+sentinel://a"),
        ("REDIS_URL", "redis+sentinel://a/m?sentinel_password=p@ss"),
        ("REDIS_URL", "redis+cluster://u:p@a:1,b:2/"),
        ("REDIS_HOST", "[::1]"),
        ("REDIS_HOST", "cache-1.internal"),
    ],
)
def test_an_address_that_can_be_used_is_taken(load: Load, name: str, value: str) -> None:
    load(**{name: value})


def test_a_password_in_the_parts_reaches_redis_whole(load: Load) -> None:
    from kernapay.storage.redis_clients import connect

    password = "p@ss:/w%20 ü#?"
    client = connect(load(REDIS_PASSWORD=password).redis_address)
    assert client.connection_pool.connection_kwargs["password"] == password  # type: ignore[union-attr]


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_an_empty_variable_is_like_none(load: Load, problems: Problems, name: str) -> None:
    variable = name.upper()
    if variable in REQUIRED:
        assert problems(**{variable: ""}) == {variable: "is missing"}
    else:
        assert load(**{variable: ""}) == load()


def test_an_empty_variable_hides_the_one_in_the_file(load: Load) -> None:
    Path(".env.payment").write_text("METRICS_TOKEN=from-the-file\nPORT=4000\n")
    assert load().metrics_token is not None
    settings = load(METRICS_TOKEN="", PORT="")
    assert (settings.metrics_token, settings.port) == (None, 3000)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "EMAIL_API_KEY"])
def test_half_of_a_pair_is_refused_by_the_name_of_the_other_half(
    problems: Problems, name: str
) -> None:
    (found,) = problems(**{name: "alone"}).values()
    assert found == f"must be set because {name} is set"


@pytest.mark.parametrize("name", ["JWT_SECRET", "CORS_ORIGINS", "MERCHANT_NAME", "TOKEN_EXPIRY"])
def test_a_value_that_is_not_utf_8_is_refused_without_a_traceback(
    problems: Problems, name: str
) -> None:
    assert set(problems(**{name: "caf\udce9"})) == {name}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://shop.example/", "https://shop.example"),
        ("HTTPS://Shop.Example:443", "https://shop.example"),
        ("http://localhost:80/, http://localhost:5173", "http://localhost,http://localhost:5173"),
        ("https://shop.example:8443", "https://shop.example:8443"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://[2001:DB8:0:0::1]", "https://[2001:db8::1]"),
        ("https://a.example,HTTPS://A.example/", "https://a.example"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("https://*.shop.example", "https://*.shop.example"),
        ("*", "*"),
    ],
)
def test_an_origin_is_read_as_browsers_send_it(load: Load, written: str, read: str) -> None:
    assert load(CORS_ORIGINS=written).cors_origins == tuple(read.split(","))


@pytest.mark.parametrize(
    "text",
    [
        *("shop.example", "//shop.example", "null", "https://", "file:///x", "*://shop.example"),
        *("https://shop.example/checkout", "https://shop.example//", "https://shop.example?x"),
        *("https://u:p@shop.example", "https://shop example", "https://münchen.example"),
        *("https://a..b", "https://-a.example", "https://a.example.", "https://good.example,bad"),
        *("https://[::g]", "https://127.1", "https://256.0.0.1"),
        *("https://a:*", "https://a:0", "https://a:99999", "https://a:123456"),
    ],
)
def test_what_no_browser_sends_is_no_origin(problems: Problems, text: str) -> None:
    assert set(problems(CORS_ORIGINS=text)) == {"CORS_ORIGINS"}


def test_networks_written_as_ipv4_in_ipv6_are_ipv4(load: Load) -> None:
    (network,) = load(TRUSTED_PROXIES="::ffff:10.0.0.0/104").trusted_proxies
    assert str(network) == "10.0.0.0/8"


def test_the_file_is_read_and_the_process_wins(load: Load) -> None:
    Path(".env.payment").write_text(
        "\n".join([*(f"{k}={v}" for k, v in REQUIRED.items()), "PORT=4000", "HOST=file", "OTHER=1"])
    )
    settings = load({"PORT": "5000"})
    assert (settings.port, settings.host) == (5000, "file")
    assert settings.mongodb_url.get_secret_value() == REQUIRED["MONGODB_URL"]


def test_both_secrets_are_accepted_while_one_is_rotated(load: Load) -> None:
    settings = load(JWT_SECRET_PREVIOUS="old", RAZORPAY_WEBHOOK_SECRET_PREVIOUS="old")
    assert settings.jwt_secrets == (JWT_SECRET, "old")
    assert settings.webhook_secrets == (WEBHOOK_SECRET.encode(), b"old")
    assert load(JWT_SECRET_PREVIOUS="").jwt_secrets == (JWT_SECRET,)


def test_service_types_are_a_list_or_say_what_they_need(load: Load) -> None:
    assert load(SERVICE_TYPES="CONSULTATION, LAB_TEST").service_types == {
        "CONSULTATION": ServiceType(),
        "LAB_TEST": ServiceType(),
    }
    described = load(SERVICE_TYPES='{"LAB_TEST": {"required": ["kit"], "optional": ["slot"]}}')
    assert described.service_types["LAB_TEST"].allowed == {"kit", "slot"}


@pytest.mark.parametrize("text", ["lower", "{}", "[1]", '{"A": 1}', "{", "A B"])
def test_service_types_that_cannot_be_meant_are_refused(problems: Problems, text: str) -> None:
    assert set(problems(SERVICE_TYPES=text)) == {"SERVICE_TYPES"}


def test_a_service_type_may_carry_its_price(load: Load) -> None:
    text = (
        '{"SCAN": {"amount": 120000, "currency": "INR"}, '
        '"DONATION": {"minAmount": 100, "maxAmount": 500000}}'
    )
    assert load(SERVICE_TYPES=text).service_types == {
        "SCAN": ServiceType(amount=120000, currency="INR"),
        "DONATION": ServiceType(min_amount=100, max_amount=500000),
    }


@pytest.mark.parametrize(
    ("price", "currencies"),
    [
        ('{"amount": 0}', "INR"),
        ('{"amount": -100}', "INR"),
        ('{"amount": "50000"}', "INR"),
        ('{"amount": 500.5}', "INR"),
        ('{"amount": true}', "INR"),
        ('{"min_amount": 100}', "INR"),
        ('{"amount": 500, "minAmount": 100}', "INR"),
        ('{"amount": 500, "maxAmount": 1000}', "INR"),
        ('{"minAmount": 501, "maxAmount": 500}', "INR"),
        ('{"amount": 60000000}', "INR"),
        ('{"minAmount": 60000000}', "INR"),
        ('{"maxAmount": 60000000}', "INR"),
        ('{"amount": 500, "currency": "USD"}', "INR"),
        ('{"currency": "inr"}', "INR"),
        ('{"amount": 500}', "INR,JPY"),
        ('{"maxAmount": 500}', "INR,JPY"),
    ],
)
def test_a_price_that_cannot_be_meant_is_refused(
    problems: Problems, price: str, currencies: str
) -> None:
    found = problems(SERVICE_TYPES=f'{{"SCAN": {price}}}', CURRENCIES=currencies)
    assert set(found) == {"SERVICE_TYPES"}


def test_every_variable_of_the_old_service_is_read(load: Load) -> None:
    """An existing `.env.payment` keeps working."""
    settings = load(
        NODE_ENV="test",
        PORT="3001",
        AWS_REGION="ap-south-1",
        AWS_ACCESS_KEY_ID="id",
        AWS_SECRET_ACCESS_KEY="secret",
        AWS_BUCKET_NAME="bucket",
        FAST_2_SMS_KEY="key",
        FAST_2_SMS_URL="https://sms.example.com",
        EMAIL_API_KEY="key",
        SENDER_EMAIL="pay@example.com",
        SALT_ROUNDS="12",
    )
    assert (settings.aws_region, settings.aws_bucket_name) == ("ap-south-1", "bucket")
    assert settings.fast_2_sms_url == "https://sms.example.com"
    assert settings.sender_email == "pay@example.com"

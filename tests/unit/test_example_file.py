"""`.env.payment.example` is a true beginning: it loads, and production refuses nothing of it but its placeholders."""

import re
from pathlib import Path

import pytest

from kernapay.config.loading import ConfigurationError, load_settings
from kernapay.config.settings import Settings
from tests.checkout import ROOT

EXAMPLE = (ROOT / ".env.payment.example").read_text()


def test_every_name_in_it_is_a_variable() -> None:
    names = re.findall(r"^(?:# )?([A-Z0-9_]+)=", EXAMPLE, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {name.lower() for name in names} <= set(Settings.model_fields)
    required = {name for name, field in Settings.model_fields.items() if field.is_required()}
    assert required <= {name.lower() for name in names}


def test_production_refuses_its_placeholders_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    path = tmp_path / ".env.payment"
    path.write_text(EXAMPLE)
    with pytest.raises(ConfigurationError) as refused:
        load_settings(path)
    refusals = re.findall(r"^  ([A-Z_]+): ", str(refused.value), re.MULTILINE)
    assert {"JWT_SECRET", "RAZORPAY_KEY_SECRET", "RAZORPAY_WEBHOOK_SECRET"} <= set(refusals)
    assert all(
        "change-me" in re.findall(rf"^{name}=(.*)", EXAMPLE, re.MULTILINE)[0] for name in refusals
    )

    filled = {
        "JWT_SECRET": "hV7tq2Lz9Xc4Rm8Wd1Ks6Pf3Ynb5Ju0Ga",
        "RAZORPAY_KEY_ID": "rzp_test_Qw7Rt2Yx9Zk4Lm",
        "RAZORPAY_KEY_SECRET": "Zp4Kx8Qv2Ms6Tr1Hd9",
        "RAZORPAY_WEBHOOK_SECRET": "bN3wYk7Lq5Xt2Vc8Rj4F",
    }
    lines = [f"{name}={value}" for name, value in filled.items()]
    rest = EXAMPLE.replace(":change-me@", ":Vb8Nw3Kq6Xs1Tz9Ld4@").splitlines()
    lines += [line for line in rest if line.partition("=")[0] not in filled]
    path.write_text("\n".join(lines))
    assert load_settings(path).is_production

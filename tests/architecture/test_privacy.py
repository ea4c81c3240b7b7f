"""Nothing that a user runs reports home."""

import os
import subprocess
import sys

import pytest

from tests.architecture.checkout import ROOT

VARIABLE = "ORT_DISABLE_TELEMETRY"


@pytest.mark.parametrize("module", ["app.engines.onnx", "training.players"])
@pytest.mark.parametrize(("given", "kept"), [(None, "1"), ("0", "0")])
def test_onnx_runtime_is_told_not_to_report_its_use_unless_the_user_says_otherwise(
    module: str, given: str | None, kept: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if given is not None:
        environment[VARIABLE] = given
    code = f"import {module}, os, sys; assert 'onnxruntime' in sys.modules; print(os.environ['{VARIABLE}'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == kept

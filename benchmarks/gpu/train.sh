#!/usr/bin/env bash
# Trains on a machine with one NVIDIA GPU, unattended, checks what it reached, and prints its table.
# train.sh --data FOLDER, with mnist/ and fashion-mnist/ in it; --dry-run does all of it on the CPU, tiny.
# PYTHON names an interpreter that has ganserve[training], torch for CUDA and an ONNX Runtime; unset, an environment is
# made in build/gpu-training-venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ -z "${PYTHON:-}" ]; then
    PYTHON=build/gpu-training-venv/bin/python
    if [ ! -e build/gpu-training-venv/.installed ]; then
        python3 -m venv build/gpu-training-venv
        PIP_CONSTRAINT=constraints.txt "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable ".[cpu,training]"
        touch build/gpu-training-venv/.installed
    fi
fi
exec "$PYTHON" -m benchmarks.gpu.training "$@"

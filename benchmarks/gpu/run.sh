#!/usr/bin/env bash
# Measures the service on a machine with one NVIDIA GPU, unattended, and checks itself; prints one table.
# --dry-run does all of it on the CPU with tiny sizes. Further arguments go to `python -m benchmarks.gpu`.
# PYTHON names an interpreter that has ganserve[gpu] and onnx; unset, an environment is made in build/gpu-venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

dry_run=no
for argument in "$@"; do
    [ "$argument" = --dry-run ] && dry_run=yes
done

if [ "$dry_run" = no ]; then
    command -v nvidia-smi >/dev/null || { echo "run.sh: there is no NVIDIA driver here; --dry-run needs none" >&2; exit 1; }
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
fi

if [ -z "${PYTHON:-}" ]; then
    PYTHON=build/gpu-venv/bin/python
    if [ ! -e build/gpu-venv/.installed ]; then
        extra=gpu
        [ "$dry_run" = yes ] && extra=cpu
        python3 -m venv build/gpu-venv
        PIP_CONSTRAINT=constraints.txt "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable ".[$extra]" onnx
        touch build/gpu-venv/.installed
    fi
fi

export ORT_DISABLE_TELEMETRY=1
exec "$PYTHON" -m benchmarks.gpu "$@"

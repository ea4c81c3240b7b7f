# The service's image: ONNX Runtime and the bundles under models/, no trainer and no torch.
# RUNTIME=cpu runs anywhere; RUNTIME=gpu adds CUDA and needs the NVIDIA container toolkit on the host.
ARG BASE=python:3.13-slim-trixie

FROM ${BASE} AS build
ARG RUNTIME=cpu
WORKDIR /src
COPY requirements/service-${RUNTIME}.txt requirements/build.txt requirements/
# An environment without pip: what is installed is exactly what is locked, and nothing can be added later.
RUN python -m venv --without-pip /opt/ganserve \
    && python -m pip --python /opt/ganserve/bin/python install --no-cache-dir --no-deps --require-hashes \
        --only-binary :all: --requirement requirements/service-${RUNTIME}.txt
RUN python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: \
        --requirement requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY bundle bundle
COPY app app
# The trainer's command is declared by the same project; without the trainer's code it would only fail.
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && python -m pip --python /opt/ganserve/bin/python install --no-deps --no-index /wheels/*.whl \
    && rm /opt/ganserve/bin/gantrain

FROM ${BASE}
ARG RUNTIME=cpu
LABEL org.opencontainers.image.title="ganserve" \
      org.opencontainers.image.description="Serves a GAN, exported as a verified ONNX bundle, over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0" \
      io.ganserve.runtime="${RUNTIME}"
# Modules were compiled when they were installed, so a read-only file system costs nothing at start.
# ONNX Runtime's builds report their use to its maker unless told not to before they load.
ENV PATH=/opt/ganserve/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    GANSERVE_HOST=0.0.0.0 \
    GANSERVE_PORT=8000 \
    GANSERVE_MODELS=/models \
    GANSERVE_LOG_FORMAT=json
COPY --from=build /opt/ganserve /opt/ganserve
COPY models /models
# A number, so that an orchestrator can see that it is not root.
USER 65532:65532
WORKDIR /
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['GANSERVE_PORT'] + '/readyz', timeout=4)"]
# The exec form makes the server process 1, which therefore receives SIGTERM and drains.
ENTRYPOINT ["ganserve"]
CMD ["serve"]

# syntax=docker/dockerfile:1
# The CPU kernels want a C++ compiler, which only this stage has.
FROM python:3.12-slim AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip wheel --no-deps --wheel-dir /wheels .

FROM python:3.12-slim

# The package index that torch comes from. Empty: the default one, whose torch has CUDA. PyTorch's
# index of CPU builds, which its installation page names, saves gigabytes.
ARG TORCH_INDEX=""

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

# OpenMP, for the kernels.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 rowmill
WORKDIR /opt/rowmill

# What Rowmill needs, before Rowmill: these layers stay cached until a version changes. Without its
# folders the project installs as an empty package, without kernels, which pulls in the rest.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    if [ -n "$TORCH_INDEX" ]; then \
        pip install --constraint constraints.txt --no-deps --index-url "$TORCH_INDEX" torch; \
    fi
RUN --mount=type=cache,target=/root/.cache/pip \
    touch README.md LICENSE \
    && pip install --constraint constraints.txt '.[worker,gateway,hf,structured]'

RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-deps --force-reinstall /wheels/rowmill-*.whl
# An install goes on without the kernels; an image must not.
RUN ROWMILL_KERNELS=native python -c 'from engine.native.library import library; library()'

# By number, so that an orchestrator can see that it is not root.
USER 10001
WORKDIR /home/rowmill
ENTRYPOINT ["rowmill"]
CMD ["--help"]

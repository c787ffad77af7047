# syntax=docker/dockerfile:1
FROM python:3.12-slim

# The package index that torch comes from. Empty: the default one, whose torch has CUDA. PyTorch's
# index of CPU builds, which its installation page names, saves gigabytes.
ARG TORCH_INDEX=""

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

RUN useradd --create-home --uid 10001 rowmill
WORKDIR /opt/rowmill

# What Rowmill needs, before Rowmill: these layers stay cached until a version changes. Without its
# folders the project installs as an empty package, which pulls in the rest.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    if [ -n "$TORCH_INDEX" ]; then \
        pip install --constraint constraints.txt --no-deps --index-url "$TORCH_INDEX" torch; \
    fi
RUN --mount=type=cache,target=/root/.cache/pip \
    touch README.md LICENSE \
    && pip install --constraint constraints.txt '.[worker]'

COPY . .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --force-reinstall .

# By number, so that an orchestrator can see that it is not root.
USER 10001
WORKDIR /home/rowmill
ENTRYPOINT ["rowmill"]
CMD ["--help"]

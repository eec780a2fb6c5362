# The one image of all four services: `mamapost serve SERVICE`, as a user without rights, on a read-only file system.
#
#   docker build --build-arg PYTHON_DIGEST=sha256:... --tag mamapost .
#
# PYTHON_DIGEST is the digest of python:3.12-slim-bookworm that you have checked; a tag alone can change under you.
# BASE replaces that base whole, by one of your own with Python 3.11 or newer as `python`, venv and pip.
ARG PYTHON_DIGEST
ARG BASE=python:3.12-slim-bookworm@${PYTHON_DIGEST}

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/mamapost && python -m venv /opt/build
# What services need and nothing more: no tests, no embedded engines. Every package is pinned with its hash.
COPY deploy/requirements.lock requirements.lock
RUN /opt/mamapost/bin/pip install --require-hashes --no-deps -r requirements.lock
# What makes a wheel of our own code; it stays behind.
COPY deploy/build.lock build.lock
RUN /opt/build/bin/pip install --require-hashes --no-deps -r build.lock
COPY pyproject.toml README.md LICENSE ./
COPY examples/verify_statement.py examples/
COPY shared shared
COPY services services
COPY deploy deploy
COPY mamapost mamapost
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/mamapost/bin/pip install --no-deps /wheels/*.whl
# The ranking functions, for processors of the kind that builds: a minute or two here instead of at the first start. From
# another folder, since Numba keeps them by the path of their source, and /src has one, too.
RUN cd / && /opt/mamapost/bin/python -m services.matching.engine.warm

FROM ${BASE}
RUN groupadd --gid 10001 mamapost && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin mamapost \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/mamapost
COPY --from=build /opt/mamapost /opt/mamapost
# The one folder that may be written to: matching keeps checkpoints there, and in .cache its compiled functions.
ENV PATH=/opt/mamapost/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/mamapost \
    MAMAPOST_HOST=0.0.0.0 MAMAPOST_PORT=8000 \
    MAMAPOST_MATCHING_CHECKPOINT_DIR=/var/lib/mamapost/checkpoints
USER 10001:10001
WORKDIR /var/lib/mamapost
VOLUME /var/lib/mamapost
EXPOSE 8000
# Where the processor is of another kind than the builder's, matching compiles before its first answer: minutes on a busy
# machine. A service that is ready sooner is healthy sooner.
HEALTHCHECK --interval=10s --timeout=5s --start-period=600s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(f'http://127.0.0.1:{os.environ[\"MAMAPOST_PORT\"]}/health/ready', timeout=4)"]
ENTRYPOINT ["mamapost"]
CMD ["--help"]

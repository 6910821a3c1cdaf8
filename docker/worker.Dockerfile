# The worker, the fake bot and the `sim` command in one image. docker-compose.test.yml builds it.
# Where no image can be pulled, scripts/make_worker_image makes the same from distribution packages.
ARG BASE=python:3.13-slim
FROM ${BASE}

ENV PYTHONUNBUFFERED=1
WORKDIR /srv/stack
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY worker ./worker
COPY sim ./sim
RUN pip install --no-cache-dir --no-deps . && python -m compileall -q worker sim

COPY docker/make_home ./docker/make_home
RUN useradd --uid 10001 --no-create-home stack \
    && BOT_HOME=/srv/home python docker/make_home \
    && chown -R stack /srv/home
USER stack
ENV BOT_HOME=/srv/home BINANCE_TESTNET=true

# Two stages: the first has pip and the hashes, the second only what runs.
FROM python:3.13-slim AS build
WORKDIR /app
RUN python -m venv /venv
COPY requirements.lock ./
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY bridge ./bridge
COPY codecs ./codecs
COPY dispatch ./dispatch
COPY loadtest ./loadtest
COPY examples ./examples
# The build backend is part of the development lock and is not needed at run time.
COPY requirements-dev.lock ./
RUN python -m venv /build \
    && /build/bin/pip install --no-cache-dir --require-hashes -r requirements-dev.lock \
    && /build/bin/python -m hatchling build -t wheel -d /wheels \
    && /venv/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/triage-bridge bridge
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER bridge
WORKDIR /var/lib/triage-bridge
# The SQLite file and the spoken lines.
VOLUME /var/lib/triage-bridge
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["triage-bridge"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]

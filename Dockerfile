# The gateway as an image: `docker build -t pxbin .`, then `docker run -p 8080:8080 -v pxbin:/data pxbin`.
# Everything that it writes is in /data, so it also runs with a read-only root: `docker run --read-only …`.
FROM python:3.11-slim AS build

ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

RUN python -m venv /venv
COPY requirements.txt /build/
RUN /venv/bin/pip install --require-hashes -r /build/requirements.txt

COPY manage.py /app/
COPY pxbin_site /app/pxbin_site
COPY proxy /app/proxy
COPY accounts /app/accounts
COPY upstreams /app/upstreams
COPY billing /app/billing
COPY templates /app/templates
# Without them every start would compile all modules: the root is not written to.
RUN /venv/bin/python -m compileall -q /app /venv/lib


FROM python:3.11-slim

RUN useradd --system --uid 10001 --home-dir /data pxbin && mkdir /data && chown pxbin /data
COPY --from=build /venv /venv
COPY --from=build /app /app

ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PXBIN_DATA_DIR=/data PXBIN_LISTEN_ADDR=:8080
WORKDIR /app
USER 10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ready', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "manage.py"]
CMD ["serve"]

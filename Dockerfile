# The gateway as an image: `docker build -t pxbin .`, then `docker run -p 8080:8080 -v pxbin:/data pxbin`.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /app
COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt

COPY manage.py ./
COPY pxbin_site pxbin_site
COPY proxy proxy
COPY accounts accounts
COPY upstreams upstreams
COPY billing billing
COPY templates templates
RUN python -m compileall -q . \
    && useradd --system --home /data pxbin && mkdir /data && chown pxbin /data

USER pxbin
ENV PXBIN_DATA_DIR=/data PXBIN_LISTEN_ADDR=:8080
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/ready', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "manage.py"]
CMD ["serve"]

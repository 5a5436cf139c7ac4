"""The examples in docs/deploy, docker-compose.yml and the Dockerfile name what exists."""

import json
import re
from pathlib import Path

import yaml

from billing.metrics.names import HELP
from pxbin_site.conf.config import Config
from pxbin_site.conf.setting import declarations

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "docs" / "deploy"
METRIC = re.compile(r"\b(?:proxy|process)_[a-z_]+\b")
SETTINGS = {declaration.variable for declaration in declarations(Config).values()}


def metrics_in(text: str) -> set[str]:
    return {re.sub("_bucket$", "", name) for name in METRIC.findall(text)}


def kubernetes() -> list[dict]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / "pxbin.yaml").read_text()))


def test_the_dashboard_shows_metrics_that_exist() -> None:
    panels = json.loads((DEPLOY / "monitoring" / "grafana-dashboard.json").read_text())["panels"]
    shown = {name for panel in panels for target in panel["targets"] for name in metrics_in(target["expr"])}
    assert shown - HELP.keys() == set()
    own = {name for name in HELP if name not in ("proxy_build_info", "proxy_models", "proxy_unlisted_requests_total", "process_open_fds")}
    assert own - shown == set()


def test_the_alerts_use_metrics_that_exist() -> None:
    (group,) = yaml.safe_load((DEPLOY / "monitoring" / "pxbin-alerts.yml").read_text())["groups"]
    assert {name for rule in group["rules"] for name in metrics_in(rule["expr"])} - HELP.keys() == set()
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in group["rules"])


def test_examples_use_settings_that_exist() -> None:
    texts = [path.read_text() for path in (ROOT / "docker-compose.yml", ROOT / "Dockerfile", *DEPLOY.rglob("*.*"))]
    named = {name for text in texts for name in re.findall(r"PXBIN_[A-Z_]+", text)}
    assert named - SETTINGS == set()


def test_pods_are_not_restarted_while_the_database_is_away() -> None:
    (web,) = [item for item in kubernetes() if item["kind"] == "StatefulSet"]
    (container,) = web["spec"]["template"]["spec"]["containers"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert web["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 50 + 5


def test_every_volume_that_is_mounted_exists() -> None:
    for item in kubernetes():
        if item["kind"] in ("StatefulSet", "Deployment"):
            pod = item["spec"]["template"]["spec"]
            volumes = {volume["name"] for volume in pod.get("volumes", [])}
            volumes |= {claim["metadata"]["name"] for claim in item["spec"].get("volumeClaimTemplates", [])}
            assert {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]} == volumes


def test_the_image_copies_what_exists_and_every_package() -> None:
    copied = re.findall(r"^COPY ([^-\s]\S*) /app/", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert all((ROOT / name).exists() for name in copied)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert packages | {"manage.py", "templates"} == set(copied)


def test_only_the_proxy_is_published_and_no_container_writes_to_its_root() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert [name for name, service in services.items() if not service.get("read_only")] == ["postgres"]

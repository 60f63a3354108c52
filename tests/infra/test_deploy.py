"""The files for users with containers."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.portal import routes as routes_module
from infra.settings import load

DEPLOY = Path(__file__).parents[2] / "infra" / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def documents() -> list[dict[str, Any]]:
    return [doc for path in MANIFESTS for doc in yaml.safe_load_all(path.read_text())]


def test_manifests_pass_the_strict_linter() -> None:
    """Every manifest is valid against Kubernetes' own schema, without unknown fields."""
    command = [
        str(Path(sys.executable).parent / "kubernetes-validate"),
        "--strict",
        "--quiet",
        *map(str, MANIFESTS),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_long_running_container_has_probes_and_limits() -> None:
    """Readiness and liveness for all; memory limits; nobody runs as root."""
    for doc in documents():
        if doc["kind"] not in ("Deployment", "StatefulSet"):
            continue
        pod = doc["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in pod["containers"]:
            assert {"readinessProbe", "livenessProbe", "resources"} <= set(container)


def test_only_what_signs_has_the_keys() -> None:
    """The key secret is mounted by `issue` alone, in both kinds of deployment."""
    mounting = {
        doc["metadata"]["name"]
        for doc in documents()
        if doc["kind"] in ("Deployment", "StatefulSet") and "zhengzhao-keys" in str(doc["spec"]["template"])
    }
    assert {"issue"} == mounting
    services = compose()["services"]
    assert {"issue"} == {
        name for name, s in services.items() if any("/keys" in str(v) for v in s.get("volumes", []))
    }


def test_compose_has_three_brokers_and_health_everywhere() -> None:
    """Three brokers, replication 3, every service has a health check; workers have no fixed name or port."""
    services = compose()["services"]
    brokers = [s for name, s in services.items() if name.startswith("kafka-")]
    assert (3, {"3"}) == (
        len(brokers),
        {b["environment"]["KAFKA_DEFAULT_REPLICATION_FACTOR"] for b in brokers},
    )
    assert [name for name, s in services.items() if "healthcheck" not in s] == []
    assert [n for n in ("worker", "issue") if {"container_name", "ports"} & set(services[n])] == []


@pytest.mark.parametrize(("name", "path"), [("service", "/"), ("portal", "/desk")])
def test_the_service_is_reached_and_holds_no_keys(name: str, path: str) -> None:
    """Ingress → Service → pods of `run`, alive by /livez and ready by /readyz, whose only secret folder opens persons."""
    found = {doc["kind"]: doc for doc in documents() if doc["metadata"]["name"] == name}
    ingress = next(doc for doc in documents() if doc["kind"] == "Ingress")
    paths = {one["path"]: one["backend"]["service"] for one in ingress["spec"]["rules"][0]["http"]["paths"]}
    rule = paths[path]
    port = found["Service"]["spec"]["ports"][0]
    pod = found["StatefulSet"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert (name, port["name"]) == (rule["name"], rule["port"]["name"])
    assert found["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert container["args"][0] == compose()["services"]["service"]["command"][0] == "run"
    paths = [container[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")]
    assert ["/livez", "/readyz"] == paths
    assert port["targetPort"] in [named["name"] for named in container["ports"]]
    assert not any("zhengzhao-keys" in str(volume) for volume in pod["spec"]["volumes"])
    (kept,) = found["StatefulSet"]["spec"]["volumeClaimTemplates"]
    assert "/data" in [
        m["mountPath"] for m in container["volumeMounts"] if m["name"] == kept["metadata"]["name"]
    ]
    assert found["StatefulSet"]["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"


def test_the_pages_behind_a_login_are_in_one_place() -> None:
    """The Ingress leads each of their paths to the one pod that has their accounts."""
    ingress = next(doc for doc in documents() if doc["kind"] == "Ingress")
    told = {
        one["path"]
        for one in ingress["spec"]["rules"][0]["http"]["paths"]
        if one["backend"]["service"]["name"] == "portal"
    }
    routes = Path(routes_module.__file__ or "").read_text("utf-8")
    served = {f"/{path}" for path in re.findall(r'route\("/([a-z]+)', routes)}
    assert served - {"/portal"} == told  # what lies below /portal is the same everywhere
    (portal,) = [d for d in documents() if d["metadata"]["name"] == "portal" and d["kind"] == "StatefulSet"]
    assert portal["spec"]["replicas"] == 1


def test_the_settings_of_the_service_are_read(tmp_path: Path) -> None:
    """The settings in its ConfigMap are settings that this release knows."""
    (found,) = [doc for doc in documents() if doc["metadata"]["name"] == "zhengzhao-settings"]
    (tmp_path / "settings.toml").write_text(found["data"]["settings.toml"], "utf-8")
    assert len(load(tmp_path, {}).proxies) == 1


def test_stages_in_the_files_exist() -> None:
    """The workers' command lines name all stages, each a stage that the worker knows."""
    from infra.kafka.stages import STAGES

    named = {
        services["command"][2] for n, services in compose()["services"].items() if n in ("worker", "issue")
    }
    assert set(STAGES) - {"project"} == {stage for stages in named for stage in stages.split(",")}


def test_compose_is_valid_by_the_specification() -> None:
    """The Compose specification's own schema accepts the file; this needs neither a client nor a network."""
    command = [
        str(Path(sys.executable).parent / "check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
    ]
    done = subprocess.run(
        [*command, str(DEPLOY / "compose.yaml")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "ok -- validation done")


@pytest.mark.skipif(shutil.which("docker") is None, reason="there is no docker client")
def test_compose_config_where_there_is_a_client() -> None:
    """`docker compose config` accepts the file."""
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("this docker client has no compose")
    env = {"KAFKA_CLUSTER_ID": "x", "S3_KEY": "k", "S3_SECRET": "s", "PATH": "/usr/bin:/usr/local/bin"}
    command = ["docker", "compose", "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    assert subprocess.run(command, env=env, check=False).returncode == 0

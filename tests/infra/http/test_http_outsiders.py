"""Other authors' tools on the service: schemathesis over its OpenAPI document, a CloudEvents library as a client."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from served import serving_service
from starlette.testclient import TestClient
from story import PROVINCE, Events, uscc

from infra.cli import main
from infra.http.limits import RequestLimits
from infra.http.service import Service, service
from infra.settings import Settings

HERE = "http://127.0.0.1"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on a fresh data folder."""
    data = tmp_path_factory.mktemp("outsiders") / "data"
    assert main(["keys", "init", "--valid-from", "2018-01-01", "--data", str(data)]) == 0
    limits = RequestLimits(rate=1e9, burst=10**9)
    with service(Settings(data, workers=1), limits=limits, tick_seconds=3600) as built:
        yield built


@pytest.mark.slow
def test_the_service_is_as_its_document_says(built: Service, tmp_path: Path) -> None:
    """Statuses, media types, bodies, tokens, refusals of what the document does not allow; never a fault.

    Left out is one check: that all which fits the document is accepted. Whether an id, a time or a file is good
    is more than a document can say.
    """
    secret, _ = built.tokens.make("agency", PROVINCE, PROVINCE, datetime.now(UTC), None)
    command = [
        str(Path(sys.executable).with_name("st")), "run", "--phases", "fuzzing", "-n", "25", "--seed", "11",
        "--request-timeout", "30", "--exclude-checks", "positive_data_acceptance", "-H", f"Authorization: Bearer {secret}",
    ]  # fmt: skip
    with serving_service(built) as port:
        address = f"http://127.0.0.1:{port}/openapi.json"
        done = subprocess.run(
            [*command, address], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
        )
    (built.lookups._settings.data / "tokens.json").unlink()
    assert done.returncode == 0, done.stdout[-5000:]


def test_the_document_is_openapi_31(built: Service) -> None:
    """By the schema of the specification."""
    described = json.loads(built.openapi)
    assert described["openapi"] == "3.1.0"
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(described)] == []


@pytest.mark.parametrize(("mode", "encode"), [("structured", to_structured), ("binary", to_binary)])
def test_a_cloudevents_library_posts_events(built: Service, mode: str, encode: Callable[..., Any]) -> None:
    """In structured and binary mode, made and encoded by another author's code; the event's id is no ASCII."""
    case = f"CE-{mode}"
    told = Events().apply("2018-09-10T09:12:00+08:00", case, uscc(len(mode)))
    attributes = {
        "id": f"事件 {mode}", "source": PROVINCE, "type": told["type"], "specversion": "1.0",
        "time": datetime.fromisoformat(told["time"]), "datacontenttype": "application/json",
    }  # fmt: skip
    message = encode(CloudEvent(attributes=attributes, data=told["data"]), JSONFormat())
    with TestClient(built.app(), base_url=HERE) as client:
        answer = client.post("/v1/events", content=message.body, headers=message.headers)
        assert (answer.status_code, answer.json()) == (202, {"id": f"事件 {mode}", "state": "taken"})
        end = time.monotonic() + 60
        while time.monotonic() < end and client.get(f"/v1/cases/{case}").status_code != 200:
            time.sleep(0.1)
        assert client.get(f"/v1/cases/{case}").json()["state"] in ("granted", "issued")

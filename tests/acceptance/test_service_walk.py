"""The walk of docs/service.md, its shell blocks run as they stand: from nothing to a licence that anybody verifies."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from story import ROOT

from producers.form_fields import fill
from schemas.calendar import CHINA
from tests.infra.http.test_http_faults import running
from tests.producers.test_packets import business_licence

WHO = {"applicant.name": "青海纸上化工有限公司", "applicant.id": "91630225000000027H"}


def blocks() -> list[str]:
    """The shell blocks of the first chapter."""
    text = (ROOT / "docs" / "service.md").read_text("utf-8")
    chapter = text.partition("## From nothing to a licence")[2].partition("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", chapter, re.DOTALL)


class Shell:
    """A terminal in a folder; what is printed is kept."""

    def __init__(self, folder: Path) -> None:
        command = folder / "bin" / "zhengzhao"
        command.parent.mkdir()
        code = "import sys; from infra.cli import main; sys.exit(main())"
        command.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{code}' \"$@\"\n")
        command.chmod(0o755)
        self._folder = folder
        self._path = f"{command.parent}:{os.environ['PATH']}"

    def run(self, block: str, url: str = "") -> str:
        done = subprocess.run(
            ["bash", "-euc", block.replace("http://127.0.0.1:8080", url)],
            cwd=self._folder, env={**os.environ, "PATH": self._path, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (block, done.stdout, done.stderr)
        return done.stdout


def wait_for(shell: Shell, url: str, case: str, state: str) -> dict[str, Any]:
    """The case when it has come so far."""
    loop = f"for i in $(seq 300); do curl -s {url}/v1/cases/{case} | grep -q '\"{state}\"' && break; sleep 0.2; done"
    found: dict[str, Any] = json.loads(shell.run(f"{loop}; curl -s {url}/v1/cases/{case}"))
    assert found["state"] == state
    return found


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("bash")), reason="needs bash and curl")
def test_the_walk_of_the_document(tmp_path: Path) -> None:
    """Keys, agency, signed event, papers, token, licence, verdict."""
    start, signed, papers, licence = blocks()
    shell = Shell(tmp_path)
    shell.run(start.replace("zhengzhao run", "# zhengzhao run"))
    with running(tmp_path / "zhengzhao-data") as (_, url):
        out = shell.run(signed, url)
        assert '"state":"taken"' in out, out
        case = wait_for(shell, url, "QH-1", "issued")
        assert (case["licence_number"], case["auth"]) == ("(青)XK13-001-00001", "proof")
        shell.run(papers.partition("\n")[0])
        hand_in(tmp_path)
        (row,) = json.loads(shell.run(papers.partition("\n")[2], url))["results"]
        wait_for(shell, url, row["application_id"], "issued")
        out = shell.run(licence, url)
        assert '"verdict":"valid"' in out
        assert "valid (真 / genuine)" in out
        assert (tmp_path / "licence.pdf").read_bytes()[:5] == b"%PDF-"


def hand_in(folder: Path) -> None:
    """The papers filled in, beside the blank ones."""
    form, letter = (folder / "forms" / name for name in ("application-form.pdf", "commitment-letter.pdf"))
    place = {"applicant.address": "积石镇2号", "applicant.division": "630225", "window": "630225"}
    product = {"products.1.category": "化肥", "products.1.site": "积石镇"}
    yesterday = (datetime.now(CHINA) - timedelta(days=1)).date().isoformat()
    signed = {"signed_on": yesterday, "signatory": "马木沙"}
    (folder / "form.pdf").write_bytes(fill(form.read_bytes(), {**WHO, **place, **product}))
    (folder / "letter.pdf").write_bytes(fill(letter.read_bytes(), {**WHO, **signed}))
    says = {
        "名称": WHO["applicant.name"],
        "统一社会信用代码": WHO["applicant.id"],
        "住所": place["applicant.address"],
    }
    (folder / "business-licence.pdf").write_bytes(business_licence(**says))

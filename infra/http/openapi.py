"""OpenAPI 3.1 document of the service: paths here, events and answers from the structs that are read and sent."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from infra.contracts import event_schema
from infra.http.limits import RequestLimits
from infra.http.problems import MEDIA_TYPE, TITLES
from infra.stores.uploads import Form
from schemas.event_types import EVENT_TYPES
from schemas.rows import CaseRow, HolderRow, LicenceRecordRow, LicenceRow
from verification.verify import Verdict

Document = dict[str, Any]
_REF: Final = "#/components/schemas/"
_PROBLEM: Final[Document] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "where": {"type": "string", "description": "the field that is wrong"},
        "hint": {"type": "string", "description": "what to do"},
    },
}
_TAKEN: Final[Document] = {
    "type": "object",
    "required": ["id", "state"],
    "properties": {
        "index": {"type": "integer", "description": "place in the batch, from 0"},
        "id": {"type": "string"},
        "state": {"enum": ["taken", "rejected"]},
    },
}
_RESULTS: Final[Document] = {
    "type": "object",
    "required": ["results"],
    "properties": {"results": {"type": "array", "items": {"$ref": f"{_REF}Taken"}}},
}
_PARTS: Final[Document] = {
    "206": {"description": "部分内容 / the bytes of one range"},
    "304": {"description": "未变 / the client has it already"},
}
_ANSWERS: Final = (
    CaseRow,
    LicenceRow,
    LicenceRecordRow,
    HolderRow,
    Verdict,
)  # generated from what is answered


def document(limits: RequestLimits) -> Document:
    """Return the whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "zhengzhao",
            "version": "1.0.0",
            "description": "申请事件进，电子证照出 / Application events in, signed licences out. An event is acknowledged "
            "when it is durable; sent again it gets the same answer. Errors are problem details (RFC 9457) in the "
            "language of `Accept-Language` (zh, en), or in both.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {**_ways_in(limits), **_queries(), **_public()},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> Document:
    own = {
        "Problem": _PROBLEM,
        "Taken": _TAKEN,
        "Results": _RESULTS,
        **msgspec.json.schema_components(_ANSWERS, ref_template=f"{_REF}{{name}}")[1],
    }
    for name in EVENT_TYPES:
        schema = event_schema(name)
        own.update({key: _moved(value) for key, value in schema.pop("$defs").items()})
        for key in ("$schema", "$id"):
            del schema[key]
        own[f"event.{name}"] = _moved(schema)
    own["Event"] = {
        "oneOf": [{"$ref": f"{_REF}event.{name}"} for name in sorted(EVENT_TYPES)],
    }
    return own


def _moved(node: Any) -> Any:
    """Return a schema whose references lead into the components of the document."""
    if isinstance(node, dict):
        return {k: v.replace("#/$defs/", _REF) if k == "$ref" else _moved(v) for k, v in node.items()}
    return [_moved(v) for v in node] if isinstance(node, list) else node


def _ways_in(limits: RequestLimits) -> Document:
    return {
        "/v1/events": {
            "post": _operation(
                "takeEvents",
                "CloudEvents 1.0，结构化、二进制或成批 / structured, binary or batched",
                headers={
                    f"ce-{name}": f"二进制模式的 {name} / {name}, in binary mode"
                    for name in ("specversion", "id", "source", "type", "time", "subject", "proof")
                },
                body={
                    "application/json": {},
                    "application/cloudevents+json": _ref("Event"),
                    "application/cloudevents-batch+json": {
                        "type": "array",
                        "items": _ref("Event"),
                        "maxItems": limits.batch_events,
                    },
                },
                answers={
                    "202": _json("收下 / taken in: durable", {"anyOf": [_ref("Taken"), _ref("Results")]}),
                    "207": _json("部分收下 / some were rejected", _ref("Results")),
                },
                rejects=_ref("Results"),
                problems=(400, 401, 403, 408, 409, 413, 415, 421, 422, 429, 503, 507),
                security=[{}, {"token": []}],
            )
        },
        **_paper_ways(),
    }


def _paper_ways() -> Document:
    return {
        "/v1/packets": {
            "post": _operation(
                "takePackets",
                "PDF 申请材料 / PDF packets",
                body={
                    "application/pdf": {},
                    "multipart/form-data": {
                        "type": "object",
                        "properties": {
                            "paper": {"type": "array", "items": {"type": "string", "format": "binary"}}
                        },
                    },
                },
                query={
                    "source": "来源 / source URN; at this machine only",
                    "application": "补正的申请编号 / id of the application that asked for these papers",
                },
                answers={
                    "202": _json("收下 / taken in: durable", _ref("Results")),
                    "207": _json("部分收下 / some were rejected", _ref("Results")),
                },
                rejects=_ref("Results"),
                problems=(400, 401, 403, 408, 413, 415, 421, 422, 429, 503, 507),
            )
        },
        "/v1/materials": {
            "post": _operation(
                "keepMaterial",
                "上传材料 / uploads a material",
                body={"application/octet-stream": {}},
                answers={
                    "201": _json("已存 / kept", {"type": "object", "required": ["uri", "sha256", "size"]})
                },
                problems=(400, 401, 403, 408, 413, 415, 421, 429, 503, 507),
            )
        },
    }


def _queries() -> Document:
    problems = (400, 401, 403, 404, 421, 429, 503)
    return {
        "/v1/cases/{application_id}": {
            "get": _operation(
                "showCase", "查办件 / a case", path=("application_id",),
                query={"holder": "同号时指明持证人 / the holder, where several share the id"},
                answers={"200": _json("办件 / the case", _ref("CaseRow"))}, problems=problems,
            )
        },
        "/v1/licences": {
            "get": _operation(
                "listLicences", "列出证照 / licences; `Link` names the next page", numbers={"limit": 1000},
                query={"after": "上一页给出 / from the next link of the page before"},
                answers={"200": _json("证照 / licences", {"type": "array", "items": _ref("LicenceRow")})}, problems=problems,
            )
        },
        "/v1/licences/{number}": {
            "get": _operation(
                "showLicence", "查证照 / a licence", path=("number",),
                answers={"200": _json("证照 / the licence", _ref("LicenceRecordRow"))}, problems=problems,
            )
        },
        "/v1/licences/{number}/artefact": {
            "get": _operation(
                "getArtefact", "取证照文件 / an artefact", path=("number",), numbers={"version": 10**6},
                choices={"format": get_args(Form)},
                answers={
                    "200": {
                        "description": "文件 / the file",
                        "content": {k: {} for k in ("application/pdf", "application/cwt", "application/json")},
                    },
                    **_PARTS,
                },
                problems=(*problems, 406, 416),
            )
        },
        "/v1/holders/{holder_id}": {
            "get": _operation(
                "showHolder", "查持证人 / a holder", path=("holder_id",),
                answers={"200": _json("持证人 / the holder", _ref("HolderRow"))}, problems=problems,
            )
        },
    }  # fmt: skip


def _public() -> Document:
    cwt: Document = {"description": "CWT", "content": {"application/statuslist+cwt": {}}}
    text: Document = {
        "description": "文件 / the file",
        "content": {"application/x-pem-file": {}, "application/json": {}},
    }
    return {
        "/v1/verify": {
            "post": _operation(
                "verify", "核验 / verifies a PDF, CWT, QR picture or QR text", body={
                    kind: {} for kind in ("application/octet-stream", "application/pdf", "image/png", "image/jpeg", "text/plain")
                },
                query={"at": "核验时间 / the moment asked for, RFC 3339"},
                answers={"200": _json("结论 / the verdict", _ref("Verdict"))},
                problems=(400, 403, 408, 413, 415, 421, 429, 503), security=[],
            )
        },
        "/status/{list}": {
            "get": _operation(
                "statusList", "状态列表 / a status list (Token Status List)", path=("list",),
                numbers={"time": 10**11}, answers={"200": cwt, **_PARTS}, problems=(400, 403, 404, 416, 421, 429, 503), security=[],
            )
        },
        "/trust/{name}": {
            "get": _operation(
                "trustFile", "信任目录 / a file of the trust folder", path=("name",), answers={"200": text, **_PARTS},
                problems=(400, 403, 404, 416, 421, 429, 503), security=[],
            )
        },
        "/log/checkpoint": {
            "get": _operation(
                "logCheckpoint", "透明日志的检查点 / the checkpoint of the transparency log (C2SP tlog-tiles)",
                answers={"200": {"description": "signed note", "content": {"text/plain": {}}}, **_PARTS},
                problems=(400, 403, 404, 416, 421, 429, 503), security=[],
            )
        },
        **_probes(),
    }  # fmt: skip


def _probes() -> Document:
    some: Document = {"type": "object"}
    return {
        "/healthz": {
            "get": _operation(
                "health", "健康 / health", answers={"200": _json("正常 / well", some), "503": _json("故障 / failing", some)},
                problems=(400, 403, 421, 429), security=[],
            )
        },
        "/livez": {
            "get": _operation(
                "live", "存活 / liveness", answers={"200": _json("运行 / running", some), "503": _json("须重启 / start it anew", some)},
                problems=(400, 403, 421, 429), security=[],
            )
        },
        "/readyz": {
            "get": _operation(
                "ready", "就绪 / readiness", answers={"200": _json("就绪 / ready", some), "503": _json("尚在追赶 / catching up", some)},
                problems=(400, 403, 421, 429), security=[],
            )
        },
        "/metrics": {
            "get": _operation(
                "metrics", "指标 / figures for Prometheus",
                answers={"200": {"description": "text", "content": {"text/plain": {}}}}, problems=(400, 403, 421, 429), security=[],
            )
        },
    }  # fmt: skip


def _operation(
    name: str,
    summary: str,
    *,
    answers: Document,
    problems: tuple[int, ...],
    path: tuple[str, ...] = (),
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    numbers: dict[str, int] | None = None,
    choices: dict[str, tuple[str, ...]] | None = None,
    body: Document | None = None,
    rejects: Document | None = None,
    security: list[Document] | None = None,
) -> Document:
    parameters: list[Document] = [
        {"name": p, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for p in path
    ]
    parameters += [
        {"name": name, "in": place, "description": about, "schema": {"type": "string"}}
        for place, given in (("query", query), ("header", headers))
        for name, about in (given or {}).items()
    ]
    parameters += [
        {"name": n, "in": "query", "schema": {"enum": list(values)}} for n, values in (choices or {}).items()
    ]
    parameters += [
        {"name": n, "in": "query", "schema": {"type": "integer", "minimum": 0, "maximum": most}}
        for n, most in (numbers or {}).items()
    ]
    responses = {**answers, **{str(code): _problem(code) for code in problems if str(code) not in answers}}
    if rejects is not None:
        responses["422"]["content"]["application/json"] = {"schema": rejects}
    operation: Document = {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": responses,
        "security": [{"token": []}] if security is None else security,
    }
    if body is not None:
        content = {kind: {"schema": schema} if schema else {} for kind, schema in body.items()}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _ref(name: str) -> Document:
    return {"$ref": f"{_REF}{name}"}


def _json(about: str, schema: Document) -> Document:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _problem(code: int) -> Document:
    return {"description": TITLES[code], "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}

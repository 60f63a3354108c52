/**
 * The verification of a licence in a browser, by a stranger who has a trust bundle and a status list.
 *
 * The steps are those of `verification/verify.py`, made a second time from the contract:
 *
 * 1. The bytes tell what they are: PDF, CWT, picture, QR text or `licence.json`; each kind has a cap.
 * 2. A PDF: the seal covers the whole file, in the one form, by a seal key of the bundle. Only then is the file
 *    looked into. A picture or QR text: the one text of the contract, and the credential in it.
 * 3. The credential: one encoding; signed by a credential key; the claims are a licence's; the key is the
 *    authority's own, signed at that time, and was not revoked by then. The same for the seal's key.
 * 4. The body: its SHA-256 is in the credential, its encoding is the canonical one, both say the same.
 * 5. A PDF's visible page says what they say. With this the file is genuine.
 * 6. The moment asked for lies within the licence's dates.
 * 7. The status list: the edition in force at that moment, signed; without one the answer is `unknown`.
 * 8. The transparency log, where one is given: a licence decided since it began is `unknown` without its inclusion.
 * 9. The trust list: past the date until which it is fresh, `unknown`, since a later one may revoke a key.
 *
 * What a key signed that was revoked later is not judged without a proof of the log from before the revocation.
 *
 * After a check that fails no later one is made on what it did not clear; the first that says no decides: `unknown`
 * where there was nothing that could be judged, otherwise `invalid`.
 */

import { checkBody, readCredential } from "./credential.js";
import { fromUtf8, sha256, toHex } from "./bytes.js";
import { readBody } from "./body.js";
import * as inputs from "./inputs.js";
import { checkLogged } from "./log.js";
import { chinaTime } from "./moments.js";
import { checkPage } from "./page_text.js";
import { attachments, Objects, readLayout } from "./pdf.js";
import { isQrText, MAX_TEXT, readQrText } from "./qr_text.js";
import { NotJudged, Refused } from "./refusals.js";
import { checkSeal } from "./seal.js";
import { findStatus, SUSPENDED, VALID } from "./status.js";
import { checkKeyTime } from "./trust.js";

const FILES = ["credential.cwt", "licence.json"];

/** The checks so far of one file under verification, and what they cleared. */
class Case {
  constructor(trust) {
    this.trust = trust;
    this.checks = [];
    this.credential = null;
    this.body = null;
    this.raw = null; // the credential's bytes
    this.pdf = null;
    this.seal = null;
  }

  /** Make a check: it passes unless the work raises Refused. */
  async check(name, work) {
    try {
      const found = await work();
      this.checks.push({ name, ok: true, code: `ok-${name}`, values: {} });
      return found;
    } catch (error) {
      if (error instanceof Refused) this.checks.push({ name, ok: false, code: error.code, values: error.values });
      throw error;
    }
  }
}

/**
 * Return the verdict on bytes as of a moment: `{verdict, genuine, checks, licence, statusUri}`.
 *
 * `options`: `trust` (a Trust), `source` (see status.js, or null), `at` (Unix seconds), `credential` (the CWT that
 * goes with a `licence.json`), `log` (`async (digest, issuedAt) => proofs` of the credential with that SHA-256, null
 * where nobody answers), `pictures` (`async (bytes) => texts` of the QRs in a picture). TrustFailed where the
 * bundle itself does not hold; nothing else is raised, whatever the bytes. An empty file and a `licence.json` alone
 * are no case for a verdict: ask `inputs.sniff` first.
 */
export async function verify(bytes, options) {
  const made = new Case(options.trust);
  let proved = false;
  try {
    await genuine(made, bytes, options);
    proved = await outlivedItsKey(made, options.log);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const verdict = error instanceof NotJudged ? "unknown" : "invalid";
    return { verdict, genuine: false, checks: made.checks, licence: {}, statusUri: null };
  }
  const verdict = await standing(made, options);
  const logged = !options.log || proved || (await inLog(made, options.log));
  const doubtful = verdict.verdict === "valid" && (!logged || isStale(made, options.at));
  return doubtful ? { ...verdict, verdict: "unknown", licence: { ...verdict.licence, status: "unknown" } } : verdict;
}

// 9

/** Return whether a later trust list should have been fetched by that moment; a check says so. */
function isStale({ trust, checks }, at) {
  const stale = at > trust.freshUntil;
  if (stale) checks.push({ name: "trust", ok: false, code: "trust-stale", values: { until: trust.freshUntil } });
  return stale;
}

// 1

async function genuine(made, bytes, options) {
  switch (inputs.sniff(bytes)) {
    case inputs.PDF:
      return pdf(made, bytes);
    case inputs.CWT:
      return credential(made, bytes);
    case inputs.PICTURE:
      return qrText(made, await made.check("qr", () => oneText(bytes, options.pictures)));
    case inputs.QR_TEXT:
      return qrText(made, written(bytes));
    case inputs.BODY:
      await credential(made, options.credential ?? new Uint8Array());
      return body(made, bytes);
    default:
      return made.check("form", () => {
        throw new NotJudged("form-other");
      });
  }
}

// 2

async function pdf(made, bytes) {
  const layout = await made.check("form", () => readLayout(bytes));
  const key = await made.check("seal", () => checkSeal(layout.cms, layout.digest, made.trust));
  const { objects, files } = await made.check("attachments", () => attached(bytes));
  const read = await credential(made, files.get(FILES[0]));
  await made.check("seal-key", () => {
    if (key.authority !== read.authority) throw new Refused("seal-authority");
    checkKeyTime(key, read.issuedAt);
  });
  Object.assign(made, { pdf: bytes, seal: key });
  const said = await body(made, files.get(FILES[1]));
  // 5
  await made.check("page", () => checkPage(objects, said));
}

function attached(bytes) {
  const objects = new Objects(bytes);
  const files = attachments(objects);
  if (files.size !== FILES.length || !FILES.every((name) => files.has(name))) throw new Refused("pdf-files");
  return { objects, files };
}

async function oneText(bytes, pictures) {
  const texts = new Set((await pictures(bytes)).filter(isQrText));
  if (!texts.size) throw new NotJudged("qr-none");
  if (texts.size > 1) throw new NotJudged("qr-several");
  return [...texts][0];
}

/** Return the text of a QR in a file: a byte order mark and white space around it are no part of it. */
function written(bytes) {
  try {
    return fromUtf8(bytes.subarray(0, 2 * MAX_TEXT)).trim(); // trim takes the mark too
  } catch {
    return "";
  }
}

async function qrText(made, text) {
  const { host, credential: raw } = await made.check("qr-text", () => readQrText(text));
  const read = await credential(made, raw);
  await made.check("host", () => {
    // The host is not signed by itself, but the credential's status list lies there.
    const { statusUri: uri } = read;
    if (!uri.startsWith(`https://${host.toLowerCase()}/`)) throw new Refused("host-other", { host, uri });
  });
}

// 3

async function credential(made, bytes) {
  made.credential = await made.check("credential", () => readCredential(bytes, made.trust));
  made.raw = bytes;
  return made.credential;
}

// 4

async function body(made, bytes) {
  made.body = await made.check("body", async () => {
    const read = readBody(bytes);
    await checkBody(made.credential, read, bytes);
    return read;
  });
  return made.body;
}

// 6, 7

async function standing(made, { source, at }) {
  const { credential: read, checks } = made;
  const within = read.notBefore <= at && (read.expires === null || at <= read.expires);
  const span = { from: read.validFrom, until: read.validUntil, at };
  checks.push({ name: "dates", ok: within, code: within ? "ok-dates" : "dates-outside", values: span });
  let found = null;
  try {
    if (!source) throw new Refused("status-absent");
    found = await findStatus(source, read.statusUri, read.statusIndex, at, made.trust);
    checks.push({ name: "status", ok: found.status === VALID, code: statusCode(found), values: statusValues(found) });
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    checks.push({ name: "status", ok: false, code: error.code, values: error.values });
  }
  const good = found !== null && found.status === VALID;
  const verdict = !within || (found && !good) ? "invalid" : good ? "valid" : "unknown";
  return { verdict, genuine: true, checks, licence: licence(made, verdict, found, at), statusUri: read.statusUri };
}

// 8

/** Check what a revoked key signed, where one did; return whether the log's proof was asked for. */
async function outlivedItsKey(made, log) {
  const keys = [made.trust.keys.get(made.credential.kid), made.seal].filter((key) => key && key.revoked !== null);
  if (!keys.length) return false;
  const since = Math.min(...keys.map((key) => key.revoked));
  await made.check("log", async () => {
    try {
      await included(made, log, since);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      throw new NotJudged("log-revoked", { since });
    }
  });
  return true;
}

/** Check that the licence is in the log; one decided before the log began need not be. */
async function inLog(made, log) {
  try {
    const found = await included(made, log, null);
    made.checks.push({ name: "log", ok: true, code: "ok-log", values: found });
    return true;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.code === "log-silent") return true; // a page that has no answer asks no more than one that does not ask
    const from = made.trust.log?.from ?? null;
    const older = error.code === "log-absent" && from !== null && made.credential.issuedAt < from;
    const said = older ? { code: "log-older", values: { from } } : { code: error.code, values: error.values };
    made.checks.push({ name: "log", ok: older, ...said });
    return older;
  }
}

/** Return where the licence stands in the log, by the first proof that holds; Refused says what is wrong with the last. */
async function included(made, log, before) {
  const { number, version, identifier } = made.credential;
  const credential = toHex(await sha256(made.raw));
  const object = made.pdf && toHex(await sha256(made.pdf));
  const proofs = log ? await log(credential, made.credential.issuedAt) : [];
  if (proofs === null) throw new Refused("log-silent");
  let fault = new Refused("log-absent");
  for (const proof of proofs) {
    try {
      return await checkLogged(proof, { number, version, identifier, credential, object }, made.trust, before);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      fault = error;
    }
  }
  throw fault;
}

function statusCode(found) {
  if (found.status === VALID) return "ok-status";
  if (found.reason) return "status-reason";
  return found.status === SUSPENDED ? "status-suspended" : "status-invalid";
}

function statusValues(found) {
  return { issued: found.issuedAt, expires: found.expires, ...(found.reason ?? {}) };
}

function licence({ credential: read, body: said }, verdict, found, at) {
  const reason = found?.reason ?? null;
  return {
    number: read.number,
    identifier: read.identifier,
    version: read.version,
    status: statusWord(read, verdict, found, at),
    item: read.item,
    holder_id: read.holderId,
    holder_name: said ? said.CZZT : read.holderName,
    authority: read.authority,
    authority_name: read.authorityName,
    issued_on: said ? said.ZZBFRQ : read.validFrom,
    valid_from: read.validFrom,
    valid_until: read.validUntil,
    decided_at: chinaTime(read.issuedAt),
    products: read.products,
    categories: read.categories,
    previous_identifier: read.previousIdentifier,
    reason: reason?.text ?? null,
    since: reason?.date ?? null,
    version_in_force: reason?.version ?? null,
    ...(said ? { name: said.ZZMC, address: said.address } : {}),
  };
}

function statusWord(read, verdict, found, at) {
  if (found && found.status !== VALID) {
    return found.reason?.status ?? (found.status === SUSPENDED ? "suspended" : "invalid");
  }
  if (verdict === "invalid") return at < read.notBefore ? "not-yet-valid" : "expired";
  return verdict === "valid" ? "valid" : "unknown";
}

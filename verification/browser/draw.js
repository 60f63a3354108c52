/**
 * A random draw of inspections, made again in a browser from the published files. Nothing leaves the page.
 *
 * The steps are those of `verification/draw.py`, made from the contract once more:
 *
 * 1. Transcript and announcement are canonical, and signed by a draw key of the trust bundle for their authority.
 * 2. The registers are the announced ones; populations, counts and exclusions follow from them and the plan.
 * 3. Each secret fits its commitment and is signed for this announcement; the seed follows from the secrets.
 * 4. The lowest tickets are drawn; the inspectors follow from seed, loads, duty tickets and conflicts.
 *
 * Every check is made even after one fails. `unchecked` names what the files given cannot show here.
 */

import { equal, fromBase64, fromHex, fromUtf8, sha256, toBase64Url, toHex, toUtf8 } from "./bytes.js";
import { canonical, isCanonical, parse } from "./canonical.js";
import { isP256, rawSignature, verifies } from "./der.js";
import { Chain, others } from "./draw_chain.js";
import { seedParts, Sources } from "./draw_public.js";
import { COLUMNS, must, readRegister, textOf, Wrong } from "./draw_register.js";
import { seconds } from "./moments.js";
import { Refused, TrustFailed } from "./refusals.js";
import { digest as digestOf, Hashing, hex } from "./sha256.js";

const ALGORITHM = "zhengzhao-draw-1";
const HEX64 = /^[0-9a-f]{64}$/;
const NO_CONFLICTS = { columns: ["inspector_id", "target_id", "reason"], count: 0, digest: digestOf(new Uint8Array()) };

/** The checks of one verification; each is made even after one failed. */
class Checks {
  constructor() {
    this.done = [];
  }

  /** Make a check; return what it found, or undefined where it failed. */
  async run(name, work) {
    try {
      const found = await work();
      this.done.push({ name, ok: true, detail: typeof found === "string" ? found : "" });
      return found ?? true;
    } catch (error) {
      const refused = error instanceof Refused && !(error instanceof TrustFailed);
      const known = refused || error instanceof Wrong || error instanceof TypeError || error instanceof RangeError;
      if (!known) throw error;
      this.done.push({ name, ok: false, detail: error instanceof Wrong ? error.message : "not of the form that it should have" });
      return undefined;
    }
  }
}

/**
 * Return `{verdict, unchecked, checks, drawn}` of a transcript and the registers given with it.
 *
 * `files`: bytes of `transcript`, `targets`, and perhaps `inspectors`, `conflicts`; lists of `papers` (the chain) and
 * `tokens` (timestamps). `options`: `trust` (a Trust, or null: signatures are then unchecked), `known` (see Sources),
 * `at` (Unix seconds), `progress` (called with a share from 0 to 1).
 */
export async function verifyDraw(files, { trust = null, known = {}, at, progress = () => {} }) {
  const checks = new Checks();
  const unchecked = new Set(["earlier", "order", "publication", "replacements"]);
  const report = (drawn, open = unchecked) => {
    const verdict = checks.done.every((one) => one.ok) ? "valid" : "invalid";
    return { verdict, unchecked: [...open].sort(), checks: checks.done, drawn };
  };
  const t = await checks.run("form", () => readTranscript(files.transcript));
  if (!t) return report([], []);
  const plan = t.announcement;
  const announced = await checks.run("announcement", () => checkAnnouncement(t));
  if (!announced) return report([], []);
  if (trust) {
    await checks.run("announcement-signature", () => signed(plan, plan.authority, trust));
    await checks.run("signature", () => signed(t, plan.authority, trust));
  } else unchecked.add("signatures");
  const unknown = await checks.run("parties", () => checkParties(plan, trust));
  if (!Array.isArray(unknown) || unknown.length) unchecked.add("parties");
  const sources = new Sources(known, trust);
  await checks.run("reveals", () => checkReveals(t, sources));
  await checks.run("public", () => checkPublic(t, at, unchecked, sources));
  if (t.proofs?.length && sources.authorities.length) await checks.run("publication", () => checkPublished(t, unchecked, sources));
  const out = await checkChain(t, files, { checks, unchecked, trust, sources, at });
  await checks.run("seed", () => checkSeed(t));
  const open = (kind) => checks.run(`${kind}-readable`, () => readRegister(files[kind], kind));
  const compare = (kind, register) => checks.run(kind, async () => same(await register.summary(), plan.registers[kind], kind));
  const targets = await open("targets");
  if (targets) await compare("targets", targets);
  progress(0.1);
  const drawn = targets && (await checks.run("tickets", () => drawAgain(t, targets, out, (share) => progress(0.1 + 0.8 * share))));
  const inspectors = files.inspectors ? await open("inspectors") : undefined;
  if (inspectors) await compare("inspectors", inspectors);
  if (inspectors && plan.unavailable) await checks.run("unavailable", () => checkAbsent(plan, inspectors));
  const conflicts = files.conflicts ? await open("conflicts") : undefined;
  if (conflicts) await compare("conflicts", conflicts);
  else if (!plan.registers.conflicts.count) await checks.run("conflicts", () => same(NO_CONFLICTS, plan.registers.conflicts, "conflicts"));
  if (targets && inspectors && (conflicts || !plan.registers.conflicts.count)) {
    await checks.run("assignments", () => visitAgain(t, targets, inspectors, conflicts));
    if (drawn) await checks.run("smallest-choice", () => checkChoice(t, targets, inspectors, conflicts, drawn.divisions));
  } else unchecked.add("assignments");
  progress(1);
  return report(drawn ? t.strata.flatMap((stratum) => stratum.drawn.map(({ id }) => id)) : []);
}

function readTranscript(bytes) {
  const t = parse(bytes);
  must(t !== null && typeof t === "object" && !Array.isArray(t), "not a transcript");
  must(isCanonical(t, bytes), "not canonical JSON: other bytes of the same content");
  const whole = ["announcement", "announcement_digest", "assignments", "excluded", "reveals", "seed", "signature", "skipped", "strata"];
  must(whole.every((key) => Object.hasOwn(t, key)), "not a transcript: a part is missing");
  must(Object.keys(t).every((key) => whole.includes(key) || key === "public" || key === "proofs"), "not a transcript: an unknown part");
  must(Array.isArray(t.reveals) && t.reveals.every((one) => one !== null && typeof one === "object"), "not a transcript: `reveals`");
  return t;
}

function without(value, name) {
  const { [name]: _, ...rest } = value;
  return rest;
}

function checkAnnouncement({ announcement, announcement_digest: told }) {
  must(announcement.algorithm === ALGORITHM, "another algorithm");
  must(digestOf(toUtf8(canonical(without(announcement, "signature")))) === told, "announcement_digest is not the announcement's");
  must(Object.keys(COLUMNS).every((kind) => announcement.registers[kind].columns), "a register is missing");
  const parties = announcement.seed.parties;
  must(new Set(parties).size === parties.length && parties.length > 1, "not the parties of the plan");
  must(canonical(announcement.commitments.map((one) => one.party)) === canonical(parties), "not the parties of the plan");
  return true;
}

async function signed(document, authority, trust) {
  const { alg, kid, value } = document.signature;
  const key = trust.key(kid, "draw");
  must(alg === "ES256" && key, `signed by ${kid}, which is no draw key of the trust folder`);
  must(key.authority === "*" || key.authority === authority, `signed by a key of ${key.authority}`);
  must(key.revoked === null, "signed by a key that was revoked");
  const raw = fromBase64(value);
  must(toBase64Url(raw) === value, "the signature is no base64url in its one form");
  const { spki } = await trust.certificate(kid);
  must(await verifies(spki, raw, toUtf8(canonical(without(document, "signature")))), "the signature does not fit these bytes");
  return kid;
}

/** Return the SubjectPublicKeyInfo in a PEM. */
function publicKey(pem) {
  const found = /^-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*$/.exec(pem);
  must(found, "no public key in PEM");
  const spki = fromBase64(found[1].replace(/\s/g, ""));
  must(isP256(spki), "not a P-256 key");
  return spki;
}

/** Return the parties without a registered key; Wrong where a key breaks a rule. */
async function checkParties(plan, trust) {
  const owners = new Map();
  for (const { party, key } of plan.commitments) {
    const own = toHex(publicKey(key));
    must(!owners.has(own), `${owners.get(own)} and ${party} have one key`);
    owners.set(own, party);
  }
  for (const { party, deposit } of plan.commitments) {
    must(deposit || plan.seed.deposits !== true, `${party} made no deposit, which the plan requires`);
    if (deposit?.supervisor) must(!owners.has(toHex(publicKey(deposit.supervisor))), "a party's key is a supervisor's");
  }
  const unknown = [];
  for (const { party, key } of plan.commitments) {
    if (!trust || !(await registered(party, publicKey(key), plan, trust))) unknown.push(party);
  }
  return unknown;
}

async function registered(party, spki, plan, trust) {
  const end = seconds(`${plan.period[1]}T23:59:59+08:00`);
  let found = null;
  for (const key of trust.keys.values()) {
    if (key.use !== "log" && equal((await trust.certificate(key.kid)).spki, spki)) found = key;
  }
  if (found) must(found.use === "party" && found.authority === party, `the key of ${party} is listed as ${found.use} of ${found.authority}`);
  const own = [...trust.keys.values()].filter((key) => key.use === "party" && key.authority === party && key.revoked === null);
  const good = found !== null && own.includes(found);
  if (!good && own.every((key) => key.from > end)) return false;
  must(good || !own.length, `the key of ${party} is not the registered one`);
  return good;
}

async function checkReveals(t, sources) {
  must(canonical(t.reveals.map((one) => one.party)) === canonical(t.announcement.seed.parties), "not one reveal of each party, in order");
  for (const [n, shown] of t.reveals.entries()) {
    const promise = t.announcement.commitments[n];
    must(HEX64.test(shown.secret), `the secret of ${shown.party} is no hex`);
    must(toHex(await sha256(fromHex(shown.secret))) === promise.commitment, `the secret of ${shown.party} does not fit its commitment`);
    must(shown.opened === undefined || (shown.opened === true && promise.deposit), `${shown.party} deposited nothing that can be opened`);
    if (shown.opened && !promise.deposit.supervisor) {
      await sources.checkSealed(shown.signature, promise.deposit.round);
      continue;
    }
    const raw = rawSignature(fromBase64(shown.signature));
    const key = publicKey(shown.opened ? promise.deposit.supervisor : promise.key);
    const text = toUtf8(`${ALGORITHM}:${t.announcement_digest}`);
    must(raw && toBase64Url(fromBase64(shown.signature)) === shown.signature && (await verifies(key, raw, text, false)), `the reveal of ${shown.party} is not signed for this announcement`);
  }
  return `${t.reveals.length} parties`;
}

async function checkPublic(t, at, unchecked, sources) {
  const source = t.announcement.seed.public;
  await sources.check(t.public, source);
  if (source === undefined) return "none planned";
  must(sources.timeOf(source) <= at, "the public value does not exist yet");
  if (source.beacon !== undefined) return `round ${source.round} of ${source.beacon}`;
  unchecked.add("public");
  return `look it up: ${source.source} at ${source.at}`;
}

/** Check that the proofs, where all are timestamps, are older than the public value. */
async function checkPublished(t, unchecked, sources) {
  const source = t.announcement.seed.public;
  unchecked.delete("publication");
  const first = await sources.publishedAt(t);
  if (first === null || source === undefined) unchecked.add("publication");
  if (first === null) return "a proof of the log: zhengzhao draw verify";
  const shown = `published by ${new Date(first * 1000).toISOString()}`;
  if (source === undefined) return shown; // There is no time to compare with.
  must(first < sources.timeOf(source), "no proof is older than the public value");
  return shown;
}

/** Check the papers of the chain, where there are any; return the targets left out for earlier draws, where that shows. */
async function checkChain(t, files, { checks, unchecked, trust, sources, at }) {
  if (!trust || !files.papers?.length) return null;
  const chain = new Chain(t, files.transcript);
  const reveals = (one) => checkReveals(one, sources);
  const found = await checks.run("order", async () => {
    for (const bytes of others(files.papers, files.transcript)) await chain.read(bytes, (document, authority) => signed(document, authority, trust));
    const told = chain.check();
    await chain.checkVoids({ reveals, sources, at, tokens: files.tokens ?? [] });
    return told;
  });
  unchecked.delete("order");
  if (!chain.later && t.announcement.replacements === undefined) unchecked.delete("replacements");
  if (!found) return null;
  const out = await checks.run("earlier", () => chain.leftOut() ?? true);
  if (out !== true) unchecked.delete("earlier");
  return out instanceof Map ? out : null;
}

async function checkSeed(t) {
  const parts = [t.announcement_digest, ...t.reveals.map((one) => one.secret), ...seedParts(t.public)];
  must(digestOf(toUtf8(parts.join(":"))) === t.seed, "the seed does not follow from announcement and reveals");
}

function same(found, announced, name) {
  must(canonical(found) === canonical(announced), `the ${name} register is not the announced one: ${found.count} rows, ${found.digest}`);
  return `${found.count} rows, ${found.digest}`;
}

// --- tickets

async function drawAgain(t, targets, out, progress) {
  const plan = t.announcement;
  const strata = plan.strata.map((stratum) => ({
    name: stratum.name,
    fits: Object.entries(stratum.where ?? {}).map(([column, value]) => [column, toUtf8(String(value))]),
    hashing: new Hashing(toUtf8(`${t.seed}:${stratum.name}:`)),
    found: [],
    size: 0,
  }));
  const needed = [...new Set(["id", "credit_class", "division", ...strata.flatMap((one) => one.fits.map(([column]) => column))])];
  const places = needed.map((column) => {
    const place = targets.columns.indexOf(column);
    must(place >= 0, `the register has no column ${column}`);
    return place;
  });
  for (const stratum of strata) stratum.fits = stratum.fits.map(([column, value]) => [needed.indexOf(column), value]);
  const claimed = t.excluded.filter((one) => one.reason.startsWith("drawn in ")).map((one) => [one.id, one.reason]);
  const early = out ?? new Map(claimed);
  must(plan.earlier.length || !early.size, "left out for an earlier draw, but none is announced");
  const bounds = plan.strata.map((stratum) => new Lowest(stratum.drawn));
  const excluded = [];
  const divisions = new Set(); // of those who could be drawn
  const buffer = new Uint8Array(4096);
  for (let row = 0; row < targets.count; row++) {
    if (row % 100_000 === 0) {
      progress(row / targets.count);
      await new Promise((resolve) => setTimeout(resolve)); // the page stays alive
    }
    const values = targets.values(row, places);
    const number = strata.findIndex((one) => one.fits.every(([n, value]) => equal(values[n], value)));
    if (number < 0 || early.size) {
      const id = textOf(values[0]);
      if (number < 0 || early.has(id)) {
        excluded.push({ id, reason: number < 0 ? "in no stratum" : early.get(id) });
        continue;
      }
    }
    const own = strata[number];
    own.size++;
    divisions.add(textOf(values[2]));
    const weight = plan.weights?.[textOf(values[1])] ?? 1;
    bounds[number].offer(lowestHash(own.hashing, values[0], weight, buffer), values[0]);
  }
  compareExcluded(t.excluded, excluded);
  const due = share(plan, Object.fromEntries(strata.map((one) => [one.name, one.size])));
  for (const [n, stratum] of plan.strata.entries()) {
    must(stratum.population === strata[n].size && stratum.drawn === due[stratum.name], `stratum ${stratum.name}: population or count is not right`);
    must(strata[n].size !== 1 || plan.single === true, `stratum ${stratum.name} has one target`);
  }
  const again = plan.strata.map((stratum, n) => ({
    name: stratum.name, population: stratum.population, count: stratum.drawn, drawn: bounds[n].sorted(),
  }));
  must(canonical(again) === canonical(t.strata), "not the lowest tickets are drawn, in order");
  return { divisions };
}

/** Return the lowest hash of a target as hex, of as many as its weight. */
function lowestHash(hashing, id, weight, buffer) {
  buffer.set(id);
  buffer[id.length] = 58; // ":"
  let best = null;
  for (let j = 0; j < weight; j++) {
    const digits = String(j);
    for (let n = 0; n < digits.length; n++) buffer[id.length + 1 + n] = digits.charCodeAt(n);
    const words = hashing.of(buffer.subarray(0, id.length + 1 + digits.length));
    if (best === null) best = Int32Array.from(words);
    else if (below(words, best)) best.set(words);
  }
  return best;
}

function below(one, other) {
  for (let n = 0; n < 8; n++) if (one[n] !== other[n]) return one[n] >>> 0 < other[n] >>> 0;
  return false;
}

/** The lowest tickets so far: of about twice as many as are wanted the higher half is dropped now and then. */
class Lowest {
  constructor(wanted) {
    this.wanted = wanted;
    this.kept = [];
    this.bound = null;
  }

  offer(ticket, id) {
    if (!this.wanted || (this.bound && !below(ticket, this.bound))) return;
    this.kept.push({ ticket, id });
    if (this.kept.length < 2 * this.wanted + 1024) return;
    this.cut();
    this.bound = this.kept.at(-1).ticket;
  }

  cut() {
    this.kept.sort((a, b) => (below(a.ticket, b.ticket) ? -1 : 1));
    this.kept.length = Math.min(this.kept.length, this.wanted);
  }

  sorted() {
    this.cut();
    return this.kept.map(({ ticket, id }) => ({ id: fromUtf8(id), ticket: hex(ticket) }));
  }
}

function compareExcluded(listed, found) {
  const order = found.map((one) => [toHex(toUtf8(one.id)), one]).sort(([a], [b]) => (a < b ? -1 : 1));
  must(canonical(order.map(([, one]) => one)) === canonical(listed), "not the right targets are excluded");
}

/** Return the exact share of a population, rounded up. */
function ofRatio(ratio, size, name) {
  must(/^(0(\.[0-9]{1,30})?|1(\.0{1,30})?)$/.test(ratio), `stratum ${name}: no exact decimal`);
  const scale = 10n ** BigInt((ratio.split(".")[1] ?? "").length);
  return Number((BigInt(ratio.replace(".", "")) * BigInt(size) + scale - 1n) / scale);
}

/** Count the targets of each stratum: ratios rounded up exactly, the rest of `total` by largest remainder. */
function share(plan, size) {
  const due = {};
  for (const { name, count, ratio } of plan.strata) {
    if (count !== undefined) due[name] = count;
    else if (ratio !== undefined) due[name] = ofRatio(ratio, size[name], name);
  }
  const fixed = Object.values(due).reduce((sum, count) => sum + count, 0);
  const free = plan.strata.map((one) => one.name).filter((name) => due[name] === undefined);
  const left = BigInt((plan.total ?? fixed) - fixed);
  const whole = BigInt(free.reduce((sum, name) => sum + size[name], 0));
  must(left >= 0n && left <= whole, "the total cannot be drawn");
  let over = left;
  for (const name of free) {
    due[name] = whole ? Number((left * BigInt(size[name])) / whole) : 0;
    over -= BigInt(due[name]);
  }
  const rest = (name) => (whole ? (left * BigInt(size[name])) % whole : 0n);
  const name16 = (name) => toHex(toUtf8(name));
  const order = free.toSorted((a, b) => (rest(a) === rest(b) ? (name16(a) < name16(b) ? -1 : 1) : rest(a) > rest(b) ? -1 : 1));
  for (const name of order.slice(0, Number(over))) due[name]++;
  for (const name of plan.limit === undefined ? [] : Object.keys(due)) {
    must(due[name] <= ofRatio(plan.limit, size[name], name), `stratum ${name}: above the limit of the item's class`);
  }
  for (const name of Object.keys(due)) must(due[name] <= size[name] && (due[name] || !size[name]), `stratum ${name}: a count that cannot be`);
  return due;
}

// --- inspectors

/** A heap of entries, the lowest [load, duty ticket] on top. */
class Heap {
  constructor() {
    this.list = [];
  }

  get top() {
    return this.list[0];
  }

  push(entry) {
    const { list } = this;
    let at = list.push(entry) - 1;
    for (let up = (at - 1) >> 1; at && first(entry, list[up]); at = up, up = (at - 1) >> 1) list[at] = list[up];
    list[at] = entry;
  }

  pop() {
    const { list } = this;
    const top = list[0];
    const last = list.pop();
    if (!list.length) return top;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= list.length) break;
      if (down + 1 < list.length && first(list[down + 1], list[down])) down++;
      if (!first(list[down], last)) break;
      list[at] = list[down];
      at = down;
    }
    list[at] = last;
    return top;
  }
}

const first = (one, other) => (one.load === other.load ? one.duty < other.duty : one.load < other.load);

function visitAgain(t, targets, inspectors, conflicts) {
  const plan = t.announcement;
  const need = plan.qualification ?? null;
  const slots = (plan.departments ?? []).flatMap(({ name, inspectors: size = 1 }) => Array(size).fill(name));
  const places = slots.length ? slots : Array(plan.inspectors_per_target).fill(null);
  const hashing = new Hashing(toUtf8(`${t.seed}:inspector:`));
  const entry = (who, load) => ({ who, load, duty: hex(hashing.of(toUtf8(`${who.id}:${load}`))) });
  const heaps = new Map();
  const known = new Set();
  for (let row = 0; row < inspectors.count; row++) {
    const { id, division, department, qualifications, ...more } = inspectors.row(row);
    if (plan.unavailable && absence(more, plan.period)) {
      known.add(id);
      continue;
    }
    const skills = qualifications.replaceAll("；", ";").split(";").map((one) => one.trim());
    const fit = need === null || skills.includes(need);
    known.add(id);
    const key = `${division}\t${slots.length ? department : ""}\t${fit}`;
    if (!heaps.has(key)) heaps.set(key, new Heap());
    heaps.get(key).push(entry({ id, fit, heap: heaps.get(key) }, 0));
  }
  const division = divisions(t, targets, conflicts);
  const apart = new Map();
  for (let row = 0; conflicts && row < conflicts.count; row++) {
    const { inspector_id: inspector, target_id: target, reason } = conflicts.row(row);
    must(known.has(inspector) && division.has(target), "a conflict names somebody unknown");
    if (!apart.has(target)) apart.set(target, new Map());
    apart.get(target).set(inspector, reason);
  }
  const assignments = [];
  const skipped = [];
  for (const { id: target } of t.strata.flatMap((stratum) => stratum.drawn)) {
    const own = division.get(target);
    must(own !== undefined, `${target} was drawn, but is not in the register`);
    const taken = [];
    const aside = [];
    while (taken.length < places.length) {
      const lacks = taken.length === places.length - 1 && need !== null && !taken.some(({ who }) => who.fit);
      const near = [...new Set([own, `${own.slice(0, 4)}00`, `${own.slice(0, 2)}0000`])];
      const able = near
        .flatMap((place) => (lacks ? [true] : [true, false]).map((fit) => heaps.get(`${place}\t${places[taken.length] ?? ""}\t${fit}`)))
        .filter((heap) => heap?.top);
      must(able.length, `target ${target} cannot be given enough inspectors`);
      const lowest = able.reduce((best, heap) => (first(heap.top, best.top) ? heap : best)).pop();
      const reason = apart.get(target)?.get(lowest.who.id);
      (reason === undefined ? taken : aside).push(lowest);
      if (reason !== undefined) skipped.push({ target, inspector: lowest.who.id, reason });
    }
    for (const back of [...aside, ...taken.map(({ who, load }) => entry(who, load + 1))]) back.who.heap.push(back);
    assignments.push({ target, inspectors: taken.map(({ who }) => who.id) });
  }
  must(canonical(assignments) === canonical(t.assignments), "the inspectors are not those of the rule");
  must(canonical(skipped) === canonical(t.skipped), "`skipped` does not name exactly those who were passed over");
  return `${assignments.length} targets, ${skipped.length} passed over`;
}

/** Count again the fewest inspectors that any target has to choose from, of any department where there are several. */
function checkChoice(t, targets, inspectors, conflicts, populated) {
  const plan = t.announcement;
  if (plan.smallest_choice === undefined) return "not announced";
  const departments = plan.departments?.map(({ name }) => name) ?? [""];
  const home = new Map();
  const staff = new Map();
  for (let row = 0; row < inspectors.count; row++) {
    const { id, division, department, ...more } = inspectors.row(row);
    if (plan.unavailable && absence(more, plan.period)) continue;
    const key = `${division}\t${plan.departments ? department : ""}`;
    staff.set(key, (staff.get(key) ?? 0) + 1);
    home.set(id, key);
  }
  const near = (place) => [...new Set([place, `${place.slice(0, 4)}00`, `${place.slice(0, 2)}0000`])];
  const keys = (place, department) => near(place).map((one) => `${one}\t${department}`);
  const choice = (place, apart) => Math.min(...departments.map((department) => {
    const able = keys(place, department);
    return able.reduce((sum, key) => sum + (staff.get(key) ?? 0), 0) - apart.filter((id) => able.includes(home.get(id))).length;
  }));
  const apart = new Map();
  for (let row = 0; conflicts && row < conflicts.count; row++) {
    const { inspector_id: inspector, target_id: target } = conflicts.row(row);
    if (!apart.has(target)) apart.set(target, []);
    apart.get(target).push(inspector);
  }
  const excluded = new Set(t.excluded.map(({ id }) => id));
  let fewest = populated.size ? Math.min(...[...populated].map((place) => choice(place, []))) : 0;
  for (const [target, place] of divisions(t, targets, conflicts)) {
    if (apart.has(target) && !excluded.has(target)) fewest = Math.min(fewest, choice(place, apart.get(target)));
  }
  must(fewest === plan.smallest_choice, `the smallest choice of inspectors is ${fewest}, announced ${plan.smallest_choice}`);
  return String(fewest);
}

/** Return `expired` where a certificate ends before the period does, `away` for leave on any day of it, or "". */
function absence({ away = "", valid_until: until = "" }, [first, last]) {
  if (until.trim() && until.trim() < last) return "expired";
  const parts = away.replaceAll("；", ";").split(";").map((one) => one.trim()).filter(Boolean);
  return parts.some((one) => one.slice(0, 10) <= last && one.slice(-10) >= first) ? "away" : "";
}

function checkAbsent(plan, inspectors) {
  const found = { away: 0, expired: 0 };
  for (let row = 0; row < inspectors.count; row++) {
    const reason = absence(inspectors.row(row), plan.period);
    if (reason) found[reason]++;
  }
  must(canonical(found) === canonical(plan.unavailable), "not so many inspectors are unavailable");
}

/** Return the division of each drawn target, and of each with a conflict. */
function divisions(t, targets, conflicts) {
  const wanted = new Set(t.strata.flatMap((stratum) => stratum.drawn.map(({ id }) => id)));
  for (let row = 0; conflicts && row < conflicts.count; row++) wanted.add(conflicts.row(row).target_id);
  const places = ["id", "division"].map((name) => targets.columns.indexOf(name));
  const found = new Map();
  for (let row = 0; row < targets.count; row++) {
    const [id, division] = targets.values(row, places).map(textOf);
    if (wanted.has(id)) found.set(id, division);
  }
  return found;
}

/**
 * The verifier's page: what a person scans, chooses, drops or pastes, and the verdict on it.
 *
 * It works on the element `#verifier` (see verify.html). Its attributes: `data-bundle` and `data-status`, addresses on
 * this site; `data-worker`, the service worker; in the single file none of them, but `#v-inside` with the data.
 */

import { age, clear, show } from "./answer.js";
import { toUtf8 } from "./bytes.js";
import { hasCamera, Scan } from "./camera.js";
import * as inputs from "./inputs.js";
import { isProof } from "./log.js";
import { seconds } from "./moments.js";
import { textsInPicture } from "./pictures.js";
import { Refused, TrustFailed } from "./refusals.js";
import { Clock, FileSource, SiteSource } from "./sources.js";
import { readEdition } from "./status.js";
import { say } from "./texts.js";
import { verify } from "./verify.js";

const LINK = /^(https:\/\/[^/]{1,300})(\/#[0-9]+)$/i;

class Page {
  constructor(root) {
    this.root = root;
    this.answer = root.querySelector("#v-answer");
    const language = document.documentElement.lang || navigator.language || "zh";
    this.language = language.toLowerCase().startsWith("zh") ? "zh" : "en";
    this.clock = new Clock();
    this.given = []; // status lists that the user gave
    this.proofs = []; // proofs of the log beside the last files
    this.scan = null;
    this.turn = 0; // of several questions only the last one is answered
    this.last = null; // what is shown, to be shown again in another language
    const inside = document.getElementById("v-inside");
    this.find("v-language").hidden = !inside; // the site's frame has its own way to another language
    this.source = inside ? fileSource(inside.textContent) : new SiteSource(root.dataset, this.clock);
  }

  start() {
    this.translate();
    this.listen();
    if (!globalThis.crypto?.subtle || !globalThis.DecompressionStream) return this.unable("use-browser");
    this.trusted = this.source.trust();
    this.trusted.catch(() => {}); // told where somebody asks for a verdict
    this.hash();
    this.work();
    return undefined;
  }

  find(id) {
    return this.root.querySelector(`#${id}`);
  }

  tell(code, values) {
    return say(this.language, code, values);
  }

  translate() {
    document.documentElement.lang = this.language === "zh" ? "zh-CN" : "en";
    const every = (attribute) => this.root.querySelectorAll(`[${attribute}]`);
    for (const place of every("data-text")) place.textContent = this.tell(place.dataset.text);
    for (const place of every("data-label")) place.setAttribute("aria-label", this.tell(place.dataset.label));
    if (this.last) show(this.answer, this.language, this.last.verdict, this.last.notes(this.language));
  }

  listen() {
    const on = (id, event, work) => this.find(id)?.addEventListener(event, work);
    on("v-language", "click", () => {
      this.language = this.language === "zh" ? "en" : "zh";
      this.translate();
    });
    on("v-file", "change", (event) => {
      this.files([...event.target.files]);
      event.target.value = ""; // so that the same file can be chosen again
    });
    on("v-form", "submit", (event) => {
      event.preventDefault();
      this.text(this.find("v-text").value);
    });
    on("v-camera", "click", () => this.camera());
    this.root.addEventListener("dragover", (event) => event.preventDefault());
    this.root.addEventListener("drop", (event) => {
      event.preventDefault();
      this.files([...event.dataTransfer.files]);
    });
    globalThis.addEventListener("hashchange", () => this.hash());
    if (this.find("v-camera")) this.find("v-camera").hidden = !hasCamera();
  }

  /** Check what stands after `#`: it never leaves this page. */
  hash() {
    const digits = location.hash.slice(1);
    if (!/^[0-9]/.test(digits)) return;
    this.root.hidden = false;
    this.check(toUtf8(`HTTPS://${location.host.toUpperCase()}/#${digits}`), {});
  }

  /** Check a text: that of a QR code, or the address that a scanner made of it. */
  text(written) {
    const text = written.trim();
    const link = text.length <= 4096 ? LINK.exec(text) : null;
    const bytes = toUtf8(link ? link[1].toUpperCase() + link[2] : text);
    if (!bytes.length) return this.unable("use-empty");
    return inputs.sniff(bytes) === inputs.QR_TEXT ? this.check(bytes, {}) : this.unable("qr-form");
  }

  /** Check the files given: one licence, a `licence.json` with its credential, status lists beside it. */
  async files(files) {
    const turn = this.begin();
    const read = [];
    for (const file of files.slice(0, 20)) {
      if (file.size > inputs.MAX_INPUT) return this.unable("use-large", { most: inputs.MAX_INPUT >> 20 });
      read.push({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) });
    }
    if (turn !== this.turn) return undefined;
    const filled = read.filter(({ bytes }) => bytes.length);
    const proofs = filled.filter(({ bytes }) => isProof(bytes));
    const others = filled.filter((file) => !proofs.includes(file));
    const kinds = others.map((file) => ({ ...file, kind: inputs.sniff(file.bytes) }));
    const lists = kinds.filter(({ kind, bytes }) => kind === inputs.CWT && inputs.isStatusList(bytes));
    const rest = kinds.filter((file) => !lists.includes(file));
    this.proofs = proofs.map(({ bytes }) => bytes);
    if (lists.length) return this.lists(lists, rest);
    return this.licence(rest);
  }

  licence(rest) {
    if (!rest.length && this.proofs.length) return this.unable("use-proof");
    const body = rest.find(({ kind }) => kind === inputs.BODY);
    const proof = rest.find(({ kind }) => kind === inputs.CWT);
    if (body && !proof) return this.unable("use-body");
    const file = body ?? rest[0];
    if (!file) return this.unable("use-empty");
    const { proofs } = this;
    return this.check(file.bytes, { name: file.name, credential: body ? proof.bytes : undefined, proofs });
  }

  async lists(lists, rest) {
    try {
      const { trust } = await this.trusted;
      const editions = lists.map(({ bytes }) => ({ where: "", list: bytes, reasons: null }));
      const read = await Promise.all(editions.map((edition) => readEdition(edition, trust)));
      this.given.push(...editions);
      if (rest.length) return this.licence(rest);
      this.find("v-state").textContent = this.tell("note-list-added", { issued: read[0].issuedAt });
    } catch (error) {
      this.failed(error);
    }
    return undefined;
  }

  begin() {
    this.scan?.stop();
    this.last = null;
    clear(this.answer);
    this.find("v-state").textContent = this.tell("working");
    this.turn += 1;
    return this.turn;
  }

  /** Verify bytes and show the verdict. */
  async check(bytes, { name, credential, proofs = [] }) {
    const turn = this.begin();
    const asked = this.moment();
    if (asked === undefined) return this.unable("use-moment");
    try {
      const { trust, odd } = await this.trusted;
      const own = this.source.lists(asked);
      const source = this.given.length ? async () => this.given : own;
      const log = proofs.length ? async () => proofs : this.log(trust);
      const options = { trust, source, credential, log, pictures: textsInPicture };
      let at = asked ?? this.clock.now();
      let verdict = await verify(bytes, { ...options, at });
      let behind = null;
      if (asked === null && verdict.checks.some(({ code }) => code === "status-none")) {
        behind = await newest(source, verdict.statusUri, trust);
        if (behind !== null && behind > at) {
          at = behind;
          verdict = await verify(bytes, { ...options, at });
        }
      }
      if (turn !== this.turn) return undefined;
      this.conclude(verdict, (language) => this.notes(language, { verdict, trust, odd, at, asked, behind, name }));
    } catch (error) {
      if (turn === this.turn) this.failed(error);
    }
    return undefined;
  }

  /** Return the log of this site for licences that were decided since it began; older ones need not be there. */
  log(trust) {
    if (!trust.log) return null;
    return async (credential, issuedAt) => (issuedAt < trust.log.from ? null : this.source.proofs(credential));
  }

  conclude(verdict, notes) {
    this.last = { verdict, notes };
    this.find("v-state").textContent = "";
    show(this.answer, this.language, verdict, notes(this.language));
    this.answer.querySelector("h2").focus();
  }

  /** Return the moment that the user asks for in Unix seconds, null for now, undefined for no real one. */
  moment() {
    const value = this.find("v-moment")?.value ?? "";
    if (value === "") return null;
    const whole = value.length === 16 ? `${value}:00` : value;
    return seconds(`${whole}+08:00`) ?? undefined;
  }

  notes(language, { verdict, trust, odd, at, asked, behind, name }) {
    const notes = [];
    const add = (code, values = {}) => notes.push({ code, values });
    const status = verdict.checks.find((check) => check.name === "status");
    const issued = status?.values.issued;
    const kind = this.given.length ? "given" : this.source.kind;
    if (name) add("note-file", { name });
    if (asked !== null) add("note-moment", { at });
    if (issued) add(`note-list-${kind}`, { issued, age: age(language, at - issued) });
    if (behind !== null && asked === null) add("note-clock-behind", { at, age: age(language, at - Date.now() / 1000) });
    else if (this.clock.off && asked === null) add("note-clock", { at, age: age(language, this.clock.skew) });
    if (odd) add(odd.code, odd.values);
    add("note-trust", { sequence: trust.sequence, issued: trust.issued, fingerprint: trust.fingerprint.slice(0, 16) });
    add("privacy");
    return notes;
  }

  /** Say that there is nothing to give a verdict on. */
  unable(code, values = {}) {
    this.turn += 1;
    const check = { name: "form", ok: false, code, values };
    this.conclude({ verdict: "unknown", genuine: false, checks: [check], licence: {} }, () => []);
  }

  failed(error) {
    if (!(error instanceof Refused)) throw error;
    this.unable(error.code, error.values);
    if (error instanceof TrustFailed) this.trusted = this.source.trust(); // the next question asks anew
    this.trusted.catch(() => {});
  }

  async camera() {
    const video = this.find("v-video");
    const button = this.find("v-camera");
    if (this.scan?.running) return this.stop();
    this.turn += 1;
    clear(this.answer);
    video.hidden = false;
    button.textContent = this.tell("camera-stop");
    this.find("v-state").textContent = this.tell("camera-look");
    this.scan = new Scan(
      video,
      (text) => {
        this.stop();
        this.check(toUtf8(text), {});
      },
      () => {
        this.find("v-state").textContent = this.tell("qr-form");
      },
    );
    try {
      await this.scan.start();
    } catch (error) {
      this.stop();
      this.unable(error?.name === "NotAllowedError" ? "camera-refused" : "camera-none");
    }
    return undefined;
  }

  stop() {
    this.scan?.stop();
    this.find("v-video").hidden = true;
    this.find("v-camera").textContent = this.tell("camera");
    this.find("v-state").textContent = "";
  }

  /** Make this page work without a network from now on. */
  async work() {
    const address = this.root.dataset.worker;
    if (!address || !navigator.serviceWorker) return;
    try {
      await navigator.serviceWorker.register(address, { scope: "/" });
      await navigator.serviceWorker.ready;
      const { trust } = await this.trusted;
      await this.source.keepLists(trust.lists);
      this.root.dataset.offline = "ready";
    } catch {
      // No worker, or no network: the page works as long as it is open or the network is there.
    }
  }
}

/** Return when the newest list of a credential was issued, or null where none can be read. */
async function newest(source, uri, trust) {
  let latest = null;
  try {
    for (const candidate of await source(uri, 0)) {
      const { issuedAt } = await readEdition(candidate, trust);
      latest = Math.max(latest ?? issuedAt, issuedAt);
    }
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
  }
  return latest;
}

function fileSource(text) {
  const { bundle, lists } = JSON.parse(text);
  return new FileSource(bundle, lists);
}

const root = document.getElementById("verifier");
if (root) new Page(root).start();

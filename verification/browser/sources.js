/**
 * Where the page gets trust and status from: this site, what was kept of it, the file itself, or what was given.
 *
 * Only the names of lists are asked for; nothing of a licence is sent. Nothing here is believed: the bytes are
 * verified by `trust.js` and `status.js`.
 */

import { fromBase64, toUtf8 } from "./bytes.js";
import { Refused, TrustFailed } from "./refusals.js";
import { findProof } from "./log.js";
import { listName } from "./status.js";
import { openBundle } from "./trust.js";

export const KEPT = "zhengzhao-verifier-1"; // name of the cache, as in sw.js
const KEPT_HEADER = "x-zhengzhao-kept";
const TOLERANCE = 120; // seconds by which a clock may be off without a word
const MAX_KEPT_LISTS = 50;
const SEEN = "zhengzhao-trust";

/** The clock of this device, and that of the server once it has answered. */
export class Clock {
  constructor() {
    this.skew = null; // seconds that the server is ahead; null: nobody has said
  }

  /** Take the time of an answer that came over the network. */
  hear(response) {
    const date = Date.parse(response.headers.get("date") ?? "");
    if (Number.isNaN(date)) return;
    const age = Number(response.headers.get("age") ?? 0) || 0;
    this.skew = date / 1000 + age - Date.now() / 1000;
  }

  /** Return whether this device is off by more than its answer could take. */
  get off() {
    return this.skew !== null && Math.abs(this.skew) > TOLERANCE;
  }

  /** Return now in Unix seconds: the server's where this device is off. */
  now() {
    return Date.now() / 1000 + (this.off ? this.skew : 0);
  }
}

/** A page on the site that publishes trust and status. */
export class SiteSource {
  constructor({ bundle, status, log }, clock) {
    this.bundle = bundle; // addresses on this site
    this.status = status;
    this.log = log;
    this.clock = clock;
    this.kind = "now";
  }

  /** Return the verified trust bundle, and what is odd about it. */
  async trust() {
    const response = await this.get(this.bundle);
    if (!response?.ok) throw new TrustFailed("trust-absent");
    const trust = await openBundle(new Uint8Array(await response.arrayBuffer()));
    return { trust, odd: remember(trust) };
  }

  /** Return a source of editions for `verify`: of `asked` (Unix seconds), or the newest where that is null. */
  lists(asked) {
    return async (uri) => {
      const name = listName(uri);
      if (name === null) throw new Refused("status-absent");
      const query = asked === null ? "" : `?time=${Math.floor(asked)}`;
      const [list, reasons] = await Promise.all([
        this.get(`${this.status}${name}${query}`),
        this.get(`${this.status}${name}.reasons${query}`),
      ]);
      if (!list) throw new Refused("status-offline");
      if (!list.ok) return [];
      const beside = reasons?.ok ? new Uint8Array(await reasons.arrayBuffer()) : null;
      return [{ where: name, list: new Uint8Array(await list.arrayBuffer()), reasons: beside }];
    };
  }

  /**
   * Return proofs of the credential with this SHA-256 from the log of this site, none where it is not there; null where
   * the log does not answer. Whole bundles are read, so that nobody learns which licence is meant.
   */
  async proofs(credential) {
    try {
      const found = await findProof((path) => this.logFile(path), credential);
      return found ? [found] : [];
    } catch (error) {
      if (error instanceof Refused) return null;
      throw error;
    }
  }

  async logFile(path) {
    let response = null;
    try {
      response = await fetch(`${this.log}${path}`, { credentials: "omit" });
    } catch {
      this.kind = "age";
    }
    if (!response?.ok) throw new Refused("log-silent");
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Keep the lists that the bundle names, so that this device can verify without a network. */
  async keepLists(names) {
    for (const name of names.slice(0, MAX_KEPT_LISTS)) {
      await this.get(`${this.status}${name}`);
      await this.get(`${this.status}${name}.reasons`);
    }
  }

  /** Get an address on this site; null where neither the network nor what was kept answers. */
  async get(address) {
    let response;
    try {
      response = await fetch(address, { cache: "no-cache", credentials: "omit" });
    } catch {
      this.kind = "age";
      return null;
    }
    const kept = response.headers.has(KEPT_HEADER);
    this.kind = kept ? "age" : "now";
    if (!kept) this.clock.hear(response);
    if (!kept && response.ok && !address.includes("?")) await keep(address, response.clone());
    return response;
  }
}

/** The one file that holds its bundle and lists inside. */
export class FileSource {
  constructor(bundle, lists) {
    this.bundle = bundle; // text
    this.editions = lists.map(({ list, reasons }) => ({
      where: "",
      list: fromBase64(list),
      reasons: reasons ? fromBase64(reasons) : null,
    }));
    this.kind = "inside";
  }

  async trust() {
    return { trust: await openBundle(toUtf8(this.bundle)), odd: null };
  }

  lists() {
    return async () => this.editions;
  }

  async proofs() {
    return null;
  }

  async keepLists() {}
}

async function keep(address, response) {
  if (!globalThis.caches || !globalThis.isSecureContext) return;
  try {
    await (await caches.open(KEPT)).put(address, response);
  } catch {
    // A full or forbidden cache: the page works as long as there is a network.
  }
}

/**
 * Compare a bundle with the newest seen on this device, and remember it: what is odd is `{code, values}`.
 *
 * An older edition may be a revocation kept back; another root may be somebody else's.
 */
function remember(trust) {
  let seen;
  try {
    seen = JSON.parse(localStorage.getItem(SEEN) ?? "null");
  } catch {
    return null; // a browser that keeps nothing
  }
  const known = seen !== null && typeof seen === "object" && Number.isSafeInteger(seen.sequence);
  const other = known && seen.root !== trust.fingerprint;
  if (other) return { code: "trust-root-other", values: {} };
  if (known && seen.sequence > trust.sequence) {
    return { code: "trust-older", values: { sequence: trust.sequence, seen: seen.sequence } };
  }
  try {
    localStorage.setItem(SEEN, JSON.stringify({ root: trust.fingerprint, sequence: trust.sequence }));
  } catch {
    return null;
  }
  return null;
}

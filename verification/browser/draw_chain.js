/**
 * The chain of an authority's draws, from the papers dropped beside a transcript: nothing missing, nothing twice,
 * nothing unexplained. The steps are those of `verification/draw_chain.py`.
 */

import { equal, toUtf8 } from "./bytes.js";
import { canonical, isCanonical, parse } from "./canonical.js";
import { must, Wrong } from "./draw_register.js";
import { digest as digestOf } from "./sha256.js";

const FIRST = "0".repeat(64);
const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

function plain({ signature: _, ...rest }) {
  return rest;
}

/** The papers of one authority: announcements by sequence, transcripts and voids by the announcement's digest. */
export class Chain {
  constructor(t, itself) {
    this.own = t;
    this.announcements = new Map(); // sequence → digest → announcement
    this.transcripts = new Map([[t.announcement_digest, new Set([digestOf(itself)])]]);
    this.files = new Map(); // SHA-256 of a transcript's file → transcript
    this.voids = new Map();
    this.reveals = [];
    this.later = 0; // replacements and absences of this draw
    this.add(t.announcement);
  }

  add(announcement) {
    must(isObject(announcement) && Number.isInteger(announcement.sequence), "not an announcement");
    const digest = digestOf(toUtf8(canonical(plain(announcement))));
    if (!this.announcements.has(announcement.sequence)) this.announcements.set(announcement.sequence, new Map());
    this.announcements.get(announcement.sequence).set(digest, announcement);
    return digest;
  }

  /** Take in a paper; other files, and papers of other authorities, do not count. `signed` checks a signature. */
  async read(bytes, signed) {
    const authority = this.own.announcement.authority;
    const found = parse(bytes);
    if (!isObject(found)) return;
    const check = async (document) => {
      must(isCanonical(found, bytes), "a paper of the chain is not canonical JSON");
      await signed(document, authority);
    };
    if (Object.hasOwn(found, "void") && found.authority === authority) {
      await check(found);
      must((this.voids.get(found.void) ?? found).reason === found.reason, "a second void of one announcement");
      must(typeof found.reason === "string" && found.reason.trim(), "a void without a reason");
      this.voids.set(found.void, found);
    } else if (isObject(found.announcement) && found.announcement_digest && found.announcement.authority === authority) {
      await check(found);
      await signed(found.announcement, authority);
      must(this.add(found.announcement) === found.announcement_digest, "announcement_digest is not the announcement's");
      const digest = digestOf(bytes);
      if (!this.transcripts.has(found.announcement_digest)) this.transcripts.set(found.announcement_digest, new Set());
      this.transcripts.get(found.announcement_digest).add(digest);
      this.files.set(digest, found);
    } else if (["party", "secret", "signature"].every((key) => Object.hasOwn(found, key))) {
      this.reveals.push(found);
    } else if ((found.replacement ?? found.absence) === this.own.announcement_digest) {
      this.later++;
    } else if (Object.hasOwn(found, "algorithm") && found.authority === authority) {
      await check(found);
      this.add(found);
    }
  }

  /** Return the number of draws; Wrong for the first fault. */
  check() {
    const last = Math.max(...this.announcements.keys());
    const [taken, current, digests] = [new Map(), new Map(), new Set()];
    let before = FIRST;
    for (let number = 1; number <= last; number++) {
      const same = this.announcements.get(number);
      must(same, `announcement ${number} is missing`);
      must(same.size === 1, `two announcements have the number ${number}`);
      const [[digest, announcement]] = same;
      must(announcement.previous === before, `announcement ${number} does not name the one before it`);
      this.accounted(number, digest, number === last);
      const { plan, replaces } = announcement;
      must(replaces === current.get(plan), `announcement ${number} does not replace what it should`);
      must(!current.has(plan) || this.voids.has(current.get(plan)), `plan ${plan} was announced again without a void`);
      current.set(plan, digest);
      for (const { commitment } of announcement.commitments) {
        must(!taken.has(commitment), `announcements ${taken.get(commitment)} and ${number} have the same commitment`);
        taken.set(commitment, number);
      }
      digests.add(digest);
      before = digest;
    }
    const stray = [...this.voids.keys(), ...this.transcripts.keys()].find((digest) => !digests.has(digest));
    must(stray === undefined, `the announcement ${stray} is missing`);
    return `${last} announcements, ${[...this.transcripts.values()].reduce((sum, one) => sum + one.size, 0)} drawn, ${this.voids.size} voided`;
  }

  accounted(number, digest, mayWait) {
    const drawn = this.transcripts.get(digest)?.size ?? 0;
    const void_ = this.voids.get(digest);
    must(drawn < 2, `announcement ${number} was drawn twice`);
    must(!drawn || !void_, `announcement ${number} is both drawn and voided`);
    must(!void_ || void_.sequence === number, `the void of announcement ${number} says number ${void_?.sequence}`);
    must(drawn || void_ || mayWait, `announcement ${number} has neither transcript nor void`);
  }

  /**
   * Wrong for a void that does not show what it discards and is not older than the public value. `tools` are `reveals`
   * (checks them for an announcement), `sources`, `at`, and `tokens`: timestamps dropped with the papers.
   */
  async checkVoids({ reveals, sources, at, tokens }) {
    for (const [digest, void_] of this.voids) {
      const announcement = [...this.announcements.values()].find((same) => same.has(digest)).get(digest);
      const source = announcement.seed.public;
      if (void_.reveals && (source === undefined) === (void_.public === undefined)) {
        await reveals({ announcement, announcement_digest: digest, reveals: void_.reveals });
        await sources.check(void_.public, source);
        continue;
      }
      const name = `the void of announcement ${announcement.sequence}`;
      if (source === undefined) {
        const own = announcement.commitments.map((one) => one.commitment);
        const known = this.reveals.some(({ secret }) => /^[0-9a-f]{64}$/.test(secret) && own.includes(digestOf(Uint8Array.from(secret.match(/../g), (pair) => parseInt(pair, 16)))));
        must(!known, `${name} was made after a reveal and does not carry all reveals`);
        continue;
      }
      const time = sources.timeOf(source);
      const over = [void_, plain(void_)].map((document) => digestOf(toUtf8(canonical(document))));
      let older = time > at;
      for (const token of tokens) {
        try {
          older ||= (await sources.stampedAt(token, over)) < time;
        } catch (error) {
          if (!(error instanceof Wrong)) throw error;
        }
      }
      must(older, `${name} carries neither the reveals nor does a timestamp show it to be older than the public value`);
    }
  }

  /**
   * Return the targets left out for earlier draws with the reason, or null where a named transcript is not here; Wrong
   * where the announcement leaves one out that counts.
   */
  leftOut() {
    const own = this.own.announcement;
    for (const [digest, { announcement }] of this.files) {
      const missing = announcement.sequence < own.sequence && counts(own, announcement) && !own.earlier.includes(digest);
      must(!missing, `the announcement does not name an earlier draw of its item (${digest})`);
    }
    if (!own.earlier.every((digest) => this.files.has(digest))) return null;
    const past = own.earlier.map((digest) => [digest, this.files.get(digest)]).filter(([, one]) => counts(own, one.announcement));
    const key = ([digest, { announcement }]) => `${announcement.period[0]}${digest}`;
    past.sort((one, other) => (key(one) < key(other) ? -1 : 1));
    return new Map(past.flatMap(([, one]) =>
      one.strata.flatMap(({ drawn }) => drawn.map(({ id }) => [id, `drawn in ${one.announcement_digest}`]))));
  }
}

/** Return whether an earlier draw keeps its targets out of another: the same item, begun under twelve months before. */
function counts(own, past) {
  const [year, month, day] = past.period[0].split("-");
  const next = `${Number(year) + 1}-${month}-${month === "02" && day === "29" ? "28" : day}`;
  return own.item === past.item && own.period[0] < next;
}

/** Return the bytes of each paper, each once, without the transcript itself. */
export function others(papers, itself) {
  return papers.filter((one, n) => !equal(one, itself) && papers.findIndex((same) => equal(same, one)) === n);
}

/** Public values of a draw: rounds of beacons (BLS over BLS12-381, keys in G2), numbers in their one form, and their times. */

import { fromBase64, fromHex, sha256, toBase64Url, toHex, toUtf8 } from "./bytes.js";
import { canonical, parse } from "./canonical.js";
import { must } from "./draw_register.js";
import { seconds } from "./moments.js";
import { digest as digestOf } from "./sha256.js";
import { stampedAt } from "./timestamps.js";

const NUMBERS = /^(?:(?:(?:0|[1-9][0-9]{0,29})\.)+\/)+$/;
const ROUND = /^[0-9a-f]{96}$/;
const TAGS = {
  "bls-unchained-g1-rfc9380": "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_",
  "bls-unchained-on-g1": "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_NUL_",
};

/**
 * What a trust folder knows beside its keys: `beacons` and `shipped` (bytes of a `beacons.json`, the first perhaps
 * null), and `authorities` of timestamps (certificates in DER). Believed as far as the root's list names their digests.
 */
export class Sources {
  constructor({ beacons = null, shipped = null, authorities = [] }, trust) {
    this.trust = trust;
    this.given = beacons;
    this.shipped = shipped ? parse(shipped) : {};
    this.authorities = trust ? authorities.filter((one) => trust.stampers.has(digestOf(one))) : [];
  }

  beacon(name) {
    const named = this.trust?.beacons;
    if (named) must(this.given && digestOf(this.given) === named, "beacons.json is not the one that the trust folder names");
    const known = this.given ? parse(this.given) : this.shipped;
    must(known && Object.hasOwn(known, name), `the trust folder has no beacon ${name}`);
    return known[name];
  }

  /** Return the Unix seconds before which a plan's public value does not exist. */
  timeOf(source) {
    if (source.beacon === undefined) return seconds(source.at);
    const { genesis_time: genesis, period } = this.beacon(source.beacon);
    return genesis + (source.round - 1) * period;
  }

  /** Wrong where a transcript's or void's public value is not one of its plan, in its one form. */
  async check(value, source) {
    must((source === undefined) === (value === undefined), "a public value in one of plan and transcript only");
    if (source === undefined) return;
    if (source.beacon === undefined) {
      must(typeof value === "string" && NUMBERS.test(value) && ascending(value), "the public number is not in its one form (RFC 3797)");
      return;
    }
    must(value.beacon === source.beacon && value.round === source.round, "the round is not the one that the plan names");
    must(await isRound(this.beacon(source.beacon), value.round, value.signature), `not the signature of round ${value.round}`);
  }

  /** Wrong where a sealed secret was not opened by its round of quicknet. */
  async checkSealed(signature, round) {
    const raw = fromBase64(signature);
    const good = toBase64Url(raw) === signature && this.shipped.quicknet && (await isRound(this.shipped.quicknet, round, toHex(raw)));
    must(good, "not the signature of the round to which the secret was sealed");
  }

  /** Return the Unix seconds of a timestamp over one of these digests (hex). */
  stampedAt(token, digests) {
    return stampedAt(token, digests, this.authorities);
  }

  /** Return when the proofs show an announcement published, or null where one is no timestamp; Wrong where one is false. */
  async publishedAt({ announcement, announcement_digest: digest, proofs }) {
    const times = [];
    const digests = [digest, digestOf(toUtf8(canonical(announcement)))];
    for (const proof of proofs) {
      const token = fromBase64(proof);
      must(toBase64Url(token) === proof, "a proof is not base64url in its one form");
      if (token[0] !== 0x30) return null;
      times.push(await this.stampedAt(token, digests));
    }
    return Math.min(...times);
  }
}

async function isRound({ scheme, public_key: key }, round, signature) {
  if (!Object.hasOwn(TAGS, scheme) || !ROUND.test(signature) || !Number.isSafeInteger(round) || round < 1) return false;
  const number = new Uint8Array(8);
  new DataView(number.buffer).setBigUint64(0, BigInt(round));
  const { verify } = await import("./vendor/noble/bls.js");
  return verify(fromHex(signature), await sha256(number), fromHex(key), TAGS[scheme]);
}

function ascending(numbers) {
  return numbers.split("/").slice(0, -1).every((group) => {
    const each = group.split(".").slice(0, -1).map(BigInt);
    return each.every((number, n) => !n || each[n - 1] <= number);
  });
}

/** Return the last part of a seed: the numbers, or the SHA-256 (hex) of a round's signature; none without a public value. */
export function seedParts(shown) {
  return shown === undefined ? [] : [typeof shown === "string" ? shown : digestOf(fromHex(shown.signature))];
}

/**
 * The CMS signature in a licence's PDF, read against the one form that it may have.
 *
 * What must stand there is known: one certificate, one signer, three signed attributes (content type, message
 * digest, signing certificate: RFC 5652, RFC 5035), nothing unsigned. Certificate and signature are taken out, the
 * whole is built again from them and compared: any other encoding of the same differs.
 */

import { compare, concat, equal, fromHex, sha256 } from "./bytes.js";
import { der, elements, inside, issuedBy, isP256, rawSignature, readCertificate, verifies } from "./der.js";
import { INTEGER, OCTETS, SEQUENCE, SET } from "./der.js";
import { NotJudged, Refused } from "./refusals.js";

const TAG_0 = 0xa0;
const DATA = fromHex("06092a864886f70d010701");
const SIGNED_DATA = fromHex("06092a864886f70d010702");
const CONTENT_TYPE = fromHex("06092a864886f70d010903");
const MESSAGE_DIGEST = fromHex("06092a864886f70d010904");
const SIGNING_CERTIFICATE = fromHex("060b2a864886f70d010910022f");
const SHA256 = fromHex("300b0609608648016503040201");
const ECDSA_SHA256 = fromHex("300a06082a8648ce3d040302");
const VERSION_1 = der(INTEGER, Uint8Array.of(1));

/**
 * Return the seal key that signed the file with this digest.
 *
 * Refused where none of the bundle did; NotJudged where a certificate that the root issued did, which this edition
 * of the bundle does not list.
 */
export async function checkSeal(cms, digest, trust) {
  const { certificate, signature } = take(cms);
  const key = await trust.byCertificate(certificate.der);
  if (key && key.use !== "seal") throw new Refused("seal-use");
  if (!key && !(await issuedBy(certificate, trust.root))) throw new Refused("seal-certificate");
  if (key) await trust.certificate(key.kid);
  const attributes = await signedAttributes(digest, certificate.der);
  if (!equal(signedData(certificate, attributes, signature), cms)) throw new Refused("seal-form");
  const raw = rawSignature(signature);
  if (!raw) throw new Refused("seal-signature");
  const good = isP256(certificate.spki) && (await verifies(certificate.spki, raw, attributes));
  if (!good) throw new Refused("seal-signature");
  if (!key) throw new NotJudged("seal-unlisted", { sequence: trust.sequence, issued: trust.issued });
  return key;
}

function take(cms) {
  const signed = inside(nth(inside(cms, SEQUENCE), 1), TAG_0);
  const fields = inside(signed, SEQUENCE);
  const bytes = inside(nth(fields, 3), TAG_0);
  const signer = inside(inside(nth(fields, 4), SET), SEQUENCE);
  const signature = inside(nth(signer, 5), OCTETS);
  try {
    return { certificate: readCertificate(bytes), signature };
  } catch (error) {
    if (error instanceof Refused) throw new Refused("seal-certificate");
    throw error;
  }
}

function nth(bytes, n) {
  const found = elements(bytes)[n];
  if (!found) throw new Refused("der-short");
  return found;
}

async function signedAttributes(digest, certificate) {
  const hashed = der(SEQUENCE, der(OCTETS, await sha256(certificate)));
  const members = [
    der(SEQUENCE, CONTENT_TYPE, der(SET, DATA)),
    der(SEQUENCE, MESSAGE_DIGEST, der(SET, der(OCTETS, digest))),
    der(SEQUENCE, SIGNING_CERTIFICATE, der(SET, der(SEQUENCE, der(SEQUENCE, hashed)))),
  ];
  return der(SET, ...members.sort(compare));
}

function signedData(certificate, attributes, signature) {
  const signer = der(
    SEQUENCE,
    VERSION_1,
    der(SEQUENCE, certificate.issuer, certificate.serial),
    SHA256,
    concat(Uint8Array.of(TAG_0), attributes.subarray(1)), // signed as a SET, written under the tag [0]
    ECDSA_SHA256,
    der(OCTETS, signature),
  );
  const signed = der(
    SEQUENCE,
    VERSION_1,
    der(SET, SHA256),
    der(SEQUENCE, DATA),
    der(TAG_0, certificate.der),
    der(SET, signer),
  );
  return der(SEQUENCE, SIGNED_DATA, der(TAG_0, signed));
}

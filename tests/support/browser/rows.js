/** Runs a table of files through the browser verifier: in node and in a page alike. */

/**
 * Return the verdict on each row: `{name, verdict, genuine, failed, licence, detail}`.
 *
 * `modules`: `verify.js` and `trust.js`; `table`: `{bundles, blobs, rows}`, blobs in base64; `pictures`: as in verify.js.
 */
export async function run({ verify, openBundle, say }, table, pictures) {
  const bytes = (name) => (name === null ? null : decoded(table.blobs[name]));
  const trusts = {};
  for (const [name, blob] of Object.entries(table.bundles)) trusts[name] = await openBundle(bytes(blob));
  const found = [];
  for (const row of table.rows) {
    const editions = row.editions?.map(({ list, reasons }) => ({ where: "given", list: bytes(list), reasons: bytes(reasons) }));
    const options = {
      trust: trusts[row.trust],
      source: editions ? async () => editions : null,
      at: row.at,
      credential: bytes(row.credential) ?? undefined,
      log: row.proofs ? async () => row.proofs.map(bytes) : null,
      pictures,
    };
    const { verdict, genuine, checks, licence } = await verify(bytes(row.data), options);
    const failed = checks.filter((check) => !check.ok).map((check) => check.name);
    const detail = checks.map(({ code, values }) => [say("zh", code, values), say("en", code, values)]);
    found.push({ name: row.name, verdict, genuine, failed, licence: plain(licence), detail });
  }
  return found;
}

function decoded(base64) {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

function plain(licence) {
  return JSON.parse(JSON.stringify(licence, (_, value) => (typeof value === "bigint" ? String(value) : value)));
}

/** Reads bundles (base64) on standard input and prints for each whether the reader of a folder opens it. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { openBundle } = await import(new URL("trust.js", pathToFileURL(`${process.argv[2]}/`)));
const told = [];
for (const bundle of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    const trust = await openBundle(new Uint8Array(Buffer.from(bundle, "base64")));
    for (const kid of trust.keys.keys()) await trust.certificate(kid);
    told.push("good");
  } catch (error) {
    if (error.code?.startsWith("trust-") !== true) throw error;
    told.push("refused");
  }
}
process.stdout.write(JSON.stringify(told));

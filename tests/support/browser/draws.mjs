/** Reads a table of draws on standard input, makes each again with the modules of a folder, and prints the verdicts. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const [{ verifyDraw }, { openBundle }] = await Promise.all(["draw.js", "trust.js"].map((name) => import(new URL(name, folder))));
const { bundle, known, rows } = JSON.parse(readFileSync(0, "utf8"));
const trust = await openBundle(new TextEncoder().encode(bundle));
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const each = (value) => (Array.isArray(value) ? value.map(bytes) : value === null ? null : bytes(value));
const sources = Object.fromEntries(Object.entries(known).map(([name, value]) => [name, each(value)]));
const found = {};
for (const { name, files } of rows) {
  const read = Object.fromEntries(Object.entries(files).map(([kind, value]) => [kind, each(value)]));
  const { verdict, unchecked, checks } = await verifyDraw(read, { trust, known: sources, at: Date.now() / 1000 });
  found[name] = { verdict, unchecked, failed: checks.filter((one) => !one.ok).map((one) => one.name) };
}
process.stdout.write(JSON.stringify(found));

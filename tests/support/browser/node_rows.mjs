/** Reads a table on standard input, runs it through the modules of a folder, and prints the verdicts as JSON. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { run } from "./rows.js";

const folder = pathToFileURL(`${process.argv[2]}/`);
const [{ verify }, { openBundle }, { say }] = await Promise.all(
  ["verify.js", "trust.js", "texts.js"].map((name) => import(new URL(name, folder))),
);
const noDecoder = async () => {
  throw new Error("node has no decoder of pictures");
};
const found = await run({ verify, openBundle, say }, JSON.parse(readFileSync(0, "utf8")), noDecoder);
process.stdout.write(JSON.stringify(found));

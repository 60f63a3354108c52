/** Reads vectors on standard input and prints for each whether the decoder of a folder accepts it. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = pathToFileURL(`${process.argv[2]}/`);
const [{ decode }, { fromHex }] = await Promise.all(["cbor.js", "bytes.js"].map((name) => import(new URL(name, folder))));
const accepts = ({ hex }) => {
  try {
    decode(fromHex(hex), 10_000);
    return true;
  } catch (error) {
    if (error.code === undefined) throw error;
    return false;
  }
};
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(accepts)));

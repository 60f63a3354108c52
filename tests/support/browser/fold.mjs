/** Reads texts on standard input and prints each as `look.js` of a folder folds it. */

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { fold } = await import(new URL("look.js", pathToFileURL(`${process.argv[2]}/`)));
process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(fold)));

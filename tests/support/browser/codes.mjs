/** Compares the codes that the modules of a folder raise with the texts that there are. */

import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const { TEXTS } = await import(new URL("texts.js", pathToFileURL(`${folder}/`)));
const names = readdirSync(folder).filter((name) => /\.(js|html)$/.test(name) && name !== "texts.js");
const source = names.map((name) => readFileSync(`${folder}/${name}`, "utf8")).join("\n");
const raised = [...source.matchAll(/new (?:Refused|NotJudged|TrustFailed)\(\s*"([a-z0-9-]+)"/g)].map((found) => found[1]);
const missing = [...new Set(raised)].filter((code) => !Object.hasOwn(TEXTS, code));
const made = /^(ok|check|field|status-word|note-list)-|^(valid|invalid|unknown)-(genuine|false)$|^(valid|invalid|unknown)$/;
const unused = Object.keys(TEXTS).filter((code) => !made.test(code) && !source.includes(`"${code}"`));
process.stdout.write(JSON.stringify({ missing, unused }));

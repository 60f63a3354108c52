/**
 * The visible text of a licence's pages, compared with what was signed beside it.
 *
 * It reads files whose seal was verified: what it reads was put there by an authority. Only what those files need
 * exists here: plain or deflated contents, forms, and fonts with a map from glyphs to Unicode.
 */

import { inflate, latin1 } from "./bytes.js";
import { fold, shows } from "./look.js";
import { Refused } from "./refusals.js";

const MAX_PAGES = 200;
const MAX_STREAM = 16 << 20; // bytes once inflated
const MAX_NESTING = 8; // of page trees and forms
const LONGEST = 8000; // characters kept of the pages before: more than any one text has
const NO_CHARACTER = /\(cid:\p{Nd}+\)/gu; // how readers of PDFs write a glyph that has no character
// The number of a page of the annex stands at its end; a text that runs over pages goes on behind it.
const FOOTER = new RegExp(`${fold("附页第")}[0-9]+${fold("页共")}[0-9]+${fold("页")}$`);
const ISO = /^\d{4}-\d\d-\d\d$/;

/** Refuse a file whose pages do not say what its body says. The facts stand on the first page. */
export async function checkPage(objects, body) {
  const pages = pagesOf(objects);
  const first = await textOf(objects, pages[0]);
  const missing = facts(body).filter(([, text]) => !shows(first, plain(text)));
  if (missing.length) throw new Refused("page-missing", { names: missing.map(([name]) => name).join(", ") });
  let rest = lists(body).map(plain).filter((text) => !shows(first, text));
  let before = "";
  for (const page of pages.slice(1)) {
    if (!rest.length) break;
    const text = await textOf(objects, page);
    rest = rest.filter((wanted) => !shows(text, wanted) && !runsOver(wanted, before, text));
    before = (before + text).slice(-LONGEST);
  }
  if (rest.length) throw new Refused("page-missing", { names: rest[0].slice(0, 40) });
}

function facts(body) {
  return [
    ["ZZMC", body.ZZMC],
    ["ZZBH", body.ZZBH],
    ["CZZT", body.CZZT],
    ["CZZTDM", body.CZZTDM],
    ["ZZYXQQSRQ", pageDate(body.ZZYXQQSRQ)],
    ["ZZYXQJZRQ", body.ZZYXQJZRQ ? pageDate(body.ZZYXQJZRQ) : "长期"],
    ["ZZBFRQ", pageDate(body.ZZBFRQ)],
    ["ZZBFJG", body.ZZBFJG],
    ["ZZBS", body.ZZBS],
    ["version", `第${body.version}版`],
    ["previous_identifier", body.previous_identifier ?? ""],
    ["address", body.address],
  ];
}

function lists(body) {
  const particulars = (body.particulars ?? []).flatMap(({ label, value }) => [label, particular(value)]);
  const products = body.products.flatMap(({ category, detail = "", site = "" }) => [category, detail, site]);
  return [...particulars, ...products, ...body.filings.map((filing) => filing.name)];
}

/** A particular that is a real date stands on the page as dates do. */
function particular(value) {
  const real = ISO.test(value) && new Date(`${value}T00:00:00Z`).toJSON()?.slice(0, 10) === value;
  return real ? pageDate(value) : value;
}

function pageDate(iso) {
  const [year, month, day] = iso.split("-").map(Number);
  return `${year}年${month}月${day}日`;
}

/** Return whether a text begins on the pages before and ends on this one. */
function runsOver(text, before, page) {
  for (let cut = 1; cut < text.length; cut++) {
    if (before.includes(text.slice(0, cut)) && page.includes(text.slice(cut))) return true;
  }
  return false;
}

// Pages

function pagesOf(objects) {
  const root = reference(dictionary(objects.get(objects.root)), "Pages");
  const pages = [];
  collect(objects, root, pages, MAX_NESTING);
  if (!pages.length || pages.length > MAX_PAGES) throw new Refused("page-form");
  return pages;
}

function collect(objects, number, pages, depth) {
  const entries = dictionary(objects.get(number));
  const kids = /\/Kids\[([^\]]*)\]/.exec(entries);
  if (!kids) {
    pages.push(entries);
  } else if (depth) {
    for (const kid of references(kids[1])) collect(objects, kid, pages, depth - 1);
  }
  if (pages.length > MAX_PAGES) throw new Refused("page-form");
}

async function textOf(objects, page) {
  const listed = /\/Contents ?(?:\[([^\]]*)\]|(\d+) 0 R)/.exec(page);
  if (!listed) return "";
  const contents = listed[1] === undefined ? [Number(listed[2])] : references(listed[1]);
  const streams = [];
  for (const number of contents) streams.push(latin1(await stream(objects.get(number))));
  const shown = await new Painter(objects).paint(streams.join("\n"), reference(page, "Resources"), MAX_NESTING);
  return plain(shown).replace(FOOTER, "");
}

/** Return a text by its looks, without the codes of glyphs that have no character. */
function plain(text) {
  return fold(text.replace(NO_CHARACTER, ""));
}

function dictionary(object) {
  const text = latin1(object);
  const end = text.indexOf("\nstream\n");
  return end < 0 ? text : text.slice(0, end);
}

function reference(entries, name) {
  const found = new RegExp(`/${name} (\\d+) 0 R`).exec(entries);
  if (!found) throw new Refused("page-form");
  return Number(found[1]);
}

function references(text) {
  return Array.from(text.matchAll(/(\d+) 0 R/g), (found) => Number(found[1]));
}

async function stream(object) {
  const entries = dictionary(object);
  const length = /\/Length (\d+)/.exec(entries);
  if (!length) throw new Refused("page-form");
  const from = entries.length + "\nstream\n".length;
  const data = object.subarray(from, from + Number(length[1]));
  if (!entries.includes("/Filter")) return data;
  const inflated = entries.includes("/Filter/FlateDecode") ? await inflate(data, MAX_STREAM) : null;
  if (!inflated) throw new Refused("page-form");
  return inflated;
}

// Contents

/** Reads the text that contents show, in the order in which it is set. */
class Painter {
  constructor(objects) {
    this.objects = objects;
    this.fonts = new Map(); // object number → map of glyphs
  }

  async paint(contents, resources, depth) {
    const entries = dictionary(this.objects.get(resources));
    const shown = [];
    const states = [];
    let font = null;
    let operands = [];
    for (const token of tokens(contents)) {
      if (token.operator === undefined) {
        operands.push(token);
        continue;
      }
      switch (token.operator) {
        case "q":
          states.push(font);
          break;
        case "Q":
          font = states.pop() ?? font;
          break;
        case "Tf":
          font = await this.font(entries, operands.at(-2)?.name);
          break;
        case "Do":
          shown.push(await this.form(entries, operands.at(-1)?.name, depth));
          break;
        case "Tj":
        case "TJ":
        case "'":
        case '"':
          for (const { string } of operands) if (string !== undefined) shown.push(glyphs(string, font));
          break;
        default:
      }
      operands = [];
    }
    return shown.join("");
  }

  async font(entries, name) {
    const number = named(entries, "Font", name);
    if (!this.fonts.has(number)) {
      const map = reference(dictionary(this.objects.get(number)), "ToUnicode");
      this.fonts.set(number, glyphMap(latin1(await stream(this.objects.get(map)))));
    }
    return this.fonts.get(number);
  }

  async form(entries, name, depth) {
    const object = this.objects.get(named(entries, "XObject", name));
    const own = dictionary(object);
    if (!own.includes("/Subtype/Form") || !depth) return "";
    return this.paint(latin1(await stream(object)), reference(own, "Resources"), depth - 1);
  }
}

function named(entries, kind, name) {
  const group = new RegExp(`/${kind}<<([^<>]*)>>`).exec(entries);
  const listed = group ? [...group[1].matchAll(/\/([^\s/]+) (\d+) 0 R/g)] : [];
  const found = new Map(listed.map(([, key, number]) => [key, Number(number)]));
  if (!found.has(name)) throw new Refused("page-form");
  return found.get(name);
}

/** Return the text of a string of two-byte glyphs; glyphs without a character are parts of the one before. */
function glyphs(string, font) {
  if (!font) throw new Refused("page-form");
  let text = "";
  for (let at = 0; at + 1 < string.length; at += 2) {
    text += font.get((string.charCodeAt(at) << 8) | string.charCodeAt(at + 1)) ?? "";
  }
  return text;
}

function glyphMap(cmap) {
  const map = new Map();
  for (const [, block] of cmap.matchAll(/beginbfchar([\s\S]*?)endbfchar/g)) {
    for (const [, code, text] of block.matchAll(/<([0-9A-Fa-f]{4})>\s*<([0-9A-Fa-f]+)>/g)) {
      map.set(parseInt(code, 16), utf16(text));
    }
  }
  for (const [, block] of cmap.matchAll(/beginbfrange([\s\S]*?)endbfrange/g)) {
    for (const [, from, to, text] of block.matchAll(/<([0-9A-Fa-f]{4})>\s*<([0-9A-Fa-f]{4})>\s*<([0-9A-Fa-f]+)>/g)) {
      const first = utf16(text);
      const [start, end] = [parseInt(from, 16), parseInt(to, 16)];
      const last = first.length - 1;
      for (let code = start; code <= end; code++) {
        map.set(code, first.slice(0, last) + String.fromCharCode(first.charCodeAt(last) + code - start));
      }
    }
  }
  return map;
}

function utf16(hex) {
  let text = "";
  for (let at = 0; at + 4 <= hex.length; at += 4) text += String.fromCharCode(parseInt(hex.slice(at, at + 4), 16));
  return text;
}

// Tokens: {operator}, {name}, {string} or {} for what says nothing of text.

const TOKEN = /[\s\0]+|%[^\r\n]*|<<|>>|<([0-9A-Fa-f\s]*)>|\/([^\s\0()<>[\]{}/%]*)|\(|[[\]]|([^\s\0()<>[\]{}/%]+)/y;
const ESCAPES = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f" };

function* tokens(contents) {
  TOKEN.lastIndex = 0;
  let at = 0;
  while (at < contents.length) {
    TOKEN.lastIndex = at;
    const found = TOKEN.exec(contents);
    if (!found) throw new Refused("page-form");
    at = TOKEN.lastIndex;
    if (found[0] === "(") {
      const [string, end] = literal(contents, at);
      at = end;
      yield { string };
    } else if (found[1] !== undefined) {
      const hex = found[1].replace(/\s/g, "");
      yield { string: String.fromCharCode(...(hex.match(/../g) ?? []).map((pair) => parseInt(pair, 16))) };
    } else if (found[2] !== undefined) {
      yield { name: found[2] };
    } else if (found[3] === "ID") {
      at = afterImage(contents, at);
    } else if (found[3] !== undefined) {
      yield /^[-+.\d]/.test(found[3]) ? {} : { operator: found[3] };
    }
  }
}

/** Return where an inline image ends; its data here is hex that ends in `>`. */
function afterImage(contents, at) {
  const end = contents.indexOf(">", at);
  if (end < 0 || !/^[\s0-9A-Fa-f]*$/.test(contents.slice(at, end))) throw new Refused("page-form");
  return end + 1;
}

/** Return the value of a string in brackets and where it ends. */
function literal(contents, start) {
  let text = "";
  let depth = 1;
  for (let at = start; at < contents.length; at++) {
    let char = contents[at];
    if (char === "\\") {
      const octal = /^[0-7]{1,3}/.exec(contents.slice(at + 1, at + 4));
      if (octal) {
        text += String.fromCharCode(parseInt(octal[0], 8) & 255);
        at += octal[0].length;
        continue;
      }
      char = contents[++at];
      if (char === "\n") continue;
      text += ESCAPES[char] ?? char;
      continue;
    }
    if (char === "(") depth++;
    if (char === ")" && !--depth) return [text, at + 1];
    text += char;
  }
  throw new Refused("page-form");
}

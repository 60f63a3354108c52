/**
 * The page that draws again: a person drops the published files onto it, and it says whether the draw is right.
 *
 * It works on the element `#drawing` (see draw.html). `#d-inside` holds the trust bundle and, on a site, the transcript;
 * nothing is fetched and nothing is sent.
 */

import { fromBase64, fromUtf8, toUtf8 } from "./bytes.js";
import { parse } from "./canonical.js";
import { verifyDraw } from "./draw.js";
import { COLUMNS } from "./draw_register.js";
import { Refused } from "./refusals.js";
import { openBundle } from "./trust.js";

const MOST = 1 << 30; // bytes of one file
const OPEN = {
  assignments: ["谁检查谁：请加入检查人员与回避名录", "who visits whom: add the registers of inspectors and conflicts"],
  earlier: ["是否列全以往抽取：请加入该机关的全部抽取文件", "whether all earlier draws are named: add all papers of the authority's draws"],
  order: ["是否为该计划唯一的抽取：请加入全部抽取文件", "whether this is the only draw of its plan: add all papers"],
  parties: ["参与方的密钥是否登记", "whether the parties' keys are registered"],
  public: ["公开随机数：请到其来源核对", "the public value: look it up at its source"],
  publication: ["公告是否先于种子公布", "whether the announcement was public before the seed: the transcript has no timestamp that this page can check"],
  replacements: ["事后是否有人被替换：有递补的请用 zhengzhao draw verify --chain", "whether somebody was replaced afterwards: add all papers; replacements are checked by zhengzhao draw verify --chain"],
  signatures: ["签名：本页没有信任目录", "the signatures: this page has no trust folder"],
};

class Drawing {
  constructor(root) {
    this.root = root;
    this.files = {};
    const inside = JSON.parse(document.getElementById("d-inside").textContent);
    this.trusted = inside.bundle ? openBundle(toUtf8(inside.bundle)) : Promise.resolve(null);
    this.trusted.catch(() => {}); // told with the verdict
    const { beacons, shipped, authorities } = inside.known;
    this.known = { beacons: beacons && fromBase64(beacons), shipped: fromBase64(shipped), authorities: authorities.map(fromBase64) };
    this.fixed = Boolean(inside.transcript); // a site's page is about its own draw
    if (this.fixed) this.files.transcript = fromBase64(inside.transcript);
  }

  find(id) {
    return this.root.querySelector(`#${id}`);
  }

  start() {
    this.find("d-file").addEventListener("change", (event) => this.take([...event.target.files]));
    this.root.addEventListener("dragover", (event) => event.preventDefault());
    this.root.addEventListener("drop", (event) => {
      event.preventDefault();
      this.take([...event.dataTransfer.files]);
    });
    this.find("d-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.look(this.find("d-id").value.trim());
    });
    this.given();
  }

  /** Take files in, each told by its content, and draw again once transcript and targets are there. */
  async take(files) {
    const refused = [];
    const transcripts = [];
    for (const file of files) {
      const bytes = file.size <= MOST ? new Uint8Array(await file.arrayBuffer()) : new Uint8Array();
      const kind = kindOf(bytes);
      if (kind === "transcript") transcripts.push(bytes);
      else if (kind === "papers" || kind === "tokens") (this.files[kind] ??= []).push(bytes);
      else if (kind) this.files[kind] = bytes;
      else refused.push(file.name);
    }
    // Of several transcripts the last one is made again; those before it are papers of the chain.
    const number = (bytes) => parse(bytes).announcement?.sequence ?? 0;
    transcripts.sort((one, other) => number(one) - number(other));
    if (!this.fixed && transcripts.length) this.files.transcript = transcripts.pop();
    if (transcripts.length) (this.files.papers ??= []).push(...transcripts);
    this.given(refused);
    if (this.files.transcript && this.files.targets) await this.draw();
  }

  given(refused = []) {
    const here = Object.keys(this.files).join(", ") || "—";
    const not = refused.length ? ` · 不能识别 / not known: ${refused.join(", ")}` : "";
    this.find("d-given").textContent = `已有文件 / files here: ${here}${not}`;
  }

  async draw() {
    const bar = this.find("d-progress");
    const answer = this.find("d-answer");
    bar.hidden = false;
    delete answer.dataset.verdict;
    const began = performance.now();
    let report;
    try {
      const progress = (share) => { bar.value = share; };
      report = await verifyDraw(this.files, { trust: await this.trusted, known: this.known, at: Date.now() / 1000, progress });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      report = { verdict: "unknown", unchecked: [], drawn: [], checks: [{ name: "trust", ok: false, detail: error.code }] };
    }
    bar.hidden = true;
    this.drawn = report.drawn;
    this.show(report, (performance.now() - began) / 1000);
  }

  show({ verdict, unchecked, checks }, took) {
    const words = { valid: "相符 / right", invalid: "不符 / not right", unknown: "无法判断 / cannot be told" };
    const answer = this.find("d-answer");
    const line = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
    const list = (texts) => {
      const made = document.createElement("ul");
      made.append(...texts.map((text) => line("li", text)));
      return made;
    };
    answer.replaceChildren(
      line("h2", words[verdict]),
      line("p", `本机重新抽取用时 ${took.toFixed(1)} 秒 / drawn again here in ${took.toFixed(1)} s`),
      list(checks.map(({ name, ok, detail }) => `${ok ? "✓" : "✗"} ${name}${detail ? `: ${detail}` : ""}`)),
    );
    if (unchecked.length) {
      answer.append(line("h3", "未能核对 / not checked"), list(unchecked.map((name) => `${name}: ${OPEN[name].join(" / ")}`)));
    }
    answer.dataset.unchecked = unchecked.join(" ");
    answer.dataset.verdict = verdict;
  }

  look(id) {
    const place = this.drawn ? this.drawn.indexOf(id) + 1 : 0;
    const found = place ? `抽中，第 ${place} 个 / drawn, number ${place}` : "未抽中 / not drawn";
    this.find("d-found").textContent = this.drawn ? found : "请先加入文件 / add the files first";
  }
}

/**
 * Tell a file by its content: a transcript, another paper of the chain (JSON), a timestamp (DER), or a register by its
 * columns; null for any other.
 */
function kindOf(bytes) {
  if (bytes[0] === 0x7b) return parse(bytes)?.announcement_digest ? "transcript" : "papers";
  if (bytes[0] === 0x30) return "tokens";
  const end = bytes.indexOf(10);
  try {
    const header = fromUtf8(bytes.subarray(0, end < 0 ? bytes.length : end)).replace(/^\ufeff|\r$/g, "");
    const columns = header.split(",").map((name) => name.replace(/^"|"$/g, ""));
    const kinds = ["inspectors", "conflicts", "targets"];
    return kinds.find((kind) => COLUMNS[kind].every((name) => columns.includes(name))) ?? null;
  } catch {
    return null;
  }
}

new Drawing(document.getElementById("drawing")).start();

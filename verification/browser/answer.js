/** A verdict as a person reads it. Everything is set as text: nothing of a licence becomes markup. */

import { say, has } from "./texts.js";

const FIELDS = [
  "name", "number", "holder_name", "holder_id", "authority_name", "valid_from", "valid_until", "status", "reason",
  "since", "version", "version_in_force", "address", "categories",
];
const DAY = 86_400;

/** Make an element with attributes and children; texts become text nodes. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Show a verdict in `place`: its attributes `data-verdict` and `data-genuine` are what programs read. */
export function show(place, language, verdict, notes) {
  const tell = (code, values) => say(language, code, values);
  place.setAttribute("data-verdict", verdict.verdict);
  place.setAttribute("data-genuine", String(verdict.genuine));
  const failed = verdict.checks.find((check) => !check.ok);
  place.replaceChildren(
    element("h2", { class: "v-word", tabindex: "-1" }, tell(verdict.verdict)),
    element("p", { class: "v-sentence" }, tell(`${verdict.verdict}-${verdict.genuine ? "genuine" : "false"}`)),
    failed ? element("p", { class: "v-why" }, tell(failed.code, failed.values)) : "",
    verdict.genuine ? licence(verdict.licence, tell) : "",
    element("ul", { class: "v-notes" }, ...notes.map(({ code, values }) => element("li", {}, tell(code, values)))),
    verdict.checks.length ? checks(verdict.checks, tell) : "",
  );
}

/** Take a verdict away. */
export function clear(place) {
  place.removeAttribute("data-verdict");
  place.removeAttribute("data-genuine");
  place.replaceChildren();
}

function licence(content, tell) {
  const rows = FIELDS.map((name) => [name, field(name, content[name], tell)]).filter(([, value]) => value !== "");
  const pairs = rows.flatMap(([name, value]) => [
    element("dt", {}, tell(`field-${name}`)),
    element("dd", { "data-field": name }, value),
  ]);
  return element("dl", { class: "v-licence" }, ...pairs);
}

function field(name, value, tell) {
  if (name === "valid_until") return value ?? tell("no-end");
  if (name === "status") return has(`status-word-${value}`) ? tell(`status-word-${value}`) : String(value);
  if (Array.isArray(value)) return value.join("、");
  return value === null || value === undefined ? "" : String(value);
}

function checks(made, tell) {
  const items = made.map(({ name, ok, code, values }) => {
    const said = `${ok ? "✓" : "✗"} ${tell(`check-${name}`)}: ${tell(code, values)}`;
    return element("li", { "data-check": name, "data-ok": String(ok) }, said);
  });
  const summary = element("summary", {}, tell("details"));
  return element("details", { class: "v-checks" }, summary, element("ol", {}, ...items));
}

/** Return how long something is, in the largest unit that is one or more. */
export function age(language, seconds) {
  const length = Math.abs(seconds);
  if (length >= 2 * DAY) return say(language, "age-days", { n: Math.floor(length / DAY) });
  if (length >= 7200) return say(language, "age-hours", { n: Math.floor(length / 3600) });
  return say(language, "age-minutes", { n: Math.max(1, Math.round(length / 60)) });
}

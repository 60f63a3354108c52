/** Times: Unix seconds inside, RFC 3339 and dates in China outside. */

const FORM = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{1,9})?(?:Z|([+-])(\d\d):(\d\d))$/;
const CHINA = 8 * 3600;

/** Return the Unix seconds of an RFC 3339 time with zone, or null where it is none. */
export function seconds(text) {
  const found = FORM.exec(text);
  if (!found) return null;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number);
  const time = Date.UTC(year, month - 1, day, hour, minute, second);
  const read = new Date(time);
  if (read.getUTCMonth() !== month - 1 || read.getUTCDate() !== day || read.getUTCHours() !== hour) return null;
  if (minute > 59 || second > 59) return null;
  const [, , , , , , , fraction, sign, hours, minutes] = found;
  const zone = sign ? (sign === "-" ? -1 : 1) * (3600 * Number(hours) + 60 * Number(minutes)) : 0;
  return time / 1000 + (fraction ? Number(fraction) : 0) - zone;
}

/** Return the ISO date in China of Unix seconds. */
export function chinaDate(at) {
  return new Date((at + CHINA) * 1000).toISOString().slice(0, 10);
}

/** Return the RFC 3339 time in China of Unix seconds. */
export function chinaTime(at) {
  return `${new Date(Math.floor(at + CHINA) * 1000).toISOString().slice(0, 19)}+08:00`;
}

/** Return a time in China as a person reads it: `2018-09-10 09:12`. */
export function readable(at) {
  return chinaTime(at).slice(0, 16).replace("T", " ");
}

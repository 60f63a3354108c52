/**
 * The looks of a text: a page tells glyphs, not characters.
 *
 * Where two characters share a glyph (`—` and `―`, `页` and the radical `⻚`), a reader of the page sees one of them
 * for both, so what is compared with a page is compared by its looks.
 */

// Pairs of characters: one, and the first of those that share its glyph in the page's fonts. The table is data of
// the fonts, as it stands in `verification/page_text.py`; a test keeps both the same.
const TWINS =
  "\u00ad- ‑- –‒ •· ‧· ⋯… ➀① ➁② ➂③ ➃④ ➄⑤ ➅⑥ ➆⑦ ➇⑧ ➈⑨ ➉⑩ ➊❶ ➋❷ ➌❸ ➍❹ ➎❺ ➏❻ ➐❼ ➑❽ ➒❾ ➓❿ ⮕➡ ⺲⺫ ⼪⺐ ⼳⺓ ⾧⻑ ⾷⻝ ⿁⻤ " +
  "・· 㓁⺳ 㔾⺋ 㦳㘽 䎛㖈 䐠㬻 丬⺦ 乚⺃ 乛⺂ 亀⻲ 亻⺅ 兀⺎ 刂⺉ 卤⻧ 壿墫 尢⺐ 尣⺏ 巳⺒ 幐㬺 幺⺓ 彐⺕ 彑⺔ 忄⺖ 户⼾ 扌⺘ 攵⺙ 斉⻫ 旡⺛ 曶㫚 槩㮣 歺⺞ 民⺠ 氵⺡ " +
  "灬⺣ 爫⺤ 犭⺨ 礻⺭ 竜⻯ 糹⺯ 纟⺰ 罒⺫ 罓⺱ 耂⺹ 肀⺺ 胶㬵 艹⺾ 虎⻁ 衤⻂ 覀⻃ 见⻅ 角⻆ 讠⻈ 贝⻉ 车⻋ 辶⻌ 钅⻐ 長⻑ 镸⻒ 长⻓ 门⻔ 阝⻖ 青⻘ 韦⻙ 页⻚ 风⻛ 飞⻜ " +
  "食⻝ 飠⻟ 饣⻠ 马⻢ 骨⻣ 鬼⻤ 鱼⻥ 鸟⻦ 麦⻨ 黄⻩ 黾⻪ 齐⻬ 齿⻮ 龙⻰ 龜⻱ \uf92c郞 \ufa0c⺎ \ufa49⺤ \ufa5d⻀ \ufa5e⺿ ／∕ ｀‵ ～〜 🄋⓪ 🄌⓿ 𠘨⺇ 𤈎㶷 𤣩⺩ 𤨁瑨 𥫗⺮ 𦥑⺽ 𧢲⻇ 𧺯\ufa23 " +
  "𧾷⻊ 𨸏⻕ 𩙿⻞ 𩠐⻡ 𩿗𩿎 𭕄⺍ \u{2f82c}𠦄 \u{2f8db}𣏌 \u{2f9b2}𧃰 ";
const DASHES = "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"; // a layout joins some of them
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|\p{M}/gu;
const ALIKE = new Map(Array.from(DASHES, (dash) => [dash, "-"]));
ALIKE.set("\u0f00", "\u0f68"); // ༀ is set as its letter with signs
const TABLE = new Map(TWINS.trim().split(" ").map((pair) => [...pair]));

/**
 * Return a text by its looks: compatible characters and those with a common glyph as one, no white space.
 *
 * Combining marks count as little: a stack of Tibetan letters is one glyph, which a PDF names by the first stack
 * that used it.
 */
export function fold(text) {
  const alike = Array.from(text, (char) => {
    const first = ALIKE.get(char) ?? char;
    return TABLE.get(first) ?? first;
  });
  return alike.join("").normalize("NFKD").replace(SPACE, "");
}

/**
 * Return whether a page shows a text, both by their looks.
 *
 * Tibetan letters between those of a Tibetan text do not count: the lower letters of a stack are glyphs of their
 * own, which a PDF may name by the whole of another stack.
 */
export function shows(page, text) {
  if (page.includes(text)) return true;
  if (!Array.from(text).some(isTibetan)) return false;
  for (let begin = page.indexOf(text[0]); begin >= 0; begin = page.indexOf(text[0], begin + 1)) {
    if (follows(page, begin, text)) return true;
  }
  return false;
}

function follows(page, begin, text) {
  let place = begin;
  for (const char of text.split("")) {
    while (place < page.length && page[place] !== char && isTibetan(page[place])) place++;
    if (page[place] !== char) return false;
    place++;
  }
  return true;
}

function isTibetan(char) {
  return char >= "\u0f00" && char <= "\u0fff";
}

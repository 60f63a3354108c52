// Prints the text that pdf.js draws of a PDF's pages, annotations such as filled fields included.
import { readFile } from "node:fs/promises";

// The module names these classes of a browser when it is loaded; nothing is rendered here.
for (const name of ["DOMMatrix", "ImageData", "Path2D"]) globalThis[name] ??= class {};
const { AnnotationMode, getDocument, OPS } = await import("pdfjs-dist/legacy/build/pdf.mjs");

const data = new Uint8Array(await readFile(process.argv[2]));
const document = await getDocument({ data, useSystemFonts: false, verbosity: 0 }).promise;
for (let number = 1; number <= document.numPages; number++) {
  const page = await document.getPage(number);
  const list = await page.getOperatorList({ annotationMode: AnnotationMode.ENABLE });
  const glyphs = list.fnArray.flatMap((operator, n) => (operator === OPS.showText ? list.argsArray[n][0] : []));
  console.log(glyphs.filter((glyph) => glyph.unicode).map((glyph) => glyph.unicode).join(""));
}

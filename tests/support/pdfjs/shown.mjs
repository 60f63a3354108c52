// Prints the text that pdf.js draws of a PDF's pages, annotations such as filled fields included.
// With a target and values (JSON, by the names of fields) it fills the form in and saves it instead, as Firefox does.
import { readFile, writeFile } from "node:fs/promises";

// The module names these classes of a browser when it is loaded; nothing is rendered here.
for (const name of ["DOMMatrix", "ImageData", "Path2D"]) globalThis[name] ??= class {};
const { AnnotationMode, getDocument, OPS } = await import("pdfjs-dist/legacy/build/pdf.mjs");

const data = new Uint8Array(await readFile(process.argv[2]));
const document = await getDocument({ data, useSystemFonts: false, verbosity: 0 }).promise;
const [target, values] = process.argv.slice(3);
for (let number = 1; target && number <= document.numPages; number++)
  for (const field of await (await document.getPage(number)).getAnnotations()) {
    const value = JSON.parse(values)[field.alternativeText ?? field.fieldName];
    if (value) document.annotationStorage.setValue(field.id, { value });
  }
if (target) await writeFile(target, await document.saveDocument());
for (let number = 1; !target && number <= document.numPages; number++) {
  const page = await document.getPage(number);
  const list = await page.getOperatorList({ annotationMode: AnnotationMode.ENABLE });
  const glyphs = list.fnArray.flatMap((operator, n) => (operator === OPS.showText ? list.argsArray[n][0] : []));
  console.log(glyphs.filter((glyph) => glyph.unicode).map((glyph) => glyph.unicode).join(""));
}

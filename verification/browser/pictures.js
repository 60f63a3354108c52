/** QR codes in pictures and camera frames: the browser's own detector, or the library kept under `vendor/`. */

import { NotJudged } from "./refusals.js";

const MAX_SIDE = 3000; // pixels of what is searched; an A4 page at 250 dpi
const MAX_PIXELS = 40_000_000; // an A4 page at 600 dpi has 35 million

/** Return the texts of all QR codes in a picture's bytes; NotJudged where they are no picture that can be read. */
export async function textsInPicture(bytes) {
  let picture;
  try {
    picture = await createImageBitmap(new Blob([bytes]));
  } catch {
    throw new NotJudged("qr-none");
  }
  try {
    if (picture.width * picture.height > MAX_PIXELS) throw new NotJudged("picture-size");
    const native = await nativeTexts(picture);
    if (native?.length) return native;
    for (const side of [MAX_SIDE, 1600]) {
      const found = await libraryTexts(pixels(picture, side));
      if (found.length) return found;
      if (Math.max(picture.width, picture.height) <= 1600) break;
    }
    return [];
  } finally {
    picture.close();
  }
}

/** Return the texts of the QR codes in a frame of a video. */
export async function textsInFrame(video) {
  const native = await nativeTexts(video);
  return native ?? libraryTexts(pixels(video, 1280));
}

let detector; // undefined: not asked yet; null: there is none

async function nativeTexts(source) {
  if (detector === undefined) {
    const formats = (await globalThis.BarcodeDetector?.getSupportedFormats?.().catch(() => [])) ?? [];
    detector = formats.includes("qr_code") ? new globalThis.BarcodeDetector({ formats: ["qr_code"] }) : null;
  }
  if (!detector) return null;
  try {
    return (await detector.detect(source)).map((code) => code.rawValue);
  } catch {
    return null;
  }
}

async function libraryTexts(image) {
  const { decodeQRBatch } = await import("./vendor/qr/decode.js");
  const [found] = await decodeQRBatch([image], { maxSize: { width: image.width, height: image.height } });
  return found.filter((text) => typeof text === "string");
}

function pixels(source, side) {
  const [width, height] = [source.videoWidth ?? source.width, source.videoHeight ?? source.height];
  const scale = Math.min(1, side / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff"; // what is transparent shows the paper
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

/** The camera: frames until one shows the QR code of a licence. */

import { textsInFrame } from "./pictures.js";
import { isQrText } from "./qr_text.js";

const PAUSE = 120; // milliseconds between frames, so that a phone stays responsive

/** Tell whether there is a camera that a page may ask for. */
export const hasCamera = () => Boolean(navigator.mediaDevices?.getUserMedia);

/** A running scan; `stop` ends it and lets go of the camera. */
export class Scan {
  /** Start to scan: `found` is called once with the text, `other` for a QR code that is no licence's. */
  constructor(video, found, other) {
    this.video = video;
    this.found = found;
    this.other = other;
    this.running = false;
    this.stream = null;
  }

  /** Ask for the camera and begin; raises what getUserMedia raises where there is none or it is not allowed. */
  async start() {
    const wanted = { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } };
    this.running = true;
    const stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    this.stream = stream;
    if (!this.running) return this.stop();
    this.video.srcObject = stream;
    await this.video.play();
    this.loop();
  }

  async loop() {
    while (this.running) {
      if (this.video.readyState >= 2) {
        const texts = await textsInFrame(this.video).catch(() => []);
        const text = texts.find(isQrText);
        if (!this.running) return;
        if (text) {
          this.stop();
          this.found(text);
          return;
        }
        if (texts.length) this.other();
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  stop() {
    this.running = false;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
  }
}

/**
 * The service worker of the verifier: after one visit the page works without a network.
 *
 * The network is asked first; what it gave is kept and serves when it does not answer, marked as kept, so that the
 * page can say how old the status list is. Nothing but the verifier's own addresses is touched.
 */

const KEPT = "zhengzhao-verifier-1";
const KEPT_HEADER = "x-zhengzhao-kept";
const PATIENCE = 4000; // milliseconds for an answer while there is something kept
const SHELL = "/verify";
const FRAME = ["/assets/site.css", "/assets/scripts.css", "/assets/icon.svg"];
const FILES = [
  "answer.js", "body.js", "bytes.js", "camera.js", "canonical.js", "cbor.js", "cose.js", "credential.js", "der.js",
  "inputs.js", "log.js", "look.js", "moments.js", "notes.js", "page.js", "page_text.js", "pdf.js", "pictures.js", "qr_text.js",
  "refusals.js", "seal.js", "sources.js", "status.js", "texts.js", "trust.js", "verify.css", "verify.js",
  "vendor/qr/decode.js", "vendor/qr/index.js",
].map((name) => `/verifier/${name}`);

self.addEventListener("install", (event) => {
  const places = [SHELL, "/trust/bundle", ...FRAME, ...FILES];
  const fresh = places.map((address) => new Request(address, { cache: "reload" }));
  event.waitUntil(caches.open(KEPT).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const others = (names) => names.filter((name) => name.startsWith("zhengzhao-verifier-") && name !== KEPT);
  const cleared = caches.keys().then((names) => Promise.all(others(names).map((name) => caches.delete(name))));
  event.waitUntil(cleared.then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  if (request.method !== "GET" || address.origin !== self.location.origin) return;
  const { pathname } = address;
  if (request.mode === "navigate" && (pathname === "/" || pathname === SHELL)) {
    event.respondWith(answer(request, SHELL, pathname === SHELL && !address.search));
  } else if (/^\/(verifier|status|assets)\//.test(pathname) || pathname === "/trust/bundle") {
    event.respondWith(answer(request, pathname + address.search, !address.search));
  }
});

/** Answer from the network and keep it, or from what was kept under `key`. */
async function answer(request, key, keep) {
  const cache = await caches.open(KEPT);
  const kept = await cache.match(key, { ignoreVary: true });
  try {
    const response = await fetch(request, kept ? { signal: AbortSignal.timeout(PATIENCE) } : {});
    if (response.ok && keep) await cache.put(key, response.clone());
    if (response.status < 500 || !kept) return response;
  } catch (error) {
    if (!kept) throw error;
  }
  const headers = new Headers(kept.headers);
  headers.set(KEPT_HEADER, "1");
  return new Response(kept.body, { status: kept.status, headers });
}

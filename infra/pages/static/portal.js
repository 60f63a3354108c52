// What a page does better with a script: a passkey's login, and one press of a button that sends a form once.
const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) { event.preventDefault(); return; }
  event.target.dataset.sent = "1";
});
window.addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });

async function send(path, csrf, value) {
  const body = new URLSearchParams({ csrf, ...value });
  const answer = await fetch(path, { method: "POST", body });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.fault || answer.status);
  return said;
}

async function logIn(button) {
  const options = await send("/login/passkey", button.dataset.csrf, {});
  const credential = await navigator.credentials.get({ publicKey: {
    ...options, challenge: bytes(options.challenge), allowCredentials: [] } });
  const { response } = credential;
  const said = await send("/login/passkey", button.dataset.csrf, { credential: JSON.stringify({
    id: credential.id, rawId: text(credential.rawId), type: credential.type, response: {
      authenticatorData: text(response.authenticatorData), clientDataJSON: text(response.clientDataJSON),
      signature: text(response.signature), userHandle: response.userHandle ? text(response.userHandle) : null } }),
    next: document.getElementById("passkey").dataset.next });
  location.assign(said.place);
}

async function add(button) {
  const options = await send("/account/passkeys", button.dataset.csrf, {});
  const credential = await navigator.credentials.create({ publicKey: {
    ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: (options.excludeCredentials || []).map((one) => ({ ...one, id: bytes(one.id) })) } });
  await send("/account/passkeys", button.dataset.csrf, { credential: JSON.stringify({
    id: credential.id, rawId: text(credential.rawId), type: credential.type, response: {
      attestationObject: text(credential.response.attestationObject),
      clientDataJSON: text(credential.response.clientDataJSON) } }) });
  location.reload();
}

if (window.PublicKeyCredential) {
  for (const [id, act] of [["use-passkey", logIn], ["add-passkey", add]]) {
    const button = document.getElementById(id);
    if (!button) continue;
    button.closest("section").hidden = false;
    button.addEventListener("click", () => act(button).catch((error) => {
      document.getElementById("passkey-fault").textContent = error.message;
    }));
  }
}

// Web Push for this terminal: the browser subscribes, and the server is told by what it can be told.

/** The only script address that the page makes: its policy of trusted types lets no other pass. */
const policy = globalThis.trustedTypes?.createPolicy("worker", {
  createScriptURL: () => "page/worker.js",
});

/** Whether this browser can be told at all; not over plain HTTP, but for the own machine. */
const isPossible = () => "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;

/** The notifications of one session. Fails with a `Problem`, or an error of the browser's. */
export class Notifications {
  #session;
  #key;

  constructor(session) {
    this.#session = session;
  }

  /** `unavailable`, `off` or `on`. */
  async state() {
    if (!isPossible()) return "unavailable";
    const { web_push_key, provider } = await this.#session.call("GET", "v1/push");
    this.#key = web_push_key;
    if (!web_push_key) return "unavailable";
    return provider === "web_push" && Notification.permission === "granted" ? "on" : "off";
  }

  /** Asks the user, subscribes, and gives the subscription to the server. Only from a click: browsers insist on it. */
  async turnOn() {
    if (await Notification.requestPermission() !== "granted") {
      throw new Error("This browser does not let the page notify you. Its settings for this site can.");
    }
    await navigator.serviceWorker.register(policy?.createScriptURL("") ?? "page/worker.js");
    const { pushManager } = await registration();
    const options = { userVisibleOnly: true, applicationServerKey: this.#key };
    const { endpoint, keys: { p256dh, auth } } = (await pushManager.subscribe(options)).toJSON();
    await this.#session.call("POST", "v1/push", { provider: "web_push", token: endpoint, p256dh, auth });
  }

  /** The subscription stays: other windows of this browser, terminals of their own, may use it. */
  async turnOff() {
    await this.#session.call("DELETE", "v1/push");
  }
}

/** The service worker, once it runs: the page is outside its scope, so that `ready` would wait for ever. */
async function registration() {
  const found = await navigator.serviceWorker.getRegistration("page/");
  const worker = found.installing ?? found.waiting ?? found.active;
  if (worker.state !== "activated") {
    await new Promise((activated) => {
      worker.addEventListener("statechange", () => worker.state === "activated" && activated());
    });
  }
  return found;
}

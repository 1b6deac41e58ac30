// One login: its tokens, kept for this window alone, and renewed before they expire.

import { call, Problem } from "./api.js";

const KEY = "imd.session";
const DEVICE_KEY = "imd.device";

/** After which part of its life an access token is renewed. */
const RENEW_AT = 0.7;

/** The id of this window as a device. An app would keep one for each installation. */
function deviceId() {
  const stored = sessionStorage.getItem(DEVICE_KEY);
  if (stored) return stored;
  const made = newUuid();
  sessionStorage.setItem(DEVICE_KEY, made);
  return made;
}

/** A random UUID. `crypto.randomUUID` is missing on plain HTTP. */
export function newUuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export class Session {
  #renewing;

  constructor(stored) {
    Object.assign(this, stored);
  }

  /** The login of this window, if it has one. */
  static restore() {
    const stored = sessionStorage.getItem(KEY);
    return stored ? new Session(JSON.parse(stored)) : undefined;
  }

  static async logIn({ userId, password, type, deviceName, replace }) {
    const body = {
      user_id: userId,
      password,
      terminal: { type, device_id: deviceId(), device_name: deviceName },
      if_occupied: replace ? "REPLACE" : "REFUSE",
    };
    const answer = await call("POST", "v1/login", { body });
    const session = new Session({
      userId, sessionId: answer.session.session_id, terminal: answer.session.terminal,
    });
    session.#take(answer);
    return session;
  }

  /** An access token that is good for a while. Fails with a `Problem`. */
  async token() {
    if (Date.now() >= this.renewAt) await this.renew();
    return this.accessToken;
  }

  /** Exchanges the tokens; calls at a time share one exchange. */
  renew() {
    this.#renewing ??= this.#exchange().finally(() => { this.#renewing = undefined; });
    return this.#renewing;
  }

  async #exchange() {
    this.#take(await call("POST", "v1/refresh", { body: { refresh_token: this.refreshToken } }));
  }

  #take(tokens) {
    this.accessToken = tokens.access_token;
    this.refreshToken = tokens.refresh_token;
    this.renewAt = Date.now() + tokens.expires_in * 1000 * RENEW_AT;
    const { userId, sessionId, terminal, accessToken, refreshToken, renewAt } = this;
    sessionStorage.setItem(KEY, JSON.stringify(
      { userId, sessionId, terminal, accessToken, refreshToken, renewAt }));
  }

  /** A call as this session; with a fresh token if the first is refused. */
  async call(method, path, body) {
    try {
      return await call(method, path, { body, token: await this.token() });
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.code !== "invalid_token") throw problem;
      await this.renew();
      return call(method, path, { body, token: this.accessToken });
    }
  }

  /** Keeps nothing of it in this window. */
  forget() {
    sessionStorage.removeItem(KEY);
  }
}

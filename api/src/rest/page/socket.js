// The connection that follows the timeline and sends: opened again whenever it breaks, from the cursor,
// and never again when the session has ended.

import { Problem } from "./api.js";
import { Backoff } from "./backoff.js";

/**
 * How long after an entry the server is told that it is here, in milliseconds: one word for all that came meanwhile.
 * What is lost with a connection is told by push (Web Push) because the server was not told so.
 */
const ACKNOWLEDGE_AFTER = 1000;

/** Events: `state` (connecting, online, offline), `frame`, `ended`. */
export class Socket extends EventTarget {
  /** The cursor of the last entry; `now` before the first. */
  cursor = "now";
  #session;
  #silence;
  #socket;
  #backoff = new Backoff();
  #retry;
  #watchdog;
  #renewal;
  #acknowledgement;
  /** The cursor of which the server was last told. */
  #acknowledged;
  #stopped = false;

  /** `heartbeat`: how often a quiet connection shows that it is alive, in seconds. */
  constructor(session, heartbeat) {
    super();
    this.#session = session;
    this.#silence = heartbeat * 3000;
    addEventListener("online", this.#now);
    addEventListener("offline", this.#lost);
  }

  get online() {
    return this.#socket?.readyState === WebSocket.OPEN && this.#socket.opened === true;
  }

  async open() {
    clearTimeout(this.#retry);
    if (this.#stopped) return;
    this.#say("state", { state: "connecting" });
    let token;
    try {
      token = await this.#session.token();
    } catch (problem) {
      this.#refused(problem);
      return;
    }
    if (this.#stopped || this.#socket) return;
    const url = new URL("v1/ws", document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, "imd.v1");
    this.#socket = socket;
    socket.addEventListener("open", () => {
      this.#write({ authenticate: { access_token: token } });
      this.#write({ subscribe: { after: this.cursor, idle: document.hidden, acknowledging: true } });
    });
    socket.addEventListener("message", ({ data }) => socket === this.#socket && this.#take(data));
    socket.addEventListener("close", () => socket === this.#socket && this.#again());
    this.#listen();
  }

  /** Sends a frame; whether it went out. */
  send(frame) {
    if (!this.online) return false;
    this.#write(frame);
    return true;
  }

  /** Ends it for good. */
  close() {
    this.#stopped = true;
    removeEventListener("online", this.#now);
    removeEventListener("offline", this.#lost);
    clearTimeout(this.#retry);
    clearTimeout(this.#renewal);
    this.#acknowledge();
    this.#drop();
  }

  #write(frame) {
    this.#socket.send(JSON.stringify(frame));
  }

  #take(data) {
    this.#listen();
    const [[name, body]] = Object.entries(JSON.parse(data));
    switch (name) {
      case "opened":
        this.#socket.opened = true;
        this.#backoff.reset();
        if (this.cursor === "now") this.cursor = `${body.epoch}.${body.last_seq}`;
        this.#renewLater();
        this.#say("frame", { name, body });
        this.#say("state", { state: "online" });
        return;
      case "entry":
        this.cursor = body.cursor;
        this.#acknowledgement ??= setTimeout(this.#acknowledge, ACKNOWLEDGE_AFTER);
        break;
      case "session_ended":
        this.#end(body);
        return;
      case "reconnect":
        this.#again();
        return;
      case "error":
        if (!this.#socket.opened || isOfTheToken(body)) {
          this.#refused(new Problem(body));
          return;
        }
        break;
    }
    this.#say("frame", { name, body });
  }

  /** A call or a connection was refused: the session may be over, or only its token old. */
  async #refused(problem) {
    if (problem.endsSession) return this.#end(endOf(problem));
    if (problem.code === "invalid_token") {
      try {
        await this.#session.renew();
      } catch (refusal) {
        if (refusal.endsSession) return this.#end(endOf(refusal));
        if (refusal.code === "invalid_token") return this.#end({ reason: "UNKNOWN" });
      }
    }
    this.#again();
  }

  /** Tells the connection the next token before the last expires. */
  #renewLater() {
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(async () => {
      try {
        const access_token = await this.#session.token();
        if (this.send({ authenticate: { access_token } })) this.#renewLater();
      } catch (problem) {
        this.#refused(problem);
      }
    }, Math.max(1000, this.#session.renewAt - Date.now()));
  }

  /** Counts the time without a sign of life anew. */
  #listen() {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.#again(), this.#silence);
  }

  #again() {
    this.#drop();
    if (this.#stopped) return;
    const pause = this.#backoff.next();
    this.#say("state", { state: "offline", seconds: Math.ceil(pause / 1000) });
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.open(), pause);
  }

  /** Tells the server how far this browser has got, unless it knows. */
  #acknowledge = () => {
    clearTimeout(this.#acknowledgement);
    this.#acknowledgement = undefined;
    if (this.#acknowledged === this.cursor || this.cursor === "now") return;
    if (this.send({ acknowledge: { cursor: this.cursor } })) this.#acknowledged = this.cursor;
  };

  #now = () => {
    this.#backoff.reset();
    if (!this.online) this.open();
  };

  #lost = () => this.#again();

  #drop() {
    clearTimeout(this.#watchdog);
    clearTimeout(this.#renewal);
    clearTimeout(this.#acknowledgement);
    this.#acknowledgement = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #end(end) {
    this.close();
    this.#say("ended", end);
  }

  #say(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** Whether an error says that nothing more can be had with the token, whatever it answers. */
function isOfTheToken({ code, client_message_id }) {
  return code === "session_ended" || (code === "invalid_token" && !client_message_id);
}

/** How a session ended, as an error tells it. */
export function endOf({ members }) {
  return {
    reason: members.end_reason,
    by_terminal_type: members.ended_by_terminal_type,
    by_device_name: members.ended_by_device_name,
    ended_at: members.ended_at,
    note: members.note,
  };
}

// A gRPC-web client made from the contract with Connect, in a page of another origin.

import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { AuthService, EndReason } from "contract/im/v1/auth_pb.js";
import { InfoService } from "contract/im/v1/info_pb.js";
import { MessageService } from "contract/im/v1/message_pb.js";

/** A terminal: logged in, with what its stream has brought. */
class Terminal {
  constructor(baseUrl) {
    const transport = createGrpcWebTransport({ baseUrl });
    this.auth = createClient(AuthService, transport);
    this.messages = createClient(MessageService, transport);
    this.info = createClient(InfoService, transport);
    this.cursor = "";
  }

  async logIn(userId, password, type, deviceName) {
    const terminal = { type, deviceId: crypto.randomUUID(), deviceName };
    const { tokens } = await this.auth.login({
      userId,
      credential: { case: "password", value: password },
      terminal,
    });
    this.headers = { authorization: `Bearer ${tokens.accessToken}` };
    return this;
  }

  send(to, text, clientMessageId = crypto.randomUUID()) {
    const request = {
      to: { case: "userId", value: to }, clientMessageId, content: { case: "text", value: text },
    };
    return this.messages.send(request, { headers: this.headers });
  }

  /** Opens the stream behind the cursor; the events come by `next`. */
  follow() {
    this.leaving = new AbortController();
    const options = { headers: this.headers, signal: this.leaving.signal };
    this.events = this.messages.subscribe({ after: this.cursor }, options)[Symbol.asyncIterator]();
  }

  /** The next event that is no heartbeat. */
  async next() {
    for (;;) {
      const { value, done } = await this.events.next();
      if (done) return undefined;
      const { event } = value;
      if (event.case === "entry") this.cursor = event.value.cursor;
      if (event.case !== "heartbeat") return event;
    }
  }

  /** The text of the next message. */
  async nextText() {
    for (;;) {
      const event = await this.next();
      if (event === undefined) return undefined;
      const kind = event.case === "entry" ? event.value.kind : undefined;
      if (kind?.case === "message") return kind.value.content.value;
    }
  }
}

/** Runs it all; what was checked, and whether it holds. */
globalThis.run = async (baseUrl, userId, password) => {
  const checks = [];
  const check = (holds, what) => checks.push([Boolean(holds), what]);

  const { terminalTypes } = await new Terminal(baseUrl).info.getInfo({});
  check(terminalTypes.some(({ name }) => name === "phone"), "asks the server about itself");
  const phone = await new Terminal(baseUrl).logIn(userId, password, "phone", "Phone");
  const web = await new Terminal(baseUrl).logIn(userId, password, "web", "Browser");
  check(true, "logs in over gRPC-web, from a page of another origin");

  web.follow();
  check((await web.next()).case === "opened", "opens a stream");
  const id = crypto.randomUUID();
  const sent = await phone.send(userId, "one", id);
  check((await web.nextText()) === "one", "follows the timeline while it happens");
  const again = await phone.send(userId, "one", id);
  check(again.duplicate && again.seq === sent.seq, "sends again what it is not sure of, and it is stored once");

  web.leaving.abort();
  await web.next().catch(() => {});
  await phone.send(userId, "two");
  web.follow();
  check((await web.nextText()) === "two", "resumes behind its cursor");

  phone.follow();
  await phone.next();
  await new Terminal(baseUrl).logIn(userId, password, "phone", "Another phone");
  let event = await phone.next();
  while (event && event.case !== "sessionEnded") event = await phone.next();
  check(event?.value.reason === EndReason.REPLACED && event.value.byDeviceName === "Another phone",
    "is told when another phone takes its place, and which");
  check((await phone.next()) === undefined, "and its stream ends");
  const refused = await phone.send(userId, "three").catch((error) => ConnectError.from(error));
  check(refused.code === Code.Unauthenticated, "and its calls are refused");
  check(refused.details?.some(({ type }) => type === "google.rpc.ErrorInfo"), "with the details, across origins");
  const bad = await web.send("", "x").catch((error) => ConnectError.from(error));
  check(bad.code === Code.InvalidArgument, "and a bad request as such");
  return checks;
};

// A product's own backend beside imd, in plain Node: it vouches for its users, has a say in what they write, and is told
// of what happens. README.md says how to run it.

import { createHmac, createPrivateKey, randomUUID, sign, timingSafeEqual } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";

const setting = (name, otherwise) => process.env[name] ?? otherwise;
const file = (name) => (process.env[name] ? readFileSync(process.env[name], "utf8").trim() : undefined);

const settings = {
  port: Number(setting("PORT", "8090")),
  issuer: setting("ISSUER", "https://shop.example"),
  audience: setting("AUDIENCE", "imd"),
  assertionKey: createPrivateKey(file("ASSERTION_KEY") ?? ""), // Ed25519, PEM; imd has the public half
  policyKey: file("POLICY_KEY"), //                               the same file as imd's `policy.key`
  webhookSecret: file("WEBHOOK_SECRET"), //                       what `imctl webhooks create` printed
  journal: setting("JOURNAL", "events.jsonl"), //                 where the events are kept
  imd: setting("IMD_ADMIN", "http://127.0.0.1:8081"), //          imd's admin listener
  adminKey: file("IMD_ADMIN_KEY"), //                             a key of the role `backend`
  bot: setting("BOT", "help"), //                                 the name that this backend answers under
};

// The product's accounts. A real one has a database and password hashes.
const accounts = JSON.parse(setting("ACCOUNTS", '{"ann":"secret","ben":"secret"}'));

// 1. Assertions: imd knows no passwords, it believes what this backend signs.

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function assertion(user) {
  const now = Math.floor(Date.now() / 1000);
  const header = base64url({ alg: "EdDSA", typ: "JWT" });
  const claims = base64url({
    iss: settings.issuer,
    aud: settings.audience,
    sub: user,
    iat: now,
    exp: now + 60,
    jti: randomUUID(), // an assertion opens one session
  });
  const signature = sign(null, Buffer.from(`${header}.${claims}`), settings.assertionKey);
  return `${header}.${claims}.${signature.toString("base64url")}`;
}

async function login(request, body) {
  const { user, password } = JSON.parse(body);
  if (!Object.hasOwn(accounts, user) || !same(Buffer.from(accounts[user]), Buffer.from(String(password)))) {
    return [401, { error: "wrong user or password" }];
  }
  return [200, { assertion: assertion(user) }];
}

// 2. Signatures: whoever finds these paths can post to them, imd alone can sign.

const same = (one, other) => one.length === other.length && timingSafeEqual(one, other);

function isSigned(headers, body, key) {
  const id = headers["webhook-id"];
  const timestamp = headers["webhook-timestamp"];
  // What was recorded is good for five minutes.
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) < 300)) return false;
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.`).update(body).digest();
  // Two of them for a day after a secret was replaced.
  return String(headers["webhook-signature"]).split(" ").some((signature) =>
    signature.startsWith("v1,") && same(Buffer.from(signature.slice(3), "base64"), expected));
}

// 3. The policy hook: what users write is stored as this says. It answers at once, from memory.

async function policy(request, body) {
  if (!isSigned(request.headers, body, settings.policyKey)) return [401, { error: "not signed by imd" }];
  const { text } = JSON.parse(body);
  if (text === undefined) return [200, { action: "allow" }]; // images and the like
  if (/casino/i.test(text)) {
    return [200, { action: "refuse", code: "advertising", text: "No advertising here." }];
  }
  const masked = text.replaceAll(/\b\d{4}([ -]?\d{4}){3}\b/g, "[card number]");
  return [200, masked === text ? { action: "allow" } : { action: "rewrite", text: masked }];
}

// 4. Webhooks: an event may come twice and is kept once; it is answered when it is on disk, and worked at afterwards.

const events = existsSync(settings.journal)
  ? readFileSync(settings.journal, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line))
  : [];
const known = new Set(events.map((event) => event.id));

async function webhook(request, body) {
  const secret = Buffer.from(settings.webhookSecret.slice("whsec_".length), "base64");
  if (!isSigned(request.headers, body, secret)) return [401, { error: "not signed by imd" }];
  for (const event of JSON.parse(body).events) {
    if (known.has(event.id)) continue;
    appendFileSync(settings.journal, `${JSON.stringify(event)}\n`);
    known.add(event.id);
    events.push(event);
    // Behind the answer to imd. What fails here is not repeated: a real backend works through its journal.
    setImmediate(() => workAt(event).catch((error) => console.error(error)));
  }
  return [204];
}

// 5. Sending: who logs in for the first time is welcomed, and who writes to the bot gets an answer.

async function workAt({ type, data }) {
  if (type === "session.started") {
    await say(data.user_id, `Welcome, ${data.user_id}. Write to ${settings.bot} when you need us.`, "welcome");
  } else if (type === "message.sent" && data.recipient_id === settings.bot) {
    const quoted = JSON.stringify(data.text ?? "something");
    await say(data.sender_id, `You wrote ${quoted}. Somebody will look at it soon.`, data.message_id);
  }
}

// Sends a text as the bot, once for each user and occasion.
async function say(user, text, occasion) {
  const response = await fetch(`${settings.imd}/admin/v1/messages`, {
    method: "POST",
    headers: { authorization: `Bearer ${settings.adminKey}`, "content-type": "application/json" },
    body: JSON.stringify({
      from: { system: settings.bot },
      to: { user_id: user },
      client_message_id: idFor(user, occasion),
      text,
    }),
  });
  if (!response.ok) throw new Error(`imd did not send ${occasion} to ${user}: ${await response.text()}`);
}

// A UUID that is the same for the same occasion, so that imd stores the message once, whatever is done twice.
function idFor(user, occasion) {
  const bytes = createHmac("sha256", "said by the bot").update(`${user}\n${occasion}`).digest().subarray(0, 16);
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// The server.

const routes = { "POST /login": login, "POST /policy": policy, "POST /webhook": webhook };

async function serve(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const route = routes[`${request.method} ${request.url}`];
  const [status, said] = route ? await route(request, Buffer.concat(chunks)) : [404, { error: "nothing here" }];
  response.writeHead(status, { "content-type": "application/json" });
  response.end(said === undefined ? undefined : JSON.stringify(said));
}

const server = createServer((request, response) => {
  serve(request, response).catch((error) => {
    // imd sends it again.
    console.error(error);
    response.writeHead(500).end();
  });
});
server.listen(settings.port, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

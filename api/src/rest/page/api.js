// Calls of the REST interface. Paths are relative, so that the page works below any prefix.

/** What a call failed with: `code` is for programs, the message for people. */
export class Problem extends Error {
  constructor(members) {
    super(members.detail ?? "the server does not answer as it should");
    this.members = members;
    this.code = members.code ?? "unknown";
    this.status = members.status ?? 0;
  }

  /** Whether the session is over: only a fresh login helps. */
  get endsSession() {
    return this.code === "session_ended";
  }

  /** Whether the same call may succeed later. */
  get passes() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** No answer: the network is down, or the server is. */
export const unreachable = () =>
  new Problem({ code: "unreachable", status: 0, detail: "The server cannot be reached." });

const PATIENCE = 20_000;

/** Makes a call; the JSON of the answer, or a `Problem`. */
export async function call(method, path, { body, token } = {}) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = "application/json";
  if (token) headers.authorization = `Bearer ${token}`;
  let response;
  try {
    response = await fetch(path, {
      method, headers, body: body && JSON.stringify(body), cache: "no-cache", credentials: "omit",
      signal: AbortSignal.timeout(PATIENCE),
    });
  } catch {
    throw unreachable();
  }
  if (response.status === 204) return undefined;
  const answer = await response.json().catch(() => ({ status: response.status }));
  if (!response.ok) throw new Problem(answer);
  return answer;
}

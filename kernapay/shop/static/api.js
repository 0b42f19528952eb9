// Calls of the API as the customer. The token stays in this tab: a shop with a server of its own keeps it there.

const BASE = "/v1/api";
const KEY = "shop.session";
const listeners = new Set();

export const session = {
  get: () => JSON.parse(sessionStorage.getItem(KEY) ?? "null"),
  set: (value) => (value ? sessionStorage.setItem(KEY, JSON.stringify(value)) : sessionStorage.removeItem(KEY)),
};

/** Be told of every call: what was sent, and what came of it after how long. */
export function onCall(listener) {
  listeners.add(listener);
}

export function tell(entry) {
  for (const listener of listeners) listener(entry);
}

/** Send a request. Without an answer, the status is 0: it is not known then whether anything was done. */
export async function call(method, path, body) {
  const token = session.get()?.token;
  const headers = {
    ...(token && { Authorization: `Bearer ${token}` }),
    ...(body && { "Content-Type": "application/json" }),
  };
  const at = new Date();
  let answer = { status: 0, ok: false, body: {}, retryAfter: 0 };
  try {
    const got = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
    const isJson = /json/.test(got.headers.get("Content-Type") ?? "");
    answer = {
      status: got.status,
      ok: got.ok,
      body: isJson ? await got.json() : await got.blob(),
      retryAfter: Number(got.headers.get("Retry-After")) || 0,
    };
  } catch {
    // No network, or the connection ended in the middle of the answer.
  }
  tell({ at, method, path: BASE + path, body, status: answer.status, took: Date.now() - at });
  return answer;
}

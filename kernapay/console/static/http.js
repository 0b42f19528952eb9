/** Calls of the API, with the session in a cookie that this page cannot read. */

const BASE = "/v1/api";
export const CUT_OFF = "KernaPay does not answer. Check the connection, then try again.";

/** What the API refused, or that it did not answer: `status` is 0 then. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail || "KernaPay answered in an unknown way.");
    this.status = status;
    this.code = body.code || "";
    this.errors = Array.isArray(body.errors) ? body.errors : [];
    this.requestId = body.requestId || "";
    this.retryAfter = retryAfter;
  }

  /** Whether it is not known what became of the call: it may have been done. */
  get isUnknown() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500 || this.code === "in_progress";
  }

  /** Whether nobody is signed in any more. Other codes with this status refuse what was typed, such as a wrong second factor. */
  get isSessionOver() {
    return this.status === 401 && this.code === "unauthenticated";
  }

  /** Whether the API wants to know once more who asks. It has done nothing. */
  get isProofMissing() {
    return this.code === "proof_required";
  }

  /** The sentence for a field, if the API named it. */
  of(field) {
    return this.errors.find((each) => each.field === field)?.message;
  }
}

/** When somebody used the session last in this tab, for whoever watches over its end. */
export const use = { at: Date.now() };

const ask = { signIn: null, proof: null };

/** Set what asks the person to sign in again, and what asks for a proof of who they are. Each returns a promise that fails if they do not. */
export function askWith({ signIn, proof }) {
  Object.assign(ask, { signIn, proof });
}

async function send(method, path, body, { isBackground = false } = {}) {
  const headers = { "X-KernaPay-Console": "1" };
  if (isBackground) headers["X-KernaPay-Background"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(BASE + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
    });
  } catch {
    throw new Problem(0, { detail: CUT_OFF });
  }
  if (answer.ok) {
    if (!isBackground) use.at = Date.now();
    return answer;
  }
  const said = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, said, Number(answer.headers.get("Retry-After")) || null);
}

async function sendAsSomebody(method, path, body) {
  try {
    return await send(method, path, body);
  } catch (problem) {
    const question = problem.isSessionOver ? ask.signIn : problem.isProofMissing ? ask.proof : null;
    if (!question) throw problem;
    // Nothing was done: the API looks at both first. So the call is repeated as it was.
    await question(problem);
    return send(method, path, body);
  }
}

/** Call the API as whoever is signed in. When the session has ended, or a proof is missing, ask for it and repeat the call once. */
export async function call(method, path, body) {
  return read(await sendAsSomebody(method, path, body), "json");
}

/** Ask for what a page that is left open shows anew by itself: this does not keep the session alive. */
export async function callQuietly(path) {
  return read(await send("GET", path, undefined, { isBackground: true }), "json");
}

/** Read the body of an answer. The connection may end in the middle of it. */
async function read(answer, form) {
  try {
    return await answer[form]();
  } catch {
    throw new Problem(0, { detail: CUT_OFF });
  }
}

/** Fetch a file. */
export async function download(path) {
  return read(await sendAsSomebody("GET", path), "blob");
}

/** Call the API without a session, or to find out whether there is one. Return the status and the answer. */
export async function callOnce(method, path, body) {
  const answer = await send(method, path, body);
  return { status: answer.status, data: await read(answer, "json") };
}

/** Find out whether the session has ended, with nobody at the page: this does not keep it alive. */
export async function lookAtSession() {
  await send("GET", "/console/session", undefined, { isBackground: true });
}

/** Return a query string of what is set. */
export function query(values) {
  const set = Object.entries(values).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  const text = new URLSearchParams(set).toString();
  return text ? `?${text}` : "";
}

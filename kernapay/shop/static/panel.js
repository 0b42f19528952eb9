// The panel beside the shop: the code of the step that runs, and every call as curl, Python or JavaScript.

import { onCall } from "./api.js";
import { at, fill, h } from "./dom.js";
import { say } from "./words.js";

const LONGEST = 50;
const calls = [];
const sections = new Map();
let chosen = null;
let step = null;
let tab = "page";
let operations = null;

/** Read the file that the pages run, cut at its markers: what is shown cannot be older than what runs. */
async function readSource() {
  const text = await (await fetch("/shop/assets/pay.js")).text();
  for (const part of text.split("// step: ").slice(1)) {
    const [name, ...lines] = part.split("\n");
    if (name !== "end") sections.set(name, lines.join("\n").trim());
  }
}

/** Read the API document, which says what each call is and whether it needs a token. */
async function readDocument() {
  const { paths } = await (await fetch("/docs/openapi.json")).json();
  operations = Object.entries(paths).flatMap(([path, item]) =>
    ["get", "post", "put", "patch", "delete"]
      .filter((method) => item[method])
      .map((method) => ({ path, method, pattern: patternOf(path), ...item[method] })),
  );
  // `/payments/create` before `/payments/{reference_id}`.
  operations.sort((one, other) => one.path.split("{").length - other.path.split("{").length);
}

function patternOf(path) {
  const parts = path.split(/\{[^}]*\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^/]+")}$`);
}

function operationOf({ method, path }) {
  const [bare] = path.split("?");
  return operations?.find((each) => each.method === method.toLowerCase() && each.pattern.test(bare));
}

/** A password is for its field, not for a panel that somebody else may read. */
function shownBody(body) {
  return body && Object.fromEntries(
    Object.entries(body).map(([name, value]) => [name, /password/i.test(name) ? "…" : value]),
  );
}

function needsToken(operation) {
  return operation?.security?.some((each) => Object.keys(each).length > 0) ?? true;
}

const asPython = (value) =>
  JSON.stringify(value, null, 4).replace(/: (true|false|null)\b/g, (_, word) => `: ${{ true: "True", false: "False", null: "None" }[word]}`);

const FORMS = {
  curl({ method, path, body }, withToken) {
    const lines = [`curl -X ${method} ${location.origin}${path}`];
    if (withToken) lines.push(`-H "Authorization: Bearer $TOKEN"`);
    if (body) lines.push(`-H "Content-Type: application/json"`, `-d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`);
    return lines.join(" \\\n  ");
  },
  Python({ method, path, body }, withToken) {
    const lines = [`    "${method}",`, `    "${location.origin}${path}",`];
    if (withToken) lines.push(`    headers={"Authorization": f"Bearer {token}"},`);
    if (body) lines.push(`    json=${asPython(body).replaceAll("\n", "\n    ")},`);
    return `import httpx\n\nanswer = httpx.request(\n${lines.join("\n")}\n)`;
  },
  JavaScript({ method, path, body }, withToken) {
    const headers = [];
    if (withToken) headers.push("Authorization: `Bearer ${token}`");
    if (body) headers.push(`"Content-Type": "application/json"`);
    const lines = [`  method: "${method}",`, `  headers: { ${headers.join(", ")} },`];
    if (body) lines.push(`  body: JSON.stringify(${JSON.stringify(body, null, 2).replaceAll("\n", "\n  ")}),`);
    return `const answer = await fetch("${location.origin}${path}", {\n${lines.join("\n")}\n});`;
  },
};

function snippet() {
  const operation = operationOf(chosen);
  return FORMS[tab]({ ...chosen, body: shownBody(chosen.body) }, needsToken(operation));
}

function copyButton(text) {
  const button = h("button", { type: "button", class: "small", onclick: copy }, say("copy"));
  async function copy() {
    await navigator.clipboard.writeText(text());
    button.textContent = say("copied");
  }
  return button;
}

function tabs() {
  const names = ["page", ...(chosen?.method === "SSE" ? [] : Object.keys(FORMS))];
  if (!names.includes(tab)) tab = "page";
  return h("div", { class: "tabs" },
    names.map((name) =>
      h("button", { type: "button", "aria-pressed": String(name === tab), onclick: () => draw((tab = name)) },
        name === "page" ? say("page") : name)),
    copyButton(() => (tab === "page" || !chosen ? [...sections.values()].join("\n\n") : snippet())),
  );
}

function code() {
  if (tab !== "page" && chosen) {
    const operation = operationOf(chosen);
    return [
      operation && h("p", { class: "what" }, operation.summary ?? "", " ",
        h("a", { href: `/docs#/${encodeURIComponent(operation.tags?.[0] ?? "")}/${operation.operationId}`, target: "_blank", rel: "noopener" }, say("document"))),
      h("pre", {}, snippet()),
    ];
  }
  return [...sections].map(([name, text]) =>
    h("pre", { id: `step-${name}`, class: name === step ? "lit" : undefined }, text));
}

function wire() {
  if (!calls.length) return h("p", { class: "what" }, say("wireEmpty"));
  return h("ol", {}, calls.map((each) =>
    h("li", {}, h("button", { type: "button", "aria-pressed": String(each === chosen), onclick: () => choose(each) },
      h("time", {}, each.at.toTimeString().slice(0, 8)),
      h("b", {}, each.method),
      h("span", {}, each.path.replace("/v1/api", "")),
      h("i", { class: each.status >= 200 && each.status < 300 ? "good" : "bad" }, String(each.status || "–")),
      h("time", {}, each.method === "SSE" ? "" : `${each.took} ms`)))));
}

function choose(entry) {
  chosen = entry;
  if (tab === "page") tab = "curl";
  draw();
}

function draw() {
  fill(at("panel"),
    tabs(),
    h("div", { class: "code", tabindex: "0" }, code()),
    h("div", { class: "wire" }, h("h2", {}, say("wire")), wire()));
  at(`step-${step}`)?.scrollIntoView({ block: "nearest" });
}

/** Light the code of a step. */
export function light(name) {
  step = name;
  tab = "page";
  draw();
}

export async function startPanel() {
  onCall((entry) => {
    calls.unshift(entry);
    calls.length = Math.min(calls.length, LONGEST);
    draw();
  });
  draw();
  await Promise.allSettled([readSource(), readDocument()]);
  draw();
}

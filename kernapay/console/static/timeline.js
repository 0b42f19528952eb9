/** What happened to one payment, newest first, each with its evidence to open. */

import { html, useMemo, useRef, useState } from "./standalone.mjs";
import { Foreign, clockOf, dayOf, money, offset } from "./format.js";
import { call, query } from "./http.js";
import { Icon } from "./icons.js";
import { Failure, Loading, shortened, useLoaded } from "./parts.js";
import { Link } from "./route.js";

const KINDS = {
  status: ["Status", "check", "good"],
  refund: ["Refunds", "refund", "back"],
  dispute: ["Disputes", "flag", "bad"],
  surplus: ["Surplus", "alert", "warn"],
  mismatch: ["Mismatches", "alert", "bad"],
  gateway: ["Gateway calls", "sync", "info"],
  webhook: ["Events in", "in", "info"],
  delivery: ["Events out", "out", "info"],
  settlement: ["Settlement", "bank", "good"],
  person: ["People", "user", "accent"],
};

/** Where the evidence of an entry has a page of its own: by its kind, or for what an event caused by the id of that. */
const PAGES = {
  delivery: (entry) => `/console/deliveries/${encodeURIComponent(entry.evidenceId)}`,
  settlement: (entry) => `/console/settlements/${encodeURIComponent(entry.evidenceId)}`,
  person: (entry, payment) => `/console/audit${query({ target: `payment:${payment.referenceId}` })}`,
  dispute: () => null,
};
const ofEvent = (entry) => `/console/inbox/${encodeURIComponent(entry.evidenceId)}`;

export function Timeline({ story, path, isAdmin }) {
  const [kind, setKind] = useState("");
  const calls = useRef(null);
  // All of the payment's calls come at once, when the first of them is opened.
  const loadCalls = () => (calls.current ||= call("GET", `${path}/gateway-calls`).catch((problem) => {
    calls.current = null;
    throw problem;
  }));
  const start = story.entries[0]?.at;
  const counts = useMemo(() => {
    calls.current = null;
    const found = {};
    for (const entry of story.entries) found[entry.kind] = (found[entry.kind] || 0) + 1;
    return found;
  }, [story]);
  const shown = story.entries.filter((entry) => !kind || entry.kind === kind).reverse();
  const chip = (key, word, count) =>
    html`<button type="button" key=${key} aria-pressed=${kind === key} onClick=${() => setKind(key)}>${word} <b>${count}</b></button>`;
  let day = "";
  return html`<section class="card">
    <header><h2>What happened</h2><span class="right soft small">newest first</span></header>
    <div class="chips" role="group" aria-label="Kinds">
      ${chip("", "Everything", story.entries.length)}
      ${Object.entries(KINDS).filter(([key]) => counts[key]).map(([key, [word]]) => chip(key, word, counts[key]))}
    </div>
    ${story.isCut && html`<p class="warn small pad">There is more than is shown here.</p>`}
    <ol class="line">
      ${shown.flatMap((entry) => {
        const own = dayOf(new Date(entry.at));
        const head = own === day ? [] : [html`<li class="day" key=${own}><span>${own}</span></li>`];
        day = own;
        return [...head, html`<${Entry} key=${entry.id} entry=${entry} start=${start} payment=${story.payment} isAdmin=${isAdmin} loadCalls=${loadCalls} />`];
      })}
    </ol>
  </section>`;
}

function Entry({ entry, start, payment, isAdmin, loadCalls }) {
  const [, icon, look] = KINDS[entry.kind] || ["", "clock", "soft"];
  const time = new Date(entry.at);
  const mark = entry.kind !== "status" ? icon : entry.isFailure ? "x" : entry.status === "pending" ? "clock" : icon;
  const actor = entry.actor;
  return html`<li>
    <time datetime=${time.toISOString()} title=${`${time.toISOString()} (UTC)`}><b>${clockOf(time)}</b>${offset(start, entry.at)}</time>
    <span class=${`node ${entry.isFailure ? "bad" : entry.status === "pending" && entry.kind === "status" ? "warn" : look}`}><${Icon} name=${mark} /></span>
    <div class="ev">
      <h3>${entry.kind === "person" && actor ? html`<${Foreign} text=${actor.name || actor.id} /> ` : ""}<${Foreign} text=${entry.title} />
        <${Evidence} entry=${entry} payment=${payment} isAdmin=${isAdmin} /></h3>
      ${entry.detail && html`<p><${Foreign} text=${entry.detail} /></p>`}
      ${entry.kind === "person" && entry.amount != null && html`<p>${money(entry.amount, payment.currency)}${actor?.role ? `, as ${actor.role}` : ""}${actor?.keyId ? `, with API key ${actor.keyId}` : ""}</p>`}
      ${entry.outcome && entry.kind !== "gateway" && html`<p>Outcome: <${Foreign} text=${entry.outcome} /></p>`}
      ${entry.kind !== "person" && actor && html`<p>By <${Foreign} text=${actor.name || actor.id} /></p>`}
      ${entry.kind === "gateway" && html`<${Opened} load=${loadCalls} id=${entry.evidenceId} />`}
    </div>
  </li>`;
}

function Evidence({ entry, payment, isAdmin }) {
  if (!entry.evidenceId || entry.kind === "gateway") return null;
  const address = isAdmin && (PAGES[entry.kind] || ofEvent)(entry, payment);
  const id = shortened(entry.evidenceId, 12, 6);
  return html`<span class="right" title=${entry.evidenceId}>${address ? html`<${Link} to=${address}>${id}<//>` : id}</span>`;
}

/** A call to the gateway: what was sent and answered, once somebody opens it. */
function Opened({ load, id }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details class="call" onToggle=${(event) => setOpen(event.target.open)}><summary>What was sent and answered</summary>
    ${isOpen && html`<${Call} load=${load} id=${id} />`}</details>`;
}

function Call({ load, id }) {
  const { data, problem, reload } = useLoaded(load, [id]);
  if (problem) return html`<${Failure} problem=${problem} onRetry=${reload} />`;
  if (!data) return html`<${Loading} rows=${4} />`;
  const found = data.find((each) => each._id === id);
  if (!found) return html`<p>It is not kept any more.</p>`;
  const facts = [
    ["Call", `${found.call.split(" ")[0]} ${found.path}`],
    ["Status", found.status ?? "no answer"],
    ["Taken as", found.judged],
    ["Field", found.gatewayField],
    ["Request", found.requestId],
    ["Process", found.process],
  ];
  return html`<dl>${facts.filter(([, value]) => value != null).map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd><${Foreign} text=${String(value)} /></dd></div>`)}</dl>
    <${Document} title="Sent" value=${found.sent} /><${Document} title="Answered" value=${found.answered} />`;
}

function Document({ title, value }) {
  if (!Object.keys(value).length) return null;
  return html`<p class="strong">${title}</p><pre tabindex="0">${JSON.stringify(value, null, 2)}</pre>`;
}

/** Endpoints, and what was sent to them. */

import { html } from "./standalone.mjs";
import { Act } from "./act.js";
import { ChangeEndpoint, EarlierSecrets, MakeEndpoint, RemoveEndpoint, RotateSecret } from "./endpoints.js";
import { Facts, OneHead, OnePage } from "./facts.js";
import { Foreign, Time } from "./format.js";
import { call, query } from "./http.js";
import { Listed, afterLast, useList } from "./list.js";
import { Copied, Pill, useLoaded } from "./parts.js";

const REASONS = { gone: "it answered 410", failing: "five days without a success", account_changed: "its account was locked out or got another role", keeper_not_admin: "who kept it is no administrator any more" };
const STATES = { pending: ["warn", "clock", "Waits"], done: ["good", "check", "Delivered"], failed: ["bad", "x", "Given up"] };

function EndpointPill({ endpoint }) {
  if (endpoint.state === "on") return endpoint.failingSince ? html`<${Pill} look="warn" icon="alert" word="On, failing" />` : html`<${Pill} look="good" icon="check" word="On" />`;
  return html`<${Pill} look=${endpoint.state === "off" ? "soft" : "bad"} icon="x" word=${endpoint.state === "off" ? "Off" : "Disabled"} />`;
}

function DeliveryPill({ delivery }) {
  const [look, icon, word] = STATES[delivery.state] || ["soft", "clock", delivery.state];
  return html`<${Pill} look=${look} icon=${icon} word=${word} />`;
}

export const endpoints = {
  title: "Endpoints",
  path: "/console/endpoints",
  lead: "Where events go, oldest first. Open one for its deliveries.",
  Actions: MakeEndpoint,
  load: async (_, { cursor, count }) => {
    const rows = await call("GET", `/endpoints${query({ cursor, count })}`);
    return { rows, next: afterLast(rows, (row) => row._id) };
  },
  key: (row) => row._id,
  open: (row) => `/console/endpoints/${row._id}`,
  empty: "There is no endpoint.",
  columns: [
    { label: "URL", look: "cut half", isLink: true, show: (row) => html`<${Foreign} text=${row.url} />` },
    { label: "State", show: (row) => html`<${EndpointPill} endpoint=${row} />` },
    { label: "For", look: "cut half", show: (row) => row.description && html`<${Foreign} text=${row.description} />` },
    { label: "Events", show: (row) => (row.types.length ? `${row.types.length} types` : "all") },
    { label: "Of", show: (row) => (row.owner ? "a shop" : "administrators") },
    { label: "Last success", look: "num soft", show: (row) => row.lastSuccessAt && html`<${Time} at=${row.lastSuccessAt} />` },
  ],
};

const deliveriesTo = (id) => ({
  title: "Deliveries",
  path: `/console/endpoints/${id}`,
  filters: [{ name: "state", label: "State", options: [["", "Any state"], ["failed", "Given up"], ["pending", "Waiting"], ["done", "Delivered"]] }],
  load: async (filters, { cursor, count }) => {
    const rows = await call("GET", `/deliveries${query({ endpointId: id, ...filters, cursor, count })}`);
    return { rows, next: afterLast(rows, (row) => row._id) };
  },
  key: (row) => row._id,
  open: (row) => `/console/deliveries/${encodeURIComponent(row._id)}`,
  empty: "Nothing was sent to it yet.",
  columns: [
    { label: "Stored", look: "num soft", show: (row) => html`<${Time} at=${row.createdAt} />` },
    { label: "State", show: (row) => html`<${DeliveryPill} delivery=${row} />` },
    { label: "Event", isLink: true, show: (row) => row.type },
    { label: "About", look: "cut wide", show: (row) => html`<${Foreign} text=${row.subject} />` },
    { label: "Attempts", look: "r", show: (row) => row.attempts },
    { label: "Next", look: "num soft", show: (row) => row.state === "pending" && html`<${Time} at=${row.nextAt} />` },
  ],
});

export function EndpointPage({ id, route, session }) {
  const path = `/endpoints/${encodeURIComponent(id)}`;
  const state = useLoaded(() => call("GET", path), [id]);
  const list = deliveriesTo(id);
  const rows = useList(list, route, session);
  const reload = () => {
    state.reload();
    rows.reload();
  };
  const show = ({ endpoint, pending }) => html`
    <${OneHead} title=${html`<${Foreign} text=${endpoint.url} />`} sub=${html`<${Foreign} text=${endpoint.description || ""} />`}>
      <${EndpointPill} endpoint=${endpoint} /><${EndpointActs} path=${path} endpoint=${endpoint} reload=${reload} />
    <//>
    <${Facts} title="What is known" facts=${[
      ["Waiting", pending >= 10_000 ? "10,000 or more" : String(pending)],
      ["Disabled", endpoint.reason && (REASONS[endpoint.reason] || endpoint.reason)],
      ["Failing since", endpoint.failingSince && html`<${Time} at=${endpoint.failingSince} />`],
      ["Last success", endpoint.lastSuccessAt && html`<${Time} at=${endpoint.lastSuccessAt} />`],
      ["Types", endpoint.types.join(", ") || "all"],
      ["Services", endpoint.serviceTypes.length > 0 && html`<${Foreign} text=${endpoint.serviceTypes.join(", ")} />`],
      ["Headers", Object.keys(endpoint.headers).length > 0 && html`<${Foreign} text=${Object.keys(endpoint.headers).join(", ")} />`],
      ["Providers", endpoint.providers.length > 0 && html`<${Foreign} text=${endpoint.providers.join(", ")} />`],
      ["Secrets that sign", html`${endpoint.signingKeys.length}<${EarlierSecrets} path=${path} endpoint=${endpoint} onDone=${reload} />`],
      ["Owner", endpoint.owner && html`<${Copied} text=${endpoint.owner} label="the owner's id" />`],
    ]} />
    <${Listed} list=${list} state=${rows} route=${route} session=${session} />`;
  return html`<${OnePage} list=${endpoints} title="Endpoint" state=${state} show=${show} />`;
}

function EndpointActs({ path, endpoint, reload }) {
  const isOn = endpoint.state === "on";
  const weekAgo = () => new Date(Date.now() - 7 * 24 * 3600 * 1000).toISOString();
  return html`${isOn && html`<${Act} word="Send a test" verb="Send" onDone=${reload} run=${() => call("POST", `${path}/test`)} again="A second test is a second event."
      said=${() => "The test is on its way. Its delivery is in the list."}><p>An <code>endpoint.test</code> event is sent to it.</p><//>
    <${Act} word="Send again" verb="Send what was given up" onDone=${reload} run=${() => call("POST", `${path}/replay`, { only: "failed", from: weekAgo() })}
      said=${({ replayed }) => (replayed ? `${replayed} deliveries are due again.` : "None of the last seven days was given up.")}>
      <p>The deliveries of the last seven days that were given up are sent again, a thousand at most, under the same ids. Receivers drop an id that they know.</p><//>`}
    <${Act} key=${endpoint.state} word=${isOn ? "Switch off" : "Switch on"} onDone=${reload} run=${() => call("POST", `${path}/${isOn ? "disable" : "enable"}`)} said=${(after) => (after.state === "on" ? "It is on." : "It is off.")}>
      <p>${isOn ? "Nothing is sent to it until it is switched on again. What waits stays, and is sent if it is younger than three days then." : "It gets what happens from now on, and what waits and is younger than three days."}</p><//>
    <${ChangeEndpoint} path=${path} endpoint=${endpoint} onDone=${reload} />
    <${RotateSecret} path=${path} onDone=${reload} />
    <${RemoveEndpoint} path=${path} onDone=${reload} />`;
}

export function DeliveryPage({ id }) {
  const path = `/deliveries/${encodeURIComponent(id)}`;
  const state = useLoaded(() => call("GET", path), [id]);
  const show = (delivery) => html`
    <${OneHead} title=${delivery.type} sub=${html`stored <${Time} at=${delivery.createdAt} />`}>
      <${DeliveryPill} delivery=${delivery} />
      <${Act} word="Send again" onDone=${state.reload} run=${() => call("POST", `${path}/resend`)} said=${() => "It is due again, under the same id."}>
        <p>${delivery.state === "done" ? "It was delivered before. " : ""}The event is sent once more under the same id. Receivers drop an id that they know.</p><//>
    <//>
    <${Facts} title="What is known" facts=${[
      ["Event", html`<${Copied} text=${delivery.event} label="the event's id" />`],
      ["About", html`<${Foreign} text=${delivery.subject} />`],
      ["Attempts", String(delivery.attempts)],
      ["Next attempt", delivery.state === "pending" && html`<${Time} at=${delivery.nextAt} />`],
      ["Delivered", delivery.doneAt && html`<${Time} at=${delivery.doneAt} />`],
    ]} />
    <section class="card"><header><h2>Attempts</h2></header>
      ${delivery.log.length ? html`<ol class="devices">${delivery.log.map((each, place) => html`<li key=${place}><div><b>${each.code ?? "no answer"}</b> <span class="soft">after ${each.ms} ms</span>
        ${each.excerpt && html`<p><${Foreign} text=${each.excerpt} /></p>`}</div><span class="soft small"><${Time} at=${each.at} /></span></li>`)}</ol>` : html`<p class="nothing">None yet.</p>`}
    </section>`;
  return html`<${OnePage} list=${endpoints} title="Delivery" state=${state} show=${show} />`;
}

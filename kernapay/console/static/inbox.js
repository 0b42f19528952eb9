/** The gateway's events as they came, and their replay. */

import { html } from "./standalone.mjs";
import { Act } from "./act.js";
import { Facts, OneHead, OnePage } from "./facts.js";
import { Foreign, Time } from "./format.js";
import { call, query } from "./http.js";
import { skipping } from "./list.js";
import { Copied, Pill, useLoaded } from "./parts.js";

const STATUSES = { pending: ["warn", "clock", "Waits"], processed: ["good", "check", "Processed"], ignored: ["soft", "x", "Not of ours"], parked: ["bad", "alert", "Parked"] };

function EventPill({ event }) {
  const [look, icon, word] = STATUSES[event.status] || ["soft", "clock", event.status];
  return html`<${Pill} look=${look} icon=${icon} word=${word} />`;
}

function ReplayAll({ filters, reload }) {
  const status = filters.status === "pending" ? "pending" : "parked";
  const which = status === "pending" ? "waiting" : "parked";
  return html`<${Act} word=${`Replay ${which}`} verb="Replay" icon="sync" onDone=${reload}
    run=${() => call("POST", "/webhooks/events/replay", { status })}
    said=${({ count }) => (count ? `${count} replayed. Those that failed again are parked again.` : `No event is ${which}.`)}>
    <p>The ${which} events are processed again, a hundred at most, first those that waited longest. An event that was processed before changes nothing.</p>
  <//>`;
}

export const inbox = {
  title: "Inbox",
  path: "/console/inbox",
  lead: "What the gateway sent, newest first. A parked event was given up and waits for a person.",
  filters: [{ name: "status" }, { name: "event", label: "Event" }],
  views: [["All", {}], ["Parked", { status: "parked" }], ["Waiting", { status: "pending" }]],
  Actions: ReplayAll,
  load: async (filters, place) => {
    const rows = await call("GET", `/webhooks/events${query({ ...filters, skip: place.skip, count: place.count })}`);
    return { rows, next: skipping(rows, place) };
  },
  key: (row) => row.eventId,
  open: (row) => `/console/inbox/${encodeURIComponent(row.eventId)}`,
  empty: "Nothing came yet. Enter the address of the webhook at the gateway.",
  columns: [
    { label: "Received", look: "num soft", show: (row) => html`<${Time} at=${row.createdAt} />` },
    { label: "Status", show: (row) => html`<${EventPill} event=${row} />` },
    { label: "Event", isLink: true, show: (row) => html`<${Foreign} text=${row.event} />` },
    { label: "Attempts", look: "r", show: (row) => row.attempts },
    { label: "Next", look: "num soft", show: (row) => row.status === "pending" && row.nextAt && html`<${Time} at=${row.nextAt} />` },
    { label: "Outcome", look: "cut wide", show: (row) => html`<span class=${row.error ? "bad" : ""}><${Foreign} text=${row.error || row.outcome || ""} /></span>` },
  ],
};

export function EventPage({ id }) {
  const path = `/webhooks/events/${encodeURIComponent(id)}`;
  const state = useLoaded(() => call("GET", path), [id]);
  const show = ({ event, body }) => html`
    <${OneHead} title=${html`<${Foreign} text=${event.event} />`} sub=${html`received <${Time} at=${event.createdAt} />`}>
      <${EventPill} event=${event} />
      <${Act} word="Replay" icon="sync" onDone=${state.reload} run=${() => call("POST", `${path}/replay`)}
        said=${(answer) => html`The event is now ${(STATUSES[answer.event.status]?.[2] || answer.event.status).toLowerCase()}: <${Foreign} text=${answer.event.error || answer.event.outcome || ""} />`}>
        <p>The event is processed again. That is harmless for one that was processed before.</p>
      <//>
    <//>
    <${Facts} title="What became of it" facts=${[
      ["Id", html`<${Copied} text=${event.eventId} label="the event's id" />`],
      ["Attempts", String(event.attempts)],
      ["Outcome", event.outcome && html`<${Foreign} text=${event.outcome} />`],
      ["Error", event.error && html`<span class="bad"><${Foreign} text=${event.error} /></span>`],
      ["Processed", event.processedAt && html`<${Time} at=${event.processedAt} />`],
      ["Next attempt", event.status === "pending" && event.nextAt && html`<${Time} at=${event.nextAt} />`],
    ]} />
    <section class="card"><header><h2>Body, without what is personal</h2></header><pre tabindex="0">${pretty(body)}</pre></section>`;
  return html`<${OnePage} list=${inbox} title=${id} state=${state} show=${show} />`;
}

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

/** The parts that KernaPay consists of, and the work that waits in each queue. */

import { html } from "./standalone.mjs";
import { call } from "./http.js";
import { Icon } from "./icons.js";
import { Failure, Loading, Pill, useLoaded } from "./parts.js";
import { useTitle } from "./route.js";

const WORDS = {
  inbox: "Events of the gateway", outbox: "Messages to people", unpaid_payments: "Payments that are open", late_payments: "Money after the end",
  ending_sales: "Sales that end", surplus_payments: "Money that goes back", open_refunds: "Refunds without an answer", reports: "Comparisons",
  settlement_days: "Days of settlements", customers: "Customers to erase or merge",
  exports: "Exports to write",
  statements: "Statements to mail",
};

function Part({ name, state, reason }) {
  return html`<div><dt>${name}</dt><dd>${state === "up" ? html`<${Pill} look="good" icon="check" word="Up" />` : html`<${Pill} look="bad" icon="x" word="Down" />`} ${reason}</dd></div>`;
}

function age(seconds) {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

export function HealthPage() {
  useTitle("Health");
  const { data, problem, isLoading, reload } = useLoaded(() => call("GET", "/admin/health"), []);
  return html`<div class="head"><div><h1 tabindex="-1">Health</h1><p class="soft">As it is now. <code>kernapay doctor</code> says what to do about each.</p></div>
      <div class="right"><button type="button" class="btn" onClick=${reload} disabled=${isLoading}><${Icon} name="sync" />Refresh</button></div></div>
    ${problem && html`<section class="card below"><${Failure} problem=${problem} onRetry=${reload} /></section>`}
    ${!data && !problem && html`<section class="card"><${Loading} /></section>`}
    ${data && html`<section class="card below"><header><h2>Stores</h2></header><dl class="facts">
        <${Part} name="MongoDB" state=${data.mongodb} reason=${data.reason} />
        <${Part} name="Redis" state=${data.redis} reason=${data.redis === "down" ? "Answers are slower, not wrong." : ""} />
        <div><dt>Version</dt><dd><code>${data.version}</code></dd></div></dl></section>
      <section class="card tbl" aria-label="Queues"><table class="list">
        <thead><tr><th class="wide">Queue</th><th class="r">Due</th><th class="r">Oldest</th><th class="r">Parked</th></tr></thead>
        <tbody>${data.queues.map((each) => html`<tr key=${each.name}><td data-label="Queue">${WORDS[each.name] || each.name}</td>
          <td class="r" data-label="Due">${many(each.due)}</td><td class="r" data-label="Oldest">${each.due ? age(each.oldestSeconds) : "–"}</td>
          <td class="r" data-label="Parked"><span class=${each.parked ? "bad" : ""}>${many(each.parked)}</span></td></tr>`)}</tbody></table></section>`}`;
}

const many = (count) => (count >= 10_000 ? "10,000 or more" : String(count));

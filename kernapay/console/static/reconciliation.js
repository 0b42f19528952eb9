/** Comparisons with the gateway's records: nights, their findings, and repairs that first say what they would do. */

import { html, useState } from "./standalone.mjs";
import { Failed, Result, useAct } from "./act.js";
import { Facts, OneHead, OnePage } from "./facts.js";
import { Foreign, Time, startOfDay } from "./format.js";
import { call, query } from "./http.js";
import { Icon } from "./icons.js";
import { COUNT, Listed, skipping, useList } from "./list.js";
import { Dialog, Field, Pill } from "./parts.js";
import { Link, paymentPath } from "./route.js";

const STATES = { requested: ["warn", "clock", "Waits"], running: ["info", "half", "Runs"], done: ["good", "check", "Complete"], failed: ["bad", "x", "Failed"] };
const KINDS = {
  missing_there: "The gateway does not know it", missing_here: "Paid there, not here", unattached_order: "An order without a payment of ours",
  surplus_order: "A second order", amount: "Amounts differ", status: "Statuses differ", refunds: "Refunds differ",
  second_payment: "Paid twice", fee: "Fees differ", settlement: "Settled otherwise", unsettled: "Not settled in time", unreadable: "Cannot be read",
  dispute_missing: "The gateway does not know the dispute", dispute_unknown: "A dispute not known here", dispute: "Disputes differ", dispute_refunded: "Refunded and disputed",
};

function StatePill({ report }) {
  if (report.state === "done" && report.isComplete !== true) return html`<${Pill} look="warn" icon="alert" word="Incomplete" />`;
  const [look, icon, word] = STATES[report.state] || ["soft", "clock", report.state];
  return html`<${Pill} look=${look} icon=${icon} word=${word} />`;
}

/** Ask for a comparison of some days, which a worker makes. */
function Compare({ reload }) {
  const [isOpen, open] = useState(false);
  const [days, setDays] = useState({ from: "", to: "" });
  const { done, problem, isBusy, act } = useAct(() => call("POST", "/reconciliation/reports", { from: startOfDay(days.from), to: startOfDay(days.to) }));
  const close = () => {
    open(false);
    if (done || problem) reload();
  };
  const submit = (event) => {
    event.preventDefault();
    if (days.from && days.to) act();
  };
  const day = (name, label) => html`<${Field} id=${`compare-${name}`} label=${label} problem=${problem?.of?.(name)}>
    <input id=${`compare-${name}`} type="date" required value=${days[name]} onInput=${(event) => setDays({ ...days, [name]: event.target.value })} disabled=${isBusy} /><//>`;
  return html`<button type="button" class="btn" onClick=${() => open(true)}><${Icon} name="shield" />Compare days…</button>
    ${isOpen && html`<${Dialog} title="Compare days" onClose=${close} isBusy=${isBusy}>
      ${done ? html`<${Result}>Asked for. A worker makes it: it is the first of the list.<//>` : html`<form class="form" onSubmit=${submit}>
        <p class="soft">What was created in these days is compared with the gateway's records. That changes nothing. At most 31 days.</p>
        ${day("from", "From the beginning of")} ${day("to", "until the beginning of")}
        ${problem && !problem.errors?.length && html`<${Failed} problem=${problem} again="A second comparison of the same days is harmless." />`}
        <div class="row"><button type="button" class="btn" onClick=${close} disabled=${isBusy}>Close</button>
          <button type="submit" class="btn primary" disabled=${isBusy}>${isBusy ? "Asking …" : "Compare"}</button></div></form>`}
      ${done && html`<div class="row"><button type="button" class="btn primary" onClick=${close}>Close</button></div>`}
    <//>`}`;
}

export const reconciliation = {
  title: "Reconciliation",
  path: "/console/reconciliation",
  lead: "Our records against the gateway's, newest first. A night compares the day before it.",
  Actions: Compare,
  load: async (_, place) => {
    const rows = await call("GET", `/reconciliation/reports${query({ skip: place.skip, count: COUNT })}`);
    return { rows, next: skipping(rows, place) };
  },
  key: (row) => row._id,
  open: (row) => `/console/reconciliation/${row._id}`,
  empty: "Nothing was compared yet. The worker does so each night.",
  columns: [
    { label: "Night", isLink: true, show: (row) => row.night || "asked for" },
    { label: "State", show: (row) => html`<${StatePill} report=${row} />` },
    { label: "Findings", look: "r", show: (row) => html`<b class=${row.totals.findings ? "bad" : ""}>${row.totals.findings ?? "–"}</b>` },
    { label: "Compared", look: "r", show: (row) => row.totals.payments ?? "–" },
    { label: "From", look: "num soft", show: (row) => html`<${Time} at=${row.from} />` },
    { label: "To", look: "num soft wide", show: (row) => html`<${Time} at=${row.to} />` },
    { label: "Made", look: "num soft", show: (row) => row.finishedAt && html`<${Time} at=${row.finishedAt} />` },
  ],
};

/** First what a repair would do, then the repair. Each is sent once. */
function Repair({ path, finding, reload }) {
  const [isOpen, open] = useState(false);
  const trial = useAct(() => call("POST", `${path}/repair?dryRun=true`));
  const repair = useAct(() => call("POST", `${path}/repair`));
  const isBusy = trial.isBusy || repair.isBusy;
  const close = () => {
    open(false);
    if (repair.done || repair.problem) reload();
  };
  const { done } = repair;
  return html`<button type="button" class="btn small" data-row onClick=${() => open(true)}>Repair…</button>
    ${isOpen && html`<${Dialog} title="Repair" onClose=${close} isBusy=${isBusy}>
      ${!done && html`<p>${KINDS[finding.kind] || finding.kind}: ours <b><${Foreign} text=${finding.ours ?? "nothing"} /></b>, theirs <b><${Foreign} text=${finding.theirs ?? "nothing"} /></b>.</p>
        <p class="soft">The gateway is asked again, and what is true now decides. First see what a repair would do: that changes nothing.</p>`}
      ${trial.done && !done && html`<p class="result" role="status">A repair would do this: <${Foreign} text=${trial.done.answer.outcome} /></p>`}
      ${done && (done.answer.isRepaired
        ? html`<${Result}>Repaired: <${Foreign} text=${done.answer.outcome} /><//>`
        : html`<p class="result warn" role="status">The difference still stands: <${Foreign} text=${done.answer.outcome} /></p>`)}
      ${(trial.problem || repair.problem) && html`<${Failed} problem=${repair.problem || trial.problem} again="Repairing again is harmless." />`}
      <div class="row">
        <button type="button" class="btn" onClick=${close} disabled=${isBusy}>Close</button>
        ${!trial.done && html`<button type="button" class="btn primary" onClick=${() => trial.act()} disabled=${isBusy}>${isBusy ? "Asking the gateway …" : "See what it would do"}</button>`}
        ${trial.done && !done && html`<button type="button" class="btn primary" onClick=${() => repair.act()} disabled=${isBusy}>${isBusy ? "Repairing …" : "Repair"}</button>`}
      </div>
    <//>`}`;
}

const findingsOf = (id) => ({
  title: "Findings",
  path: `/console/reconciliation/${id}`,
  load: async (_, place) => {
    const data = await call("GET", `/reconciliation/reports/${id}${query({ skip: place.skip, count: COUNT })}`);
    return { ...data, rows: data.findings, next: skipping(data.findings, place) };
  },
  key: (row) => row._id,
  empty: "No difference was found.",
  columns: [
    { label: "What", show: (row) => KINDS[row.kind] || row.kind },
    { label: "Ours", look: "cut half", show: (row) => html`<${Foreign} text=${row.ours ?? "–"} />` },
    { label: "Theirs", look: "cut half", show: (row) => html`<${Foreign} text=${row.theirs ?? "–"} />` },
    { label: "Payment", show: (row) => (row.referenceId ? html`<${Link} to=${paymentPath(row.referenceId)}><code>${row.referenceId.slice(0, 14)}…</code><//>` : html`<code>${row.orderId || row.razorpayPaymentId || row.disputeId || "–"}</code>`) },
    { label: "Outcome", look: "cut half", show: (row) => (row.outcome ? html`<span class=${row.repairedAt ? "good" : "warn"}><${Foreign} text=${row.outcome} /></span>` : html`<span class="soft">open</span>`) },
    { label: "", look: "r", show: (row, { reload }) => !row.repairedAt && html`<${Repair} path=${`/reconciliation/reports/${id}/findings/${row._id}`} finding=${row} reload=${reload} />` },
  ],
});

export function ReportPage({ id, route, session }) {
  const list = findingsOf(id);
  const state = useList(list, route, session);
  const show = ({ report }) => html`
    <${OneHead} title=${report.night ? `Night of ${report.night}` : "Comparison"} sub=${html`<${Time} at=${report.from} /> to <${Time} at=${report.to} />`}><${StatePill} report=${report} /><//>
    <${Facts} title="What was compared" facts=${[
      ...Object.entries(report.totals).map(([name, count]) => [name.replaceAll("_", " "), String(count)]),
      ["Not compared", report.unchecked.length > 0 && html`<${Foreign} text=${report.unchecked.join(", ")} />`],
      ["Failed", report.error && html`<${Foreign} text=${report.error} />`],
    ]} />
    <${Listed} list=${list} state=${state} route=${route} session=${session} />`;
  return html`<${OnePage} list=${reconciliation} title=${state.data?.report.night || "Comparison"} state=${state} show=${show} />`;
}

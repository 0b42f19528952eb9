/** Transfers to the bank account, down to the rows that each consists of. */

import { html } from "./standalone.mjs";
import { Foreign, Time, money } from "./format.js";
import { call, query } from "./http.js";
import { Facts, OneHead, OnePage } from "./facts.js";
import { COUNT, Listed, afterLast, skipping, useList } from "./list.js";
import { Copied, Pill } from "./parts.js";
import { paymentPath } from "./route.js";

const PROBLEMS = {
  amount_differs: "the bank's line is not what the rows add up to",
  amount_unknown: "the gateway does not tell the amount",
  unreadable_rows: "rows that cannot be read",
  rows_changed: "the gateway told other amounts later",
  failed: "the transfer failed",
};
// Razorpay: it settles in rupees, whatever a payment's own currency is.
const HOME = "INR";

function Books({ settlement }) {
  const word = settlement.problems.map((each) => PROBLEMS[each] || each).join("; ");
  return word ? html`<${Pill} look="bad" icon="alert" word=${word} />` : html`<${Pill} look="good" icon="check" word="Adds up" />`;
}

export const settlements = {
  title: "Settlements",
  path: "/console/settlements",
  lead: "What reached the bank account, newest first.",
  filters: [
    { name: "from", label: "From", kind: "date" },
    { name: "to", label: "before", kind: "date" },
    { name: "hasProblem" },
  ],
  views: [["All", {}], ["Needs a look", { hasProblem: "true" }]],
  load: async (filters, { cursor, count }) => {
    const rows = await call("GET", `/settlements${query({ ...filters, cursor, count })}`);
    return { rows, next: afterLast(rows, (row) => row.settlementId) };
  },
  key: (row) => row.settlementId,
  open: (row) => `/console/settlements/${encodeURIComponent(row.settlementId)}`,
  empty: "Nothing is settled yet. The worker asks the gateway for settlements by itself.",
  columns: [
    { label: "Settled", look: "num", show: (row) => html`<${Time} at=${row.settledAt} />` },
    { label: "Bank's line", look: "r strong", show: (row) => (row.amount == null ? "not told" : money(row.amount, HOME)) },
    { label: "Came in", look: "r", show: (row) => money(row.credit, HOME) },
    { label: "Taken", look: "r", show: (row) => money(row.debit, HOME) },
    { label: "Fee, with tax", look: "r", show: (row) => money(row.rowFee, HOME) },
    { label: "Rows", look: "r", show: (row) => row.rows },
    { label: "Books", look: "wide", show: (row) => html`<${Books} settlement=${row} />` },
    { label: "UTR", isLink: true, show: (row) => html`<code>${row.utr || row.settlementId}</code>` },
  ],
};

const rowsOf = (id) => ({
  title: "Rows",
  path: `/console/settlements/${encodeURIComponent(id)}`,
  load: async (_, place) => {
    const data = await call("GET", `/settlements/${encodeURIComponent(id)}${query({ skip: place.skip, count: COUNT })}`);
    return { ...data, rows: data.rows.map((row) => ({ ...row, home: data.currency })), next: skipping(data.rows, place), total: data.settlement.rows };
  },
  key: (row) => `${row.type} ${row.entityId}`,
  open: (row) => row.referenceId && paymentPath(row.referenceId),
  empty: "It has no rows.",
  columns: [
    { label: "Type", show: (row) => html`<${Foreign} text=${row.type} />` },
    { label: "Came in", look: "r strong", show: (row) => (row.credit ? money(row.credit, row.home) : "") },
    { label: "Taken", look: "r strong", show: (row) => (row.debit ? money(row.debit, row.home) : "") },
    { label: "Fee, with tax", look: "r", show: (row) => money(row.fee, row.home) },
    { label: "Id", show: (row) => html`<code>${row.entityId}</code>` },
    { label: "For", look: "cut wide", show: (row) => html`<${Foreign} text=${row.flaw || row.description || (row.referenceId ? "" : "not of KernaPay")} />` },
    { label: "Payment", isLink: true, show: (row) => (row.referenceId ? html`<code>${row.referenceId.slice(0, 12)}…</code>` : "") },
  ],
});

export function SettlementPage({ id, route, session }) {
  const list = rowsOf(id);
  const state = useList(list, route, session);
  const show = ({ settlement, currency, net }) => html`
    <${OneHead} title=${settlement.amount == null ? "Settlement" : money(settlement.amount, currency)} sub=${html`settled <${Time} at=${settlement.settledAt} />`}><${Books} settlement=${settlement} /><//>
    <${Facts} title="To the bank's line" facts=${[
      ["Came in", money(settlement.credit, currency)],
      ["Taken", money(settlement.debit, currency)],
      ["Net of the rows", html`<b>${money(net, currency)}</b>`],
      ["Bank's line", settlement.amount == null ? "not told" : html`<b>${money(settlement.amount, currency)}</b>`],
      ["Difference", settlement.difference ? html`<span class="bad">${money(settlement.difference, currency)}</span>` : "none"],
      ["Fee, with tax", `${money(settlement.rowFee, currency)}, of it ${money(settlement.rowTax, currency)} tax`],
      ["UTR", settlement.utr && html`<${Copied} text=${settlement.utr} label="the UTR" />`],
      ["Settlement", html`<${Copied} text=${settlement.settlementId} label="the settlement's id" />`],
    ]} />
    <${Listed} list=${list} state=${state} route=${route} session=${session} />`;
  return html`<${OnePage} list=${settlements} title=${id} state=${state} show=${show} />`;
}

/** Evidence that did not match its payment: somebody has to decide about its money. */

import { html } from "./standalone.mjs";
import { Foreign, Time, money } from "./format.js";
import { call, query } from "./http.js";
import { COUNT, skipping } from "./list.js";
import { Pill } from "./parts.js";
import { paymentPath } from "./route.js";

export const mismatches = {
  title: "Mismatches",
  path: "/console/mismatches",
  lead: "Evidence that did not match its payment, newest first. It changed nothing: decide where its money belongs.",
  filters: [{ name: "open" }],
  views: [["Open", {}], ["All", { open: "false" }]],
  load: async (filters, { skip }) => {
    const rows = await call("GET", `/admin/mismatches${query({ ...filters, skip, count: COUNT })}`);
    return { rows, next: skipping(rows, { skip }) };
  },
  key: (row) => `${row.referenceId} ${row.at} ${row.reason} ${row.paymentId}`,
  open: (row) => paymentPath(row.referenceId),
  empty: "No mismatch is open.",
  columns: [
    { label: "When", look: "num soft", show: (row) => html`<${Time} at=${row.at} />` },
    { label: "Standing", show: (row) => (row.isOpen ? html`<${Pill} look="bad" icon="alert" word="Open" />` : html`<${Pill} look="good" icon="check" word="Has its place" />`) },
    { label: "Reason", show: (row) => html`<${Foreign} text=${row.reason.replace(/_/g, " ")} />` },
    { label: "Amount", look: "r strong", show: (row) => (row.amount == null ? "" : money(row.amount, row.currency || "INR")) },
    { label: "Payment is", show: (row) => row.paymentStatus },
    { label: "Told by", look: "cut half", show: (row) => html`<${Foreign} text=${row.event || row.source} />` },
    { label: "Gateway's payment", show: (row) => row.paymentId && html`<code>${row.paymentId}</code>` },
    { label: "Reference", isLink: true, show: (row) => html`<code>${row.referenceId.slice(0, 12)}…</code>` },
  ],
};

/** Disputes, the nearest deadline first. */

import { html } from "./standalone.mjs";
import { Foreign, Time, money } from "./format.js";
import { call, query } from "./http.js";
import { afterLast } from "./list.js";
import { Pill } from "./parts.js";
import { paymentPath } from "./route.js";

const STATUSES = [["", "Any status"], ["open", "Open"], ["under_review", "Under review"], ["won", "Won"], ["lost", "Lost"], ["closed", "Closed"]];
const LOOKS = { open: ["bad", "flag"], under_review: ["info", "clock"], won: ["good", "check"], lost: ["soft", "x"], closed: ["soft", "x"] };
const DAY = 24 * 3600 * 1000;

/** How long evidence is still taken, in words. */
export function timeLeft(dispute, now = Date.now()) {
  if (!dispute.respondBy || dispute.status !== "open") return null;
  const left = new Date(dispute.respondBy) - now;
  if (left <= 0) return { word: "too late", isUrgent: true };
  if (left < DAY / 24) return { word: `${Math.floor(left / 60_000)} min left`, isUrgent: true };
  return { word: left < 2 * DAY ? `${Math.floor(left / 3_600_000)} h left` : `${Math.floor(left / DAY)} days left`, isUrgent: left < 2 * DAY };
}

function Deadline({ dispute }) {
  const left = timeLeft(dispute);
  if (!dispute.respondBy) return "–";
  return html`<${Time} at=${dispute.respondBy} />${left && html` <b class=${left.isUrgent ? "bad" : "soft"}>${left.word}</b>`}`;
}

function DisputePill({ dispute }) {
  const [look, icon] = LOOKS[dispute.status] || ["soft", "clock"];
  const word = STATUSES.find(([key]) => key === dispute.status)?.[1] || dispute.status;
  return html`<${Pill} look=${look} icon=${icon} word=${word} />`;
}

export const disputes = {
  title: "Disputes",
  path: "/console/disputes",
  lead: "The nearest deadline for evidence first. Evidence is given at the gateway.",
  filters: [{ name: "status", label: "Status", options: STATUSES }],
  views: [["All", {}], ["Open", { status: "open" }], ["Under review", { status: "under_review" }], ["Lost", { status: "lost" }]],
  load: async (filters, { cursor, count }) => {
    const rows = await call("GET", `/disputes${query({ ...filters, cursor, count })}`);
    return { rows, next: afterLast(rows, (row) => row.disputeId) };
  },
  key: (row) => row.disputeId,
  open: (row) => paymentPath(row.referenceId),
  empty: "There is no dispute. One appears here as soon as the gateway tells of it.",
  columns: [
    { label: "Answer by", look: "num", show: (row) => html`<${Deadline} dispute=${row} />` },
    { label: "Status", show: (row) => html`<${DisputePill} dispute=${row} />` },
    { label: "Amount", look: "r strong", show: (row) => money(row.amount, row.currency) },
    { label: "Phase", show: (row) => html`<${Foreign} text=${row.phase.replaceAll("_", " ")} />` },
    { label: "Reason", look: "cut wide", show: (row) => html`<${Foreign} text=${row.reasonDescription || row.reasonCode || "not told"} />` },
    { label: "Dispute", isLink: true, show: (row) => html`<code>${row.disputeId}</code>` },
  ],
};

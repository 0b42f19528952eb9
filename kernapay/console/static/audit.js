/** The audit log. */

import { html } from "./standalone.mjs";
import { UserLink } from "./facts.js";
import { Foreign, Time, startOfDay } from "./format.js";
import { call, query } from "./http.js";
import { COUNT, skipping } from "./list.js";
import { ROLES, shortened } from "./parts.js";
import { Link, paymentPath } from "./route.js";

function Target({ target }) {
  const [kind, id] = (target || "").split(/:(.*)/s);
  if (kind === "payment" && id) return html`<${Link} to=${paymentPath(id)}><code>${shortened(id)}</code><//>`;
  if (kind === "user" && id) return html`user <${UserLink} id=${id} />`;
  return html`<code>${shortened(target || "–", 22, 6)}</code>`;
}

/** What an action changed: each value before and after. */
function Difference({ entry }) {
  const names = [...new Set([...Object.keys(entry.before || {}), ...Object.keys(entry.after || {})])];
  if (!names.length && !entry.failure) return null;
  const said = (value) => (value === undefined || value === null ? "nothing" : typeof value === "string" ? value : JSON.stringify(value));
  return html`<details><summary data-row>${entry.failure ? html`<span class="bad">Failed</span>` : "What changed"}</summary>
    ${entry.failure && html`<p class="bad"><${Foreign} text=${entry.failure} /></p>`}
    ${names.map((name) => html`<p key=${name}><b><${Foreign} text=${name} /></b>: <${Foreign} text=${said(entry.before?.[name])} /> → <${Foreign} text=${said(entry.after?.[name])} /></p>`)}</details>`;
}

export const audit = {
  title: "Audit log",
  path: "/console/audit",
  lead: "Privileged actions, newest first.",
  filters: [
    { name: "actor", label: "Who (id)" },
    { name: "action", label: "Action" },
    { name: "target", label: "Target" },
    { name: "after", label: "From", kind: "date" },
    { name: "before", label: "before", kind: "date" },
  ],
  load: async (filters, place) => {
    const times = { after: startOfDay(filters.after), before: startOfDay(filters.before) };
    const page = await call("GET", `/admin/audit${query({ ...filters, ...times, skip: place.skip, count: COUNT })}`);
    return { rows: page.entries, total: page.total, next: skipping(page.entries, place) };
  },
  key: (row) => row._id,
  empty: "Nobody has done anything yet that leaves an entry.",
  columns: [
    { label: "When", look: "num soft", show: (row) => html`<${Time} at=${row.createdAt} />` },
    { label: "Who", show: (row) => html`<${UserLink} id=${row.actor} />${row.actorRole && html` <span class="soft">${ROLES[row.actorRole] || row.actorRole}</span>`}${row.keyId && html` <span class="soft">by key <code>${shortened(row.keyId, 4, 4)}</code></span>`}` },
    { label: "Action", show: (row) => html`<${Foreign} text=${row.action} />` },
    { label: "Target", show: (row) => html`<${Target} target=${row.target} />` },
    { label: "Change", look: "wrap wide", show: (row) => html`<${Difference} entry=${row} />` },
  ],
};

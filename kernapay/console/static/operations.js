/** API keys and the audit log. */

import { html } from "./standalone.mjs";
import { Act } from "./act.js";
import { Foreign, Time, startOfDay } from "./format.js";
import { call, query } from "./http.js";
import { COUNT, skipping } from "./list.js";
import { Pill, ROLES, shortened } from "./parts.js";
import { Link, paymentPath } from "./route.js";

const ENDS = { revoked: "Revoked", account_changed: "Ended with its account", maker_not_admin: "Ended with its maker" };

function KeyPill({ apiKey }) {
  if (apiKey.revokedAt) return html`<${Pill} look="soft" icon="x" word=${ENDS[apiKey.revokedReason] || "Ended"} />`;
  if (apiKey.expiresAt && new Date(apiKey.expiresAt) < new Date()) return html`<${Pill} look="soft" icon="clock" word="Expired" />`;
  return html`<${Pill} look="good" icon="check" word="Works" />`;
}

function KeyActs({ apiKey, session, reload }) {
  if (apiKey.revokedAt) return null;
  const path = `/admin/api-keys/${apiKey._id}`;
  const isKept = (apiKey.adoptedBy || apiKey.createdBy) === session.user._id;
  return html`${!isKept && html`<${Act} word="Adopt" look="small" onDone=${reload} run=${() => call("POST", `${path}/adopt`)} said=${() => "You vouch for it now."}>
      <p>The key ends when whoever vouches for it stops being an administrator. From now on that is you.</p><//>`}
    <${Act} word="Revoke" look="small" onDone=${reload} run=${() => call("DELETE", path)} said=${() => "The key is revoked."}>
      <p>The key <b><${Foreign} text=${apiKey.name} /></b> stops working at once, for good. What uses it is refused.</p><//>`;
}

const userLink = (id) => (/^[0-9a-f]{24}$/.test(id || "") ? html`<${Link} to=${`/console/users/${id}`}><code>${shortened(id, 6, 4)}</code><//>` : html`<code>${id || "–"}</code>`);

export const keys = {
  title: "API keys",
  path: "/console/keys",
  lead: "For machines, newest first. The keys themselves are never shown.",
  load: async (_, place) => {
    const page = await call("GET", `/admin/api-keys${query({ skip: place.skip, count: COUNT })}`);
    return { rows: page.keys, total: page.total, next: skipping(page.keys, place) };
  },
  key: (row) => row._id,
  empty: html`There is no key. <code>POST /v1/api/admin/api-keys</code> makes one.`,
  columns: [
    { label: "Name", look: "cut half", show: (row) => html`<${Foreign} text=${row.name} />` },
    { label: "State", show: (row) => html`<${KeyPill} apiKey=${row} />` },
    { label: "Ends with", show: (row) => html`<code>${row.hint}</code>` },
    { label: "Acts as", show: (row) => html`${ROLES[row.role] || row.role} ${userLink(row.userId)}` },
    { label: "May", look: "cut half", show: (row) => (row.scopes ? row.scopes.join(", ") : "all that its role may") },
    { label: "Last used", look: "num soft", show: (row) => (row.lastUsedAt ? html`<${Time} at=${row.lastUsedAt} />` : "never") },
    { label: "", look: "r", show: (row, { session, reload }) => html`<${KeyActs} apiKey=${row} session=${session} reload=${reload} />` },
  ],
};

function Target({ target }) {
  const [kind, id] = (target || "").split(/:(.*)/s);
  if (kind === "payment" && id) return html`<${Link} to=${paymentPath(id)}><code>${shortened(id)}</code><//>`;
  if (kind === "user" && id) return html`user ${userLink(id)}`;
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
    { label: "Who", show: (row) => html`${userLink(row.actor)}${row.actorRole && html` <span class="soft">${ROLES[row.actorRole] || row.actorRole}</span>`}${row.keyId && html` <span class="soft">by key <code>${shortened(row.keyId, 4, 4)}</code></span>`}` },
    { label: "Action", show: (row) => html`<${Foreign} text=${row.action} />` },
    { label: "Target", show: (row) => html`<${Target} target=${row.target} />` },
    { label: "Change", look: "wrap wide", show: (row) => html`<${Difference} entry=${row} />` },
  ],
};

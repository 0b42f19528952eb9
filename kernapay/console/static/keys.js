/** API keys: made, shown once, adopted and revoked. */

import { html } from "./standalone.mjs";
import { Act } from "./act.js";
import { UserLink } from "./facts.js";
import { FormAct, ShownOnce, parts } from "./form.js";
import { Foreign, Time, startOfDay } from "./format.js";
import { call, query } from "./http.js";
import { COUNT, skipping } from "./list.js";
import { Pill, ROLES, shortened } from "./parts.js";

const ENDS = { revoked: "Revoked", account_changed: "Ended with its account", maker_not_admin: "Ended with its maker" };
const SCOPES = [
  ["payments:read", "Read payments"], ["payments:write", "Create, capture and cancel payments"], ["refunds:write", "Refund"],
  ["customers:read", "Read customers"], ["customers:write", "Change and erase customers"],
  ["deliveries:read", "Read endpoints and deliveries"], ["deliveries:write", "Change endpoints and send again"], ["reports:read", "Read reports, exports and settlements"],
];
const LIMITS = [["some", "Only what is marked here"], ["all", "All that its role may"]];

/** A button that makes a key: for the caller, in any role; or for somebody else's `user`, in the role of that account. */
export function MakeKey({ user, onDone }) {
  const roles = user ? [user.type] : Object.keys(ROLES);
  const start = { name: "", role: user ? user.type : "USER", limit: "some", scopes: [], expiresAt: "", checkoutOrigins: "" };
  const fields = (draft) => [
    { name: "name", label: "Name", required: true, maxlength: 100, hint: "What uses it, such as: Booking back end." },
    ...(user ? [] : [{ name: "role", label: "Role", kind: "choice", options: roles.map((each) => [each, ROLES[each]]) }]),
    { name: "limit", label: "It may do", kind: "choice", options: LIMITS },
    ...(draft.limit === "some" ? [{ name: "scopes", label: "Scopes", kind: "marks", options: SCOPES, hint: "What it needs, and no more." }] : []),
    { name: "expiresAt", label: "Ends at the beginning of", kind: "date", hint: "Without a day, it works until it is revoked." },
    { name: "checkoutOrigins", label: "Origins of your pages", kind: "lines", hint: "Where the checkout page of its payments may lead: the beginning of each address, up to the name of the host. One a line, or none." },
  ];
  const run = (draft) => call("POST", "/admin/api-keys", {
    name: draft.name,
    role: draft.role,
    ...(user && { userId: user._id }),
    ...(draft.limit === "some" && { scopes: draft.scopes }),
    ...(draft.expiresAt && { expiresAt: startOfDay(draft.expiresAt) }),
    checkoutOrigins: parts(draft.checkoutOrigins),
  });
  const Done = ({ answer }) => html`<${ShownOnce} text=${answer.key} label="the key">The key <b><${Foreign} text=${answer.details.name} /></b> works from now on.<//>
    <p class="soft">A program sends it as <code>Authorization: Bearer</code> and the key. Who has lost it makes another and revokes this one.</p>`;
  return html`<${FormAct} word="Make a key" icon="key" verb="Make the key" start=${start} fields=${fields} run=${run} Done=${Done} isKept onDone=${onDone}
    again="Look at the list of keys first. Revoke one that nobody has seen, then make another.">
    <p>A program acts with it as ${user ? html`<b><${Foreign} text=${user.name} /></b>` : "you"}, in one role. The key is shown once, and ends when you stop being an administrator, unless another one adopts it.</p><//>`;
}

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

export const keys = {
  title: "API keys",
  path: "/console/keys",
  lead: "For machines, newest first. A key is shown when it is made, and never again. For another account: make one on its page.",
  Actions: ({ reload }) => html`<${MakeKey} onDone=${reload} />`,
  load: async (_, place) => {
    const page = await call("GET", `/admin/api-keys${query({ skip: place.skip, count: COUNT })}`);
    return { rows: page.keys, total: page.total, next: skipping(page.keys, place) };
  },
  key: (row) => row._id,
  empty: "There is no key.",
  columns: [
    { label: "Name", look: "cut half", show: (row) => html`<${Foreign} text=${row.name} />` },
    { label: "State", show: (row) => html`<${KeyPill} apiKey=${row} />` },
    { label: "Ends with", show: (row) => html`<code>${row.hint}</code>` },
    { label: "Acts as", show: (row) => html`${ROLES[row.role] || row.role} <${UserLink} id=${row.userId} />` },
    { label: "May", look: "cut half", show: (row) => (row.scopes ? row.scopes.join(", ") : "all that its role may") },
    { label: "Last used", look: "num soft", show: (row) => (row.lastUsedAt ? html`<${Time} at=${row.lastUsedAt} />` : "never") },
    { label: "", look: "r", show: (row, { session, reload }) => html`<${KeyActs} apiKey=${row} session=${session} reload=${reload} />` },
  ],
};

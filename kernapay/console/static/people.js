/** Accounts, providers that wait for approval, and the customers of shops. */

import { html } from "./standalone.mjs";
import { Act, Result } from "./act.js";
import { Facts, OneHead, OnePage } from "./facts.js";
import { FormAct } from "./form.js";
import { Foreign, Time } from "./format.js";
import { call, query } from "./http.js";
import { MakeKey } from "./keys.js";
import { COUNT, skipping } from "./list.js";
import { Copied, Pill, ROLES, useLoaded } from "./parts.js";
import { Link, navigate } from "./route.js";

const WHAT_THEY_DO = { USER: "pays, or sells by an API key", PROVIDER: "is paid; moves money after an approval", LAB_ASSISTANT: "looks payments up", ADMIN: "may do everything" };
const roleOptions = (roles) => roles.map((role) => [role, `${ROLES[role]}: ${WHAT_THEY_DO[role]}`]);

function OpenAccount({ reload }) {
  const start = { name: "", email: "", countryCode: "+91", mobileNumber: "", type: "USER" };
  const fields = () => [
    { name: "name", label: "Name", required: true, maxlength: 100 },
    { name: "email", label: "E-mail address", kind: "email", required: true, maxlength: 254 },
    { name: "countryCode", label: "Country's calling code", inputmode: "tel", required: true, maxlength: 5 },
    { name: "mobileNumber", label: "Mobile number, without it", inputmode: "numeric", required: true, maxlength: 15 },
    { name: "type", label: "Role", kind: "choice", options: roleOptions(["USER", "PROVIDER", "LAB_ASSISTANT"]), hint: "An administrator begins as one of these, confirms the address, and is given the role then." },
  ];
  const run = (draft) => call("POST", "/admin/users", { ...draft, mobileNumber: draft.mobileNumber.replace(/\s/g, "") });
  const Done = ({ answer }) => html`<${Result}>The account of <${Foreign} text=${answer.name} /> is open.<//>
    <p>Nobody knows its password yet. The owner sets one with <code>POST /v1/api/users/password/forgot</code>, by a code that comes by e-mail.</p>`;
  return html`<${FormAct} word="Open an account" icon="user" verb="Open it" start=${start} fields=${fields} run=${run} Done=${Done}
    again="If it was opened, doing it again says that the address is taken." onDone=${(user) => (user ? navigate(`/console/users/${user._id}`) : reload())}>
    <p>For somebody else. You set no password: its owner does.</p><//>`;
}

function ChangeRole({ user, path, onDone }) {
  const fields = () => [{ name: "role", label: "Role", kind: "choice", options: roleOptions(Object.keys(ROLES)) }];
  const Done = ({ answer }) => html`<${Result}>The role is now: ${ROLES[answer.type]}.<//>`;
  return html`<${FormAct} word="Change role" verb="Give this role" start=${{ role: user.type }} fields=${fields} run=${({ role }) => call("PUT", `${path}/role`, { role })} Done=${Done}
    again="Doing it again is harmless." onDone=${onDone}>
    <p>It counts from the next request on. A higher role signs the account out everywhere and ends its API keys; a lower one ends the keys in the role that it loses. An approval as a provider ends. Lab assistants and administrators need a verified address.</p><//>`;
}

function Erase({ path, onDone }) {
  const Done = ({ answer }) => html`<${Result}>The account is erased.<//>
    <p>What stays, and why:</p><dl class="facts">${answer.remains.map(({ what, why }) => html`<div key=${what}><dt>${what}</dt><dd>${why}</dd></div>`)}</dl>`;
  return html`<${FormAct} word="Erase" verb="Erase for good" start=${{}} fields=${() => []} run=${() => call("POST", `${path}/erase`)} Done=${Done} again="Doing it again finishes it." onDone=${onDone}>
    <p>Name, addresses, number, password and endpoints go for good, here and in copies. The payments stay, without them. Nothing brings the account back.</p><//>`;
}

function Standing({ user }) {
  if (user.status !== "ACTIVE") return html`<${Pill} look="soft" icon="x" word="Inactive" />`;
  if (user.type === "PROVIDER" && !user.isApprovedProvider) return html`<${Pill} look="warn" icon="clock" word="Waits for approval" />`;
  return html`<${Pill} look="good" icon="check" word=${user.type === "PROVIDER" ? "Approved" : "Active"} />`;
}

export const users = {
  title: "Users",
  path: "/console/users",
  lead: "Accounts, newest first. A provider moves money only after an approval.",
  Actions: OpenAccount,
  filters: [
    { name: "search", label: "Name or e-mail begins with" },
    { name: "type", label: "Role", options: [["", "Any role"], ...Object.entries(ROLES)] },
    { name: "status", label: "Status", options: [["", "Any status"], ["ACTIVE", "Active"], ["INACTIVE", "Inactive"]] },
    { name: "approved" },
  ],
  views: [["All", {}], ["To approve", { approved: "false" }]],
  load: async (filters, place) => {
    const page = await call("GET", `/admin/users${query({ ...filters, skip: place.skip, count: COUNT })}`);
    return { rows: page.users, total: page.total, next: skipping(page.users, place) };
  },
  key: (row) => row._id,
  open: (row) => `/console/users/${row._id}`,
  empty: "There is no account.",
  columns: [
    { label: "Name", look: "cut half", isLink: true, show: (row) => html`<${Foreign} text=${row.name} />` },
    { label: "Standing", show: (row) => html`<${Standing} user=${row} />` },
    { label: "Role", show: (row) => ROLES[row.type] || row.type },
    { label: "E-mail", look: "cut wide", show: (row) => html`<${Foreign} text=${row.email} />` },
    { label: "Verified", show: (row) => (row.isEmailVerified ? "yes" : "no") },
    { label: "Since", look: "num soft", show: (row) => row.createdAt && html`<${Time} at=${row.createdAt} />` },
  ],
};

const ACTS = {
  approve: ["Approve", "From its next request on, the account sees and refunds what was paid to it."],
  "revoke-approval": ["Revoke approval", "From its next request on, the account moves no money. Refunds that were accepted before are still finished."],
  activate: ["Activate", "The account works again. Its owner has to sign in on every device."],
  deactivate: ["Deactivate", "Its next request is refused, on every device, and its API keys end for good. The last active administrator cannot be deactivated."],
};

function actsOf(user) {
  const isActive = user.status === "ACTIVE";
  const approval = user.type !== "PROVIDER" || !isActive ? [] : [user.isApprovedProvider ? "revoke-approval" : "approve"];
  return [...approval, isActive ? "deactivate" : "activate"];
}

export function UserPage({ id, session }) {
  const path = `/admin/users/${encodeURIComponent(id)}`;
  const state = useLoaded(() => call("GET", path), [id]);
  const show = (user) => html`
    <${OneHead} title=${html`<${Foreign} text=${user.name} />`} sub=${ROLES[user.type] || user.type}>
      <${Standing} user=${user} />
      ${actsOf(user).map((act) => html`<${Act} key=${act} word=${ACTS[act][0]} look=${act === "approve" ? "primary" : ""} onDone=${state.reload} run=${() => call("POST", `${path}/${act}`)}
        said=${(after) => (after.status !== "ACTIVE" ? "The account is inactive." : act.includes("appro") ? (after.isApprovedProvider ? "Approved." : "The approval has ended.") : "The account is active.")}><p>${ACTS[act][1]}</p><//>`)}
      <${ChangeRole} user=${user} path=${path} onDone=${state.reload} />
      ${user.status === "ACTIVE" && (user.type !== "ADMIN" || user._id === session.user._id) && html`<${MakeKey} user=${user._id === session.user._id ? undefined : user} onDone=${state.reload} />`}
      ${user.status !== "ACTIVE" && html`<${Erase} path=${path} onDone=${state.reload} />`}
    <//>
    <${Facts} title="What is known" facts=${[
      ["E-mail", html`<${Foreign} text=${user.email} />`],
      ["Verified", user.isEmailVerified ? "e-mail address" : "nothing yet"],
      ["Mobile", user.mobileNumber && `${user.countryCode || ""} ${user.mobileNumber}${user.isMobileNumberVerified ? ", verified" : ""}`],
      ["Since", user.createdAt && html`<${Time} at=${user.createdAt} />`],
      ["Id", html`<${Copied} text=${user._id} label="the account's id" />`],
      ["Payments", html`<${Link} to=${`/console/payments${query({ userId: user._id })}`}>made<//>${user.type === "PROVIDER" && html`, <${Link} to=${`/console/payments${query({ providerId: user._id })}`}>received<//>, <${Link} to=${`/console/statements${query({ provider: user._id })}`}>statements<//>`}`],
      ["Audit log", html`<${Link} to=${`/console/audit${query({ target: `user:${user._id}` })}`}>done to it<//>, <${Link} to=${`/console/audit${query({ actor: user._id })}`}>done by it<//>`],
    ]} />`;
  return html`<${OnePage} list=${users} title="Account" state=${state} show=${show} />`;
}

export const customers = {
  title: "Customers",
  path: "/console/customers",
  lead: "The customers of shops, newest first. Open one for the payments.",
  load: async (_, { cursor, count }) => {
    const page = await call("GET", `/customers${query({ cursor, count })}`);
    return { rows: page.customers, next: page.nextCursor && { cursor: page.nextCursor } };
  },
  key: (row) => row._id,
  open: (row) => `/console/payments${query({ customer: row._id })}`,
  empty: html`There is no customer. A payment with a <code>customer</code> makes one.`,
  columns: [
    { label: "Name", look: "cut half", isLink: true, show: (row) => html`<${Foreign} text=${row.name || (row.erasedAt ? "erased" : "no name")} />` },
    { label: "Standing", show: (row) => (row.erasedAt ? html`<${Pill} look="soft" icon="x" word="Erased" />` : row.mergedInto ? html`<${Pill} look="soft" icon="x" word="Merged" />` : row.claim ? html`<${Pill} look="warn" icon="clock" word="Claimed" />` : "") },
    { label: "Shop's own id", look: "cut half", show: (row) => row.reference && html`<${Foreign} text=${row.reference} />` },
    { label: "E-mail", look: "cut wide", show: (row) => row.email && html`<${Foreign} text=${row.email} />` },
    { label: "Since", look: "num soft", show: (row) => html`<${Time} at=${row.createdAt} />` },
  ],
};

/** The pages of the console, and who may see each. */

import { html, useState } from "./standalone.mjs";
import { CUT_OFF, Problem } from "./http.js";
import { Icon } from "./icons.js";
import { ListPage } from "./list.js";
import { Failure, Loading, useLoaded } from "./parts.js";
import { OverviewPage } from "./overview.js";
import { PaymentPage } from "./payment.js";
import { PaymentsPage } from "./payments.js";
import { Link, useTitle } from "./route.js";

const EVERYBODY = ["ADMIN", "LAB_ASSISTANT", "PROVIDER"];
const ADMIN = ["ADMIN"];

/**
 * A place has a `name` in the address, an icon, a word, and roles; and its page (`All`) and that of one thing in it (`One`).
 * What few people open comes with its module when it is opened: the first view stays small.
 */
const place = (name, icon, word, roles, pages) => ({ name, icon, word, roles, to: name ? `/console/${name}` : "/console", ...pages });
const listed = (load, list, one) => ({ All: later(load, (module) => (props) => html`<${ListPage} list=${module[list]} ...${props} />`), One: one && later(load, (module) => module[one]) });

const deliveries = () => import("./deliveries.js");
const people = () => import("./people.js");
const MePage = later(() => import("./me.js"), (module) => module.MePage);

const GROUPS = [
  ["Money", [
    place("", "home", "Overview", ["ADMIN", "PROVIDER"], { All: OverviewPage }),
    place("payments", "pay", "Payments", EVERYBODY, { All: PaymentsPage, One: PaymentPage }),
    place("disputes", "flag", "Disputes", EVERYBODY, listed(() => import("./disputes.js"), "disputes")),
    place("settlements", "bank", "Settlements", ADMIN, listed(() => import("./settlements.js"), "settlements", "SettlementPage")),
    place("statements", "file", "Statements", ["ADMIN", "PROVIDER"], { All: later(() => import("./statements.js"), (module) => module.StatementsPage) }),
    // `E` leads to the endpoints.
    place("exports", "in", "Exports", ADMIN, { key: "x", All: later(() => import("./exports.js"), (module) => module.ExportsPage) }),
  ]],
  ["Trust", [
    place("reconciliation", "shield", "Reconciliation", ADMIN, listed(() => import("./reconciliation.js"), "reconciliation", "ReportPage")),
    place("mismatches", "alert", "Mismatches", ADMIN, listed(() => import("./mismatches.js"), "mismatches")),
    place("inbox", "in", "Inbox", ADMIN, listed(() => import("./inbox.js"), "inbox", "EventPage")),
    place("endpoints", "out", "Endpoints", ADMIN, listed(deliveries, "endpoints", "EndpointPage")),
    // Reached from an endpoint.
    place("deliveries", "out", "", ADMIN, { One: later(deliveries, (module) => module.DeliveryPage) }),
  ]],
  ["Set up", [
    place("users", "users", "Users", ADMIN, listed(people, "users", "UserPage")),
    place("customers", "user", "Customers", ADMIN, listed(people, "customers")),
    place("keys", "key", "API keys", ADMIN, listed(() => import("./keys.js"), "keys")),
    place("audit", "file", "Audit log", ADMIN, listed(() => import("./audit.js"), "audit")),
    place("health", "pulse", "Health", ADMIN, { All: later(() => import("./health.js"), (module) => module.HealthPage) }),
  ]],
];

/** A page whose module is loaded when it is opened. */
function later(load, pick) {
  let Shown = null;
  const begin = () => load().then((module) => (Shown ||= pick(module)), () => Promise.reject(new Problem(0, { detail: CUT_OFF })));
  return (props) => html`<${Coming} begin=${begin} known=${Shown} show=${props} />`;
}

/** The page, from its first drawing on in the same place of the tree: or a later drawing would begin it anew, and lose what was typed. */
function Coming({ begin, known, show }) {
  const [first] = useState(() => known);
  const { data, problem, reload } = useLoaded(() => begin().then((Page) => ({ Page })), []);
  const Shown = first || data?.Page;
  if (Shown) return html`<${Shown} ...${show} />`;
  return html`<h1 class="vh" tabindex="-1">KernaPay console</h1><section class="card">${problem ? html`<${Failure} problem=${problem} onRetry=${reload} />` : html`<${Loading} />`}</section>`;
}

/** The groups of places that somebody may see. */
function groupsFor(session) {
  return GROUPS.map(([title, places]) => [title, places.filter((each) => each.word && each.roles.includes(session.user.type))]).filter(([, places]) => places.length);
}

function Place({ each, route }) {
  return html`<${Link} to=${each.to} aria-current=${isAt(route.path, each.to) ? "page" : undefined}><${Icon} name=${each.icon} />${each.word}<//>`;
}

const isAt = (path, to) => path === to || (to !== "/console" && path.startsWith(`${to}/`));

const ACCOUNT = { to: "/console/me", icon: "user", word: "Your account" };

export function Rail({ who, route }) {
  return html`<div class="rail">${groupsFor(who).map(([title, places]) => html`<div key=${title}><p class="soft small">${title}</p>${places.map((each) => html`<${Place} key=${each.to} each=${each} route=${route} />`)}</div>`)}
    <div><p class="soft small">You</p><${Place} each=${ACCOUNT} route=${route} /></div></div>`;
}

/** What fits on a phone; the rest is behind `More`. */
export function Tabs({ who, route }) {
  const first = groupsFor(who)[0][1].slice(0, 2);
  return html`${first.map((each) => html`<${Place} key=${each.to} each=${each} route=${route} />`)}
    <${Place} each=${{ to: "/console/more", icon: "more", word: "More" }} route=${route} />
    <${Place} each=${ACCOUNT} route=${route} />`;
}

function MorePage({ who, route }) {
  useTitle("All pages");
  return html`<div class="head"><h1 tabindex="-1">All pages</h1></div><section class="card more"><${Rail} who=${who} route=${route} /></section>`;
}

export function Page({ who, route }) {
  const [, , name = "", id] = route.path.split("/");
  const found = GROUPS.flatMap(([, places]) => places).find((each) => each.name === name && each.roles.includes(who.user.type));
  if (found && id && found.One) return html`<${found.One} key=${id} session=${who} id=${decoded(id)} route=${route} />`;
  if (found?.All && !id) return html`<${found.All} key=${name} session=${who} route=${route} />`;
  if (name === "me") return html`<${MePage} session=${who} />`;
  if (name === "more") return html`<${MorePage} who=${who} route=${route} />`;
  return html`<h1 tabindex="-1">Nothing is here</h1><p class="soft">The console has no page with this address that you may see. <${Link} to="/console/payments">Go to the payments<//></p>`;
}

/** Whether somebody sees what payments add up to. */
export const hasOverview = (who) => groupsFor(who)[0][1][0].to === "/console";

/** Where the keys `G` and a letter lead. */
export function placeOfKey(key, who) {
  return groupsFor(who).flatMap(([, places]) => places).find((each) => (each.key || each.word[0].toLowerCase()) === key)?.to;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

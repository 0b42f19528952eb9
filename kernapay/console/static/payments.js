/** The list of payments: one search box, filters in the address, pages by cursor. */

import { html, useEffect, useState } from "./standalone.mjs";
import { Foreign, Time, money, parseMoney, decimal } from "./format.js";
import { call, query } from "./http.js";
import { Icon } from "./icons.js";
import { Failure, Loading, StatusPill, methodOf, shortened, useLoaded } from "./parts.js";
import { Link, navigate, paymentPath, useTitle } from "./route.js";

const COUNT = 50;
/** Filters that a link brings along, and that nobody types. */
const LINKED = { userId: "Payer", providerId: "Provider", customer: "Customer" };
const NAMES = ["status", "method", "serviceType", "from", "to", "minAmount", "maxAmount", "disputed", "late", ...Object.keys(LINKED)];
/** What names one payment, so that a search for it leads there. */
const NAMES_ONE = /^(order|pay|rfnd|disp)_/;

const STATUSES = [["", "Any status"], ["pending", "Confirming"], ["success", "Paid"], ["failed", "Failed"], ["refunded", "Refunded"]];
const METHODS = [["", "Any method"], ["upi", "UPI"], ["card", "Card"], ["netbanking", "Net banking"], ["wallet", "Wallet"], ["emandate", "eMandate"]];
const SAVED = [
  ["All", {}],
  ["Confirming", { status: "pending" }],
  ["Failed", { status: "failed" }],
  ["Disputed", { disputed: "true" }],
  ["Money after the end", { late: "true" }],
];

/** Go to what was typed into the search box. */
export function search(text, session) {
  const wanted = text.trim();
  if (!wanted) navigate("/console/payments");
  else if (wanted.startsWith("PAY_") || session.user.type !== "ADMIN") navigate(paymentPath(wanted));
  else navigate(`/console/payments${query({ q: wanted })}`);
}

async function load(session, route) {
  const q = route.query.get("q");
  const cursor = route.query.get("cursor");
  switch (session.user.type) {
    case "PROVIDER": {
      const payments = await call("GET", `/payments/received${query({ count: COUNT, cursor })}`);
      return { payments, next: payments.length === COUNT ? payments.at(-1).referenceId : null };
    }
    case "LAB_ASSISTANT":
      return { payments: [], next: null };
    default: {
      if (q) return { payments: (await call("GET", `/admin/payments/search${query({ q })}`)).payments, next: null, q };
      const filters = Object.fromEntries(NAMES.map((name) => [name, route.query.get(name)]));
      const page = await call("GET", `/payments${query({ ...filters, count: COUNT, cursor })}`);
      return { payments: page.payments, next: page.nextCursor };
    }
  }
}

export function PaymentsPage({ session, route }) {
  useTitle("Payments");
  const q = route.query.get("q");
  const { data, isLoading, problem, reload } = useLoaded(() => load(session, route), [route.query.toString()]);
  useEffect(() => {
    // Found by a name of its own: there is nothing to choose. What an earlier search found may still be shown.
    if (q && NAMES_ONE.test(q) && !isLoading && data?.q === q && data.payments.length === 1) {
      navigate(paymentPath(data.payments[0].referenceId), { replace: true });
    }
  }, [q, data, isLoading]);
  const mayFilter = session.user.type === "ADMIN" && !q;
  return html`
    <div class="head">
      <div>
        <h1 tabindex="-1">Payments</h1>
        <p class="soft">${q ? html`Found for “<${Foreign} text=${q} />”` : session.user.type === "LAB_ASSISTANT" ? "Look a payment up by its reference" : "Newest first"}</p>
      </div>
      <div class="right">
        ${mayFilter && html`<${Saved} route=${route} />`}
        <button type="button" class="btn" onClick=${reload}><${Icon} name="sync" />Refresh</button>
      </div>
    </div>
    ${mayFilter && html`<${Filters} route=${route} problem=${problem} />`}
    <section class="card tbl" aria-label="Payments" aria-busy=${isLoading}>
      ${problem ? html`<${Failure} problem=${problem} onRetry=${reload} />` : !data ? html`<${Loading} rows=${10} />` : html`<${Rows} data=${data} route=${route} session=${session} isFound=${Boolean(q)} />`}
    </section>`;
}

function Saved({ route }) {
  const set = query(Object.fromEntries(NAMES.map((name) => [name, route.query.get(name)])));
  return html`<nav class="seg" aria-label="Views">${SAVED.map(([word, filters]) => {
    const address = query(filters);
    return html`<${Link} key=${word} to=${`/console/payments${address}`} aria-current=${set === address ? "page" : undefined}>${word}<//>`;
  })}</nav>`;
}

function Filters({ route, problem }) {
  const value = (name) => route.query.get(name) || "";
  const [currency] = useState("INR");
  const set = (changes) => {
    const values = Object.fromEntries(NAMES.map((name) => [name, value(name)]));
    navigate(`/console/payments${query({ ...values, ...changes })}`);
  };
  const setAmount = (name) => (event) => {
    const typed = event.target.value;
    const amount = parseMoney(typed, currency);
    event.target.setCustomValidity(typed.trim() && amount === null ? "An amount such as 500 or 499.50" : "");
    if (event.target.reportValidity()) set({ [name]: amount ?? "" });
  };
  const choice = (name, label, options) => html`<label class="f"><span class="vh">${label}</span>
    <select value=${value(name)} onChange=${(event) => set({ [name]: event.target.value })}>${options.map(
      ([key, word]) => html`<option key=${key} value=${key} selected=${key === value(name)}>${word}</option>`,
    )}</select></label>`;
  const amount = (name, label) => html`<label class="f">${label}
    <input class="short" inputmode="decimal" value=${value(name) ? decimal(Number(value(name)), currency) : ""} onChange=${setAmount(name)} /></label>`;
  const isSet = NAMES.some(value);
  // On a phone they would fill the first screen.
  const isOpen = isSet || matchMedia("(min-width: 861px)").matches;
  return html`<details class="fold" open=${isOpen}><summary>Filters</summary><form class="filters" onSubmit=${(event) => event.preventDefault()} aria-label="Filters">
    ${choice("status", "Status", STATUSES)} ${choice("method", "Method", METHODS)}
    <label class="f">Service <input value=${value("serviceType")} onChange=${(event) => set({ serviceType: event.target.value.trim() })} /></label>
    <label class="f">From <input type="date" value=${value("from").slice(0, 10)} onChange=${(event) => set({ from: event.target.value })} /></label>
    <label class="f">before <input type="date" value=${value("to").slice(0, 10)} onChange=${(event) => set({ to: event.target.value })} /></label>
    ${amount("minAmount", "₹ at least")} ${amount("maxAmount", "at most")}
    ${Object.entries(LINKED).filter(([name]) => value(name)).map(
      ([name, label]) => html`<button type="button" class="btn small" key=${name} onClick=${() => set({ [name]: "" })}>
        ${label} <code>${shortened(value(name), 6, 4)}</code><${Icon} name="x" /><span class="vh">: take this filter away</span></button>`,
    )}
    ${isSet && html`<${Link} to="/console/payments">Clear<//>`}
    ${problem?.errors?.map((each) => html`<span class="bad small" key=${each.field}>${each.field}: ${each.message}</span>`)}
  </form></details>`;
}

function Rows({ data, route, session, isFound }) {
  const { payments, next } = data;
  const isFirst = !route.query.get("cursor");
  if (!payments.length) return html`<${Nothing} route=${route} session=${session} isFound=${isFound} />`;
  const older = new URLSearchParams(route.query);
  older.set("cursor", next || "");
  const newest = new URLSearchParams(route.query);
  newest.delete("cursor");
  return html`<table class="pays">
      <thead><tr><th>Created</th><th>Status</th><th class="r">Amount</th><th class="wide">For</th><th>Method</th><th>Reference</th></tr></thead>
      <tbody>${payments.map((payment) => html`<${Row} key=${payment.referenceId} payment=${payment} />`)}</tbody>
    </table>
    <footer class="pg">
      <span class="soft">${payments.length} shown</span>
      <span class="soft keys"><kbd>J</kbd><kbd>K</kbd> move, <kbd>Enter</kbd> open, <kbd>?</kbd> all keys</span>
      <span class="right">
        ${!isFirst && html`<${Link} class="btn small" to=${`/console/payments?${newest}`}>Newest<//>`}
        ${next && html`<${Link} class="btn small" to=${`/console/payments?${older}`}>Older<//>`}
      </span>
    </footer>`;
}

function Row({ payment }) {
  const open = (event) => {
    if (!event.target.closest("a, button") && !getSelection().toString()) navigate(paymentPath(payment.referenceId));
  };
  return html`<tr onClick=${open}>
    <td class="soft num"><${Time} at=${payment.createdAt} /></td>
    <td><${StatusPill} payment=${payment} /></td>
    <td class="r strong">${money(payment.amount, payment.currency)}</td>
    <td class="cut wide" title=${payment.description || payment.serviceType}><${Foreign} text=${payment.description || payment.serviceType} /></td>
    <td class="soft">${methodOf(payment)}</td>
    <td><${Link} class="open" data-row to=${paymentPath(payment.referenceId)} title=${payment.referenceId}><code>${shortened(payment.referenceId)}</code><//></td>
  </tr>`;
}

function Nothing({ route, session, isFound }) {
  if (session.user.type === "LAB_ASSISTANT") {
    return html`<p class="nothing">Type or paste a reference, which begins with <code>PAY_</code>, into the search box above.</p>`;
  }
  if (isFound) {
    return html`<p class="nothing">Nothing has this name. A reference, an id of the gateway, a receipt, an e-mail address, a UTR or a whole value of the notes finds a payment. <${Link} to="/console/payments">Show all payments<//></p>`;
  }
  if (NAMES.some((name) => route.query.get(name)) || route.query.get("cursor")) {
    return html`<p class="nothing">No payment fits these filters. <${Link} to="/console/payments">Clear<//></p>`;
  }
  return html`<p class="nothing">There is no payment yet. <code>kernapay demo</code> makes one, and <code>POST /v1/api/payments/create</code> the next.</p>`;
}

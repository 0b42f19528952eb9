/* What each table of the page shows, and what its buttons do. */

import { button, element, pill } from "./table.js";

const time = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
const wide = (text) => element("td", { className: "text", textContent: text ?? "–" });
const actions = (...buttons) => element("td", { className: "actions" }, ...buttons.filter(Boolean));

/* The vendor's decimals count. For some currencies the browser knows others. */
export function money(amount, currency, decimals) {
  const digits = decimals[currency] ?? 2;
  const format = new Intl.NumberFormat("en-IN", {
    style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
  return format.format(amount / 10 ** digits);
}

/* As much as a shell needs to send the same call. The secret is not known here. All that a client sent is quoted, for
   nobody looks closely at a command before pasting it. */
export function toCurl(call, body) {
  const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const url = `${location.origin}${call.path}${call.query && `?${call.query}`}`;
  const key = /^\w+$/.test(call.key_id) ? call.key_id : "KEY_ID";
  const parts = ["curl", "-X", quote(call.method), "-u", `"${key}:$RAZORPAY_KEY_SECRET"`, quote(url)];
  if (call.content_type) parts.push("-H", quote(`Content-Type: ${call.content_type}`));
  if (call.idempotency_key) parts.push("-H", quote(`X-Refund-Idempotency: ${call.idempotency_key}`));
  if (body) parts.push("--data-binary", quote(body));
  return parts.join(" ");
}

export function sections(page) {
  const { run, show } = page;
  const cash = (amount, currency) => money(amount, currency, page.state.decimals);
  const amount = (row) => cash(row.amount, row.currency);
  const id = (row, label = row.id, className = "id") =>
    element("td", { className }, button(label, (current) => show(JSON.stringify(current, null, 2))));

  return {
    orders: [["Order", "Amount", "Status", "Attempts", "Receipt", "At", ""], (o) => {
      const pay = (outcome, method = "upi") => (row) => run("/pay", { order_id: row.id, outcome, method });
      return [
        id(o), amount(o), pill(o.status), String(o.attempts), o.receipt, time(o.created_at),
        actions(
          button("Only this", (row) => page.search(row.id)),
          ...(o.status === "paid" ? [] : [
            button("Open Checkout", page.checkout),
            button("Pay", pay("success"), "good"),
            button("Authorise only", pay("authorized", "card")),
            button("Fail", pay("failure"), "bad"),
          ]),
        ),
      ];
    }],
    payments: [["Payment", "Amount", "Status", "Method", "Refunded", "At", ""], (p) => [
      id(p), amount(p), pill(p.status), p.method,
      p.amount_refunded ? cash(p.amount_refunded, p.currency) : "–", time(p.created_at),
      actions(
        p.status === "authorized" && button("Capture", (row) => run(`/payments/${row.id}/capture`, {}), "good"),
        p.status === "captured" && button("Refund", page.refund),
        p.captured && button("Dispute", (row) => run("/disputes", { payment_id: row.id }), "bad"),
        p.status === "failed" && button("Authorise late", (row) => run(`/payments/${row.id}/authorize`, {})),
      ),
    ]],
    refunds: [["Refund", "Amount", "Status", "Speed", "At"], (r) => [
      id(r), amount(r), pill(r.status), r.speed_processed, time(r.created_at),
    ]],
    links: [["Payment link", "Amount", "Paid", "Status", "Reference", "At", ""], (l) => [
      id(l), amount(l), cash(l.amount_paid, l.currency), pill(l.status), l.reference_id || "–", time(l.created_at),
      actions(
        button("Open page", (row) => window.open(`/l/${row.id}`, "_blank", "noopener")),
        ["created", "partially_paid"].includes(l.status)
          && button("Pay", (row) => run("/pay", { payment_link_id: row.id, method: "upi" }), "good"),
      ),
    ]],
    disputes: [["Dispute", "Amount", "Phase", "Status", ""], (d) => {
      const resolve = (status) => (row) => run(`/disputes/${row.id}/resolve`, { status });
      const move = (event) => (row) => run(`/disputes/${row.id}/move`, { event });
      const isOpen = d.status === "open" || d.status === "under_review";
      return [id(d), amount(d), d.phase, pill(d.status),
        actions(d.status === "open" && button("Review", move("under_review")),
          d.status === "under_review" && button("Ask for more", move("action_required")),
          isOpen && button("Won", resolve("won"), "good"), isOpen && button("Lost", resolve("lost"), "bad"))];
    }],
    settlements: [["Settlement", "Amount", "Status", "UTR", "At", ""], (s) => {
      const process = (status) => (row) => run(`/settlements/${row.id}/process`, { status });
      return [id(s), amount(s), pill(s.status), s.utr ?? "–", time(s.created_at),
        actions(...(s.status === "created"
          ? [button("Process", process("processed"), "good"), button("Fail", process("failed"), "bad")] : []))];
    }],
    downtimes: [["Downtime", "Method", "Severity", "Status", ""], (d) => [
      id(d), `${d.method} ${Object.values(d.instrument).join(" ")}`, d.severity, pill(d.status),
      actions(d.status !== "scheduled" && button("Resolve", (row) => run(`/downtimes/${row.id}/resolve`, {}))),
    ]],
    requests: [["Call", "Answer", "Took", "At", ""], (c) => [
      element("td", { className: "id text" }, button(`${c.method} ${c.path}`, page.showCall)),
      pill(c.status === null ? "failed" : String(c.status)), `${c.milliseconds} ms`, time(c.at),
      actions(button("Copy as curl", page.copyCall)),
    ]],
    deliveries: [["Event", "To", "Status", "Tries", "Last response", "At", ""], (d) => {
      const last = d.attempts.at(-1);
      return [
        id(d, d.event), wide(d.url), pill(d.status), String(d.tries),
        wide(last ? `${last.error || last.status} · ${last.milliseconds} ms` : "–"), time(d.created_at),
        actions(button("Resend", (row) => run(`/deliveries/${row.id}/resend`, {}))),
      ];
    }],
    webhooks: [["Address", "State", ""], (w) => [
      id(w, w.url, "id text"), pill(w.active ? "active" : "disabled"),
      actions(
        button(w.active ? "Disable" : "Enable", (row) => run(`/webhooks/${row.id}`, { active: !row.active }, "PATCH")),
        button("Remove", (row) => run(`/webhooks/${row.id}`, null, "DELETE"), "bad"),
      ),
    ]],
    faults: [["Fault", "Times left", "Route or event", "Hits", ""], (f) => [
      id(f, f.name), f.times == null ? "∞" : String(f.times), f.route || "anywhere", String(f.hits),
      actions(button("Switch off", (row) => run(`/faults/${row.id}`, null, "DELETE"), "bad")),
    ]],
    messages: [["To", "Subject", "Text", "At"], (m) => [id(m, m.to), wide(m.subject), wide(m.text), time(m.at)]],
  };
}

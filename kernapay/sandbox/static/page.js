"use strict";

const REFRESH_MILLISECONDS = 1000;
const $ = (selector, root = document) => root.querySelector(selector);
let state = null;
let drawnRows = {};

async function call(path, body, method) {
  const options = { method: method || (body ? "POST" : "GET") };
  if (body) options.body = JSON.stringify(body);
  const response = await fetch(`/_sandbox${path}`, options);
  const data = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(data.error.description);
  return data;
}

async function run(path, body, method) {
  try {
    const data = await call(path, body, method);
    if (data?.error) notify(data.error.description);
  } catch (error) {
    notify(error.message);
  }
  await refresh();
}

function notify(text) {
  const notice = $("#notice");
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => (notice.hidden = true), 5000);
}

/* ---- drawing ---- */

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

const pill = (status) => element("span", { className: `pill ${status}`, textContent: status });
const time = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
const button = (text, onclick, className = "") =>
  element("button", { type: "button", textContent: text, onclick, className });

function money(row) {
  const format = new Intl.NumberFormat("en-IN", { style: "currency", currency: row.currency });
  return format.format(row.amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

function idCell(row, label = row.id) {
  const open = () => {
    $("#details pre").textContent = JSON.stringify(row, null, 2);
    $("#details").showModal();
  };
  return element("td", { className: "id" }, button(label, open));
}

function draw(name, rows, headings, cells) {
  const section = document.getElementById(name);
  const text = JSON.stringify(rows);
  if (drawnRows[name] === text) return;
  drawnRows[name] = text;
  const kind = { deliveries: "delivery", webhooks: "endpoint" }[name] || name.slice(0, -1);
  const total = state.counts[kind] ?? rows.length;
  $("h2 small", section).textContent = total > rows.length ? `${rows.length} newest of ${total}` : total || "";
  if (!rows.length) {
    return $(".table", section).replaceChildren(element("p", { className: "empty", textContent: "Nothing yet." }));
  }
  const head = element("tr", {}, ...headings.map((heading) => element("th", { textContent: heading })));
  const body = rows.map((row) =>
    element("tr", {}, ...cells(row).map((cell) =>
      cell instanceof HTMLTableCellElement ? cell : element("td", {}, cell ?? "–"))));
  $(".table", section).replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

const actions = (...buttons) => element("td", { className: "actions" }, ...buttons.filter(Boolean));
const wide = (text) => element("td", { className: "text", textContent: text });

function drawAll() {
  draw("orders", state.orders, ["Order", "Amount", "Status", "Attempts", "Receipt", "At", ""], (o) => {
    const pay = (outcome, method = "upi") => run("/pay", { order_id: o.id, outcome, method });
    return [
      idCell(o), money(o), pill(o.status), String(o.attempts), o.receipt, time(o.created_at),
      actions(...(o.status === "paid" ? [] : [
        button("Open Checkout", () => checkout(o)),
        button("Pay", () => pay("success"), "good"),
        button("Authorise only", () => pay("authorized", "card")),
        button("Fail", () => pay("failure"), "bad"),
      ])),
    ];
  });
  draw("payments", state.payments, ["Payment", "Amount", "Status", "Method", "Refunded", "At", ""], (p) => [
    idCell(p), money(p), pill(p.status), p.method, p.amount_refunded ? money({ ...p, amount: p.amount_refunded }) : "–",
    time(p.created_at),
    actions(
      p.status === "authorized" && button("Capture", () => run(`/payments/${p.id}/capture`, {}), "good"),
      p.status === "captured" && button("Refund", () => refund(p)),
      p.captured && button("Dispute", () => run("/disputes", { payment_id: p.id }), "bad"),
      p.status === "failed" && button("Authorise late", () => run(`/payments/${p.id}/authorize`, {})),
    ),
  ]);
  draw("refunds", state.refunds, ["Refund", "Amount", "Status", "Speed", "At"], (r) => [
    idCell(r), money(r), pill(r.status), r.speed_processed, time(r.created_at),
  ]);
  draw("disputes", state.disputes, ["Dispute", "Amount", "Phase", "Status", ""], (d) => {
    const resolve = (status) => run(`/disputes/${d.id}/resolve`, { status });
    const move = (event) => run(`/disputes/${d.id}/move`, { event });
    const isOpen = d.status === "open" || d.status === "under_review";
    return [idCell(d), money(d), d.phase, pill(d.status),
      actions(d.status === "open" && button("Review", () => move("under_review")),
        d.status === "under_review" && button("Ask for more", () => move("action_required")),
        isOpen && button("Won", () => resolve("won"), "good"), isOpen && button("Lost", () => resolve("lost"), "bad"))];
  });
  draw("settlements", state.settlements, ["Settlement", "Amount", "Status", "UTR", "At", ""], (s) => {
    const process = (status) => run(`/settlements/${s.id}/process`, { status });
    return [idCell(s), money(s), pill(s.status), s.utr ?? "–", time(s.created_at),
      actions(...(s.status === "created" ? [
        button("Process", () => process("processed"), "good"), button("Fail", () => process("failed"), "bad"),
      ] : []))];
  });
  draw("deliveries", state.deliveries, ["Event", "To", "Status", "Tries", "Last response", "At", ""], (d) => {
    const last = d.attempts.at(-1);
    return [
      idCell(d, d.event), wide(d.url), pill(d.status), String(d.tries),
      wide(last ? `${last.error || last.status} · ${last.milliseconds} ms` : "–"), time(d.created_at),
      actions(button("Resend", () => run(`/deliveries/${d.id}/resend`, {}))),
    ];
  });
  draw("webhooks", state.webhooks, ["Address", "State", ""], (w) => [
    Object.assign(idCell(w, w.url), { className: "id text" }), pill(w.active ? "active" : "disabled"),
    actions(
      button(w.active ? "Disable" : "Enable", () => run(`/webhooks/${w.id}`, { active: !w.active }, "PATCH")),
      button("Remove", () => run(`/webhooks/${w.id}`, null, "DELETE"), "bad"),
    ),
  ]);
  draw("faults", state.faults, ["Fault", "Times left", "Route or event", "Hits", ""], (f) => [
    idCell(f, f.name), f.times == null ? "∞" : String(f.times), f.route || "anywhere", String(f.hits),
    actions(button("Switch off", () => run(`/faults/${f.id}`, null, "DELETE"), "bad")),
  ]);
  draw("messages", state.messages, ["To", "Subject", "Text", "At"], (m) => [
    idCell(m, m.to), wide(m.subject), wide(m.text), time(m.at),
  ]);
  $("#key").textContent = `key ${state.key_id} · ${location.origin}/v1`;
  const clock = $("#clock");
  clock.textContent = new Date(state.now * 1000).toLocaleString();
  clock.className = state.frozen ? "frozen" : "";
  $("#freeze").textContent = state.frozen ? "Unfreeze" : "Freeze";
}

/* ---- actions ---- */

function checkout(order) {
  new Razorpay({
    key: order.key_id,
    order_id: order.id,
    amount: order.amount_due,
    currency: order.currency,
    name: "Sandbox shop",
    description: order.receipt || "A test purchase",
    prefill: { name: "Asha Rao", email: "asha@example.com", contact: "+919000000001" },
    handler: (response) => notify(`Paid: ${response.razorpay_payment_id}`),
  }).open();
}

function refund(payment) {
  const remaining = payment.amount - payment.amount_refunded;
  const text = prompt(`Amount to refund, in minor units (at most ${remaining}):`, remaining);
  if (text !== null) run(`/payments/${payment.id}/refund`, { amount: Number(text) });
}

function formValues(form) {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
}

function onSubmit(selector, onValues) {
  $(selector).addEventListener("submit", (event) => {
    event.preventDefault();
    onValues(formValues(event.target));
  });
}

onSubmit("#new-order", ({ capture, ...order }) =>
  run("/orders", { ...order, amount: Number(order.amount), ...(capture && { payment: { capture } }) }));
onSubmit("#new-adjustment", ({ credit, debit, ...row }) =>
  run("/adjustments", { ...row, credit: Number(credit ?? 0), debit: Number(debit ?? 0) }));
$("#settle").addEventListener("click", () => run("/settle", {}));
onSubmit("#new-webhook", (webhook) => run("/webhooks", webhook));
onSubmit("#new-fault", ({ name, route, times, probability, seed, ...options }) => {
  for (const input of document.querySelectorAll("#options input[type=number]")) {
    options[input.name] = Number(input.value);
  }
  const number = (text) => (text ? Number(text) : null);
  run("/faults", { name, route, times: number(times), probability: number(probability) ?? 1, seed: number(seed), options });
});
for (const clockButton of document.querySelectorAll("[data-clock]")) {
  clockButton.addEventListener("click", () => run("/clock", JSON.parse(clockButton.dataset.clock)));
}
$("#freeze").addEventListener("click", () => run("/clock", { frozen: !state.frozen }));
$("#reset").addEventListener("click", () => {
  if (confirm("Remove all orders, payments, deliveries, faults and messages?")) run("/reset", {});
});

async function refresh() {
  try {
    state = await call("/overview");
    drawAll();
  } catch (error) {
    notify(`The sandbox does not answer: ${error.message}`);
  }
}

async function start() {
  const catalogue = await call("/faults/catalogue");
  const select = $("#new-fault [name=name]");
  select.append(...catalogue.map(({ name }) => element("option", { textContent: name })));
  const describe = () => {
    const { says, options } = catalogue.find(({ name }) => name === select.value);
    $("#says").textContent = says;
    $("#options").replaceChildren(...Object.entries(options).map(([name, value]) => {
      const type = typeof value === "number" ? "number" : "text";
      return element("label", {}, `${name} `, element("input", { name, type, value, step: "any" }));
    }));
  };
  select.addEventListener("change", describe);
  describe();
  await refresh();
  setInterval(() => document.hidden || refresh(), REFRESH_MILLISECONDS);
}

start();

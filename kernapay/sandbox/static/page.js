"use strict";

const EVERY = 1000;
const $ = (selector, root = document) => root.querySelector(selector);
let state = null;
let drawn = {};

async function call(path, body, method) {
  const options = { method: method || (body ? "POST" : "GET") };
  if (body) options.body = JSON.stringify(body);
  const answer = await fetch(`/_sandbox${path}`, options);
  const data = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(data.error.description);
  return data;
}

async function run(path, body, method) {
  try {
    const answer = await call(path, body, method);
    if (answer?.error) notify(answer.error.description);
  } catch (problem) {
    notify(problem.message);
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
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const pill = (status) => element("span", { className: `pill ${status}`, textContent: status });
const when = (seconds) => new Date(seconds * 1000).toLocaleTimeString();
const button = (text, onclick, className = "") =>
  element("button", { type: "button", textContent: text, onclick, className });

function money(row) {
  const format = new Intl.NumberFormat("en-IN", { style: "currency", currency: row.currency });
  return format.format(row.amount / 10 ** format.resolvedOptions().maximumFractionDigits);
}

function id(row, shown = row.id) {
  const open = () => {
    $("#details pre").textContent = JSON.stringify(row, null, 2);
    $("#details").showModal();
  };
  return element("td", { className: "id" }, button(shown, open));
}

function draw(name, rows, heads, cells) {
  const section = document.getElementById(name);
  const text = JSON.stringify(rows);
  if (drawn[name] === text) return;
  drawn[name] = text;
  const kind = { deliveries: "delivery", webhooks: "endpoint" }[name] || name.slice(0, -1);
  const total = state.counts[kind] ?? rows.length;
  $("h2 small", section).textContent = total > rows.length ? `${rows.length} newest of ${total}` : total || "";
  if (!rows.length) {
    return $(".table", section).replaceChildren(element("p", { className: "empty", textContent: "Nothing yet." }));
  }
  const head = element("tr", {}, ...heads.map((one) => element("th", { textContent: one })));
  const body = rows.map((row) =>
    element("tr", {}, ...cells(row).map((cell) =>
      cell instanceof HTMLTableCellElement ? cell : element("td", {}, cell ?? "–"))));
  $(".table", section).replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

const actions = (...buttons) => element("td", { className: "actions" }, ...buttons.filter(Boolean));
const wide = (text) => element("td", { className: "text", textContent: text });

function drawAll() {
  draw("orders", state.orders, ["Order", "Amount", "Status", "Tries", "Receipt", "At", ""], (o) => {
    const play = (outcome, method = "upi") => run("/pay", { order_id: o.id, outcome, method });
    return [
      id(o), money(o), pill(o.status), String(o.attempts), o.receipt, when(o.created_at),
      actions(...(o.status === "paid" ? [] : [
        button("Open Checkout", () => checkout(o)),
        button("Pay", () => play("success"), "good"),
        button("Authorise only", () => play("authorized", "card")),
        button("Fail", () => play("failure"), "bad"),
      ])),
    ];
  });
  draw("payments", state.payments, ["Payment", "Amount", "Status", "Method", "Refunded", "At", ""], (p) => [
    id(p), money(p), pill(p.status), p.method, p.amount_refunded ? money({ ...p, amount: p.amount_refunded }) : "–",
    when(p.created_at),
    actions(
      p.status === "authorized" && button("Capture", () => run(`/payments/${p.id}/capture`, {}), "good"),
      p.status === "captured" && button("Refund", () => refund(p)),
      p.captured && button("Dispute", () => run("/disputes", { payment_id: p.id }), "bad"),
      p.status === "failed" && button("Authorise late", () => run(`/payments/${p.id}/authorize`, {})),
    ),
  ]);
  draw("refunds", state.refunds, ["Refund", "Amount", "Status", "Speed", "At"], (r) => [
    id(r), money(r), pill(r.status), r.speed_processed, when(r.created_at),
  ]);
  draw("disputes", state.disputes, ["Dispute", "Amount", "Status", ""], (d) => {
    const end = (status) => run(`/disputes/${d.id}/resolve`, { status });
    const open = d.status === "open" || d.status === "under_review";
    return [id(d), money(d), pill(d.status),
      actions(open && button("Won", () => end("won"), "good"), open && button("Lost", () => end("lost"), "bad"))];
  });
  draw("deliveries", state.deliveries, ["Event", "To", "Status", "Tries", "Last answer", "At", ""], (d) => {
    const last = d.attempts.at(-1);
    return [
      id(d, d.event), wide(d.url), pill(d.status), String(d.tries),
      wide(last ? `${last.error || last.status} · ${last.milliseconds} ms` : "–"), when(d.created_at),
      actions(button("Resend", () => run(`/deliveries/${d.id}/resend`, {}))),
    ];
  });
  draw("webhooks", state.webhooks, ["Address", "State", ""], (w) => [
    Object.assign(id(w, w.url), { className: "id text" }), pill(w.active ? "active" : "disabled"),
    actions(
      button(w.active ? "Disable" : "Enable", () => run(`/webhooks/${w.id}`, { active: !w.active }, "PATCH")),
      button("Remove", () => run(`/webhooks/${w.id}`, null, "DELETE"), "bad"),
    ),
  ]);
  draw("faults", state.faults, ["Fault", "Left", "Where", "Hits", ""], (f) => [
    id(f, f.name), f.times == null ? "∞" : String(f.times), f.route || "anywhere", String(f.hits),
    actions(button("Switch off", () => run(`/faults/${f.id}`, null, "DELETE"), "bad")),
  ]);
  draw("messages", state.messages, ["To", "Subject", "Text", "At"], (m) => [
    id(m, m.to), wide(m.subject), wide(m.text), when(m.at),
  ]);
  $("#key").textContent = `key ${state.key_id} · ${location.origin}/v1`;
  const clock = $("#clock");
  clock.textContent = new Date(state.now * 1000).toLocaleString();
  clock.className = state.frozen ? "frozen" : "";
  $("#freeze").textContent = state.frozen ? "Let run" : "Freeze";
}

/* ---- acting ---- */

function checkout(order) {
  new Razorpay({
    key: order.key_id,
    order_id: order.id,
    amount: order.amount_due,
    currency: order.currency,
    name: "Sandbox shop",
    description: order.receipt || "A test purchase",
    prefill: { name: "Asha Rao", email: "asha@example.com", contact: "+919000000001" },
    handler: (paid) => notify(`Paid: ${paid.razorpay_payment_id}`),
  }).open();
}

function refund(payment) {
  const left = payment.amount - payment.amount_refunded;
  const text = prompt(`Refund how much of ${left} (minor units)?`, left);
  if (text !== null) run(`/payments/${payment.id}/refund`, { amount: Number(text) });
}

function given(form) {
  return Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
}

function onSubmit(selector, act) {
  $(selector).addEventListener("submit", (event) => {
    event.preventDefault();
    act(given(event.target));
  });
}

onSubmit("#new-order", ({ capture, ...order }) =>
  run("/orders", { ...order, amount: Number(order.amount), ...(capture && { payment: { capture } }) }));
onSubmit("#new-webhook", (webhook) => run("/webhooks", webhook));
onSubmit("#new-fault", ({ name, route, times, probability, seed, ...options }) => {
  for (const one of document.querySelectorAll("#options input[type=number]")) {
    options[one.name] = Number(one.value);
  }
  const number = (text) => (text ? Number(text) : null);
  run("/faults", { name, route, times: number(times), probability: number(probability) ?? 1, seed: number(seed), options });
});
for (const one of document.querySelectorAll("[data-clock]")) {
  one.addEventListener("click", () => run("/clock", JSON.parse(one.dataset.clock)));
}
$("#freeze").addEventListener("click", () => run("/clock", { frozen: !state.frozen }));
$("#reset").addEventListener("click", () => {
  if (confirm("Drop all orders, payments, deliveries, faults and messages?")) run("/reset", {});
});

async function refresh() {
  try {
    state = await call("/overview");
    drawAll();
  } catch (problem) {
    notify(`The sandbox does not answer: ${problem.message}`);
  }
}

async function start() {
  const catalogue = await call("/faults/catalogue");
  const select = $("#new-fault [name=name]");
  select.append(...catalogue.map(({ name }) => element("option", { textContent: name })));
  const explain = () => {
    const { says, options } = catalogue.find(({ name }) => name === select.value);
    $("#says").textContent = says;
    $("#options").replaceChildren(...Object.entries(options).map(([name, value]) => {
      const type = typeof value === "number" ? "number" : "text";
      return element("label", {}, `${name} `, element("input", { name, type, value, step: "any" }));
    }));
  };
  select.addEventListener("change", explain);
  explain();
  await refresh();
  setInterval(() => document.hidden || refresh(), EVERY);
}

start();

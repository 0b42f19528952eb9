import { element, LiveTable } from "./table.js";
import { sections, toCurl } from "./sections.js";

const REFRESH_MILLISECONDS = 1000;
const $ = (selector, root = document) => root.querySelector(selector);
const page = { state: null, run, show, search, checkout, refund, showCall, copyCall };
const tables = {};
const skips = {};

async function call(path, body, method) {
  const options = { method: method || (body ? "POST" : "GET") };
  if (body) options.body = JSON.stringify(body);
  const response = await fetch(`/_sandbox${path}`, options);
  const data = response.status === 204 ? null : await response.json();
  if (!response.ok) throw new Error(data.error.description);
  return data;
}

async function run(path, body, method) {
  let data = null;
  try {
    data = await call(path, body, method);
    if (data?.error) notify(data.error.description);
  } catch (error) {
    notify(error.message);
  }
  await refresh();
  return data;
}

function notify(text) {
  const notice = $("#notice");
  notice.textContent = text;
  notice.hidden = false;
  clearTimeout(notify.timer);
  notify.timer = setTimeout(() => (notice.hidden = true), 5000);
}

function show(text) {
  $("#details pre").textContent = text;
  $("#details").showModal();
}

/* ---- drawing ---- */

function drawTotals(name, section) {
  const { state } = page;
  const shown = state[name].length;
  const total = state.totals[name] ?? shown;
  const skip = skips[name] || 0;
  const isPart = total > shown;
  $("h2 small", section).textContent = isPart ? `${skip + 1}–${skip + shown} of ${total}` : total || "";
  const pager = $(".pager", section);
  if (!pager) return;
  pager.hidden = !isPart;
  const [newer, older] = pager.children;
  newer.disabled = skip === 0;
  older.disabled = skip + shown >= total;
}

function draw() {
  const { state } = page;
  for (const [name, table] of Object.entries(tables)) {
    table.draw(state[name]);
    drawTotals(name, document.getElementById(name));
  }
  $("#key").textContent = `key ${state.key_id} · ${location.origin}/v1`;
  const clock = $("#clock");
  clock.textContent = new Date(state.now * 1000).toLocaleString();
  clock.className = state.frozen ? "frozen" : "";
  $("#freeze").textContent = state.frozen ? "Unfreeze" : "Freeze";
}

function addPager(section, name) {
  const turn = (pages) => () => {
    skips[name] = Math.max(0, (skips[name] || 0) + pages * page.state.page_size);
    refresh();
  };
  const pager = element("p", { className: "pager", hidden: true },
    element("button", { type: "button", textContent: "Newer", onclick: turn(-1) }),
    element("button", { type: "button", textContent: "Older", onclick: turn(1) }));
  section.append(pager);
}

/* ---- actions ---- */

function search(words) {
  $("#search input").value = words;
  for (const name of Object.keys(skips)) delete skips[name];
  return refresh();
}

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

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

async function showCall({ id }) {
  try {
    const full = await call(`/requests/${id}`);
    const sent = `${full.method} ${full.path}${full.query && `?${full.query}`}\n\n${pretty(full.request_body)}`;
    show(`${sent}\n\n${full.status ?? "no answer"}\n\n${pretty(full.response_body)}\n\n${toCurl(full, full.request_body)}`);
  } catch (error) {
    notify(error.message);
  }
}

async function copyCall({ id }) {
  let command = "";
  try {
    const full = await call(`/requests/${id}`);
    command = toCurl(full, full.request_body);
    await navigator.clipboard.writeText(command);
    notify("Copied. Set RAZORPAY_KEY_SECRET in your shell first.");
  } catch (error) {
    /* Without HTTPS, browsers give no clipboard to pages of other names than localhost. */
    if (command) show(command);
    else notify(error.message);
  }
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

onSubmit("#search", ({ q }) => search(q || ""));
$("#search input").addEventListener("input", (event) => search(event.target.value));
onSubmit("#new-order", ({ capture, ...order }) =>
  run("/orders", { ...order, amount: Number(order.amount), ...(capture && { payment: { capture } }) }));
onSubmit("#new-adjustment", ({ credit, debit, ...row }) =>
  run("/adjustments", { ...row, credit: Number(credit ?? 0), debit: Number(debit ?? 0) }));
$("#settle").addEventListener("click", () => run("/settle", {}));
onSubmit("#new-webhook", (webhook) => run("/webhooks", webhook));
onSubmit("#new-downtime", ({ fails_payments, ...downtime }) =>
  run("/downtimes", { ...downtime, fails_payments: fails_payments === "on" }));
onSubmit("#new-fault", ({ name, route, times, probability, seed, ...options }) => {
  for (const input of document.querySelectorAll("#options input[type=number]")) {
    options[input.name] = Number(input.value);
  }
  const number = (text) => (text ? Number(text) : null);
  run("/faults", { name, route, times: number(times), probability: number(probability) ?? 1, seed: number(seed), options });
});
onSubmit("#play", async ({ name }) => {
  const played = await run(`/scenarios/${name}`, {});
  const order = played?.ids.find((id) => id.startsWith("order_"));
  if (order && name !== "settlement_day") search(order);
});
for (const clockButton of document.querySelectorAll("[data-clock]")) {
  clockButton.addEventListener("click", () => run("/clock", JSON.parse(clockButton.dataset.clock)));
}
$("#freeze").addEventListener("click", () => run("/clock", { frozen: !page.state.frozen }));
$("#reset").addEventListener("click", () => {
  if (confirm("Remove all orders, payments, deliveries, faults and messages?")) run("/reset", {});
});

async function refresh() {
  const query = new URLSearchParams({ q: $("#search input").value });
  for (const [name, skip] of Object.entries(skips)) query.set(`${name}_skip`, skip);
  const text = query.toString();
  refresh.latest = text;
  try {
    const state = await call(`/overview?${text}`);
    /* An older answer must not replace that of a newer search. */
    if (refresh.latest !== text) return;
    page.state = state;
    draw();
  } catch (error) {
    notify(`The sandbox does not answer: ${error.message}`);
  }
}

/* A select with a sentence about what is chosen. */
async function describe(select, says, path, onChoice = () => {}) {
  const choices = await call(path);
  select.append(...choices.map(({ name }) => element("option", { textContent: name })));
  const tell = () => {
    const choice = choices.find(({ name }) => name === select.value);
    says.textContent = choice.says;
    onChoice(choice);
  };
  select.addEventListener("change", tell);
  tell();
}

function showOptions({ options }) {
  $("#options").replaceChildren(...Object.entries(options).map(([name, value]) => {
    const type = typeof value === "number" ? "number" : "text";
    return element("label", {}, `${name} `, element("input", { name, type, value, step: "any" }));
  }));
}

async function start() {
  for (const [name, [headings, cells]] of Object.entries(sections(page))) {
    const section = document.getElementById(name);
    tables[name] = new LiveTable(section, headings, cells);
    if (!["webhooks", "faults", "downtimes"].includes(name)) addPager(section, name);
  }
  await describe($("#new-fault [name=name]"), $("#says"), "/faults/catalogue", showOptions);
  await describe($("#play [name=name]"), $("#scenario"), "/scenarios");
  await refresh();
  setInterval(() => document.hidden || refresh(), REFRESH_MILLISECONDS);
}

start();

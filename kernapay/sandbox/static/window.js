import { fillCards, fillList } from "./instruments.js";

const stage = document.getElementById("stage");
let page = { origin: "*", options: null };
let session = null;
let entered = {};
let paying = null;
let method = "card";

function tell(message) {
  parent.postMessage(message, page.origin);
}

function show(name) {
  const pane = document.getElementById(name).content.cloneNode(true);
  stage.replaceChildren(pane);
  stage.scrollTop = 0;
  focusFirst();
  return stage;
}

/* Typing can start at once: at the first empty field, or at what comes next. */
function focusFirst() {
  const inputs = [...stage.querySelectorAll("input:not([readonly])")];
  const empty = inputs.find((one) => !one.value && one.offsetParent !== null);
  (empty || stage.querySelector(".primary") || document.getElementById("dialog")).focus();
}

function act(handlers) {
  for (const button of stage.querySelectorAll("[data-act]")) {
    button.addEventListener("click", handlers[button.dataset.act]);
  }
}

async function call(path, body) {
  const answer = await fetch(path, body && { method: "POST", body: JSON.stringify(body) });
  const data = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(data.error.description), { error: data.error });
  return data;
}

/* ---- what to pay ---- */

async function open(options) {
  page.options = options;
  const colour = options.theme?.color;
  if (colour && CSS.supports("color", colour)) {
    document.documentElement.style.setProperty("--accent", colour);
  }
  const query = new URLSearchParams({ key_id: options.key });
  for (const name of ["order_id", "amount", "currency"]) {
    if (options[name] != null) query.set(name, options[name]);
  }
  document.getElementById("merchant").textContent = options.name || "Test merchant";
  document.getElementById("description").textContent = options.description || "";
  const logo = document.getElementById("logo");
  logo.textContent = (options.name || "T").trim().charAt(0).toUpperCase();
  if (options.image) {
    const image = new Image();
    image.alt = "";
    image.onload = () => logo.replaceChildren(image);
    image.src = options.image;
  }
  const prefill = options.prefill || {};
  entered = { contact: prefill.contact || "", email: prefill.email || "", name: prefill.name || "" };
  try {
    session = await call(`/checkout/session?${query}`);
  } catch (problem) {
    showFailure(problem.error || { description: problem.message }, false);
    return;
  }
  document.getElementById("amount").textContent = session.display;
  document.getElementById("order").textContent = session.order_id || "none";
  method = offered().includes(prefill.method) ? prefill.method : offered()[0];
  choose();
}

function offered() {
  const hidden = (page.options.config?.display?.hide || []).map((one) => one.method);
  const off = (one) => [false, 0, "0"].includes(page.options.method?.[one]);
  return session.methods.filter((one) => !hidden.includes(one) && !off(one));
}

/* ---- how to pay ---- */

function choose() {
  paying = null;
  show("choose");
  for (const name of ["contact", "email"]) {
    const label = stage.querySelector(`[data-field=${name}]`);
    const input = label.querySelector("input");
    input.value = entered[name];
    input.readOnly = Boolean(page.options.readonly?.[name] && entered[name]);
    label.hidden = Boolean(page.options.hidden?.[name] && entered[name]);
  }
  for (const tab of tabs()) {
    tab.hidden = !offered().includes(tab.dataset.method);
    tab.addEventListener("click", () => pick(tab.dataset.method));
    tab.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      if (!steps[event.key]) return;
      event.preventDefault();
      const shown = tabs().filter((one) => !one.hidden);
      const next = shown[(shown.indexOf(tab) + steps[event.key] + shown.length) % shown.length];
      pick(next.dataset.method);
      next.focus();
    });
  }
  stage.querySelector(".primary").textContent = `Pay ${session.display}`;
  stage.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    pay();
  });
  pick(method);
  focusFirst();
}

function tabs() {
  return [...stage.querySelectorAll("[role=tab]")];
}

function pick(name) {
  method = name;
  for (const tab of tabs()) {
    const chosen = tab.dataset.method === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
  }
  const panel = document.getElementById("method");
  const many = name === "netbanking" || name === "wallet";
  panel.replaceChildren(document.getElementById(many ? "list" : name).content.cloneNode(true));
  panel.setAttribute("aria-label", name);
  say("");
  if (many) fillList(panel.firstElementChild, name === "wallet" ? session.wallets : session.banks);
  if (name === "card") fillCards(panel, entered.name, () => stage.querySelector(".primary").focus());
  for (const sample of panel.querySelectorAll("[data-vpa]")) {
    sample.addEventListener("click", () => (panel.querySelector("[name=vpa]").value = sample.dataset.vpa));
  }
}

function say(text) {
  const problem = stage.querySelector(".problem");
  if (problem) problem.textContent = text;
}

/* ---- paying ---- */

function read() {
  const value = (name) => stage.querySelector(`[name=${name}]`)?.value.trim() || null;
  entered = { ...entered, contact: value("contact") || "", email: value("email") || "" };
  const wanted = { method, contact: value("contact"), email: value("email") };
  if (method === "card") {
    const [month, year] = (value("expiry") || "").split("/").map((part) => Number(part));
    const ends = new Date(2000 + year, month, 1);
    if (!value("number")) return say("Enter the card number.");
    if (!(month >= 1 && month <= 12 && ends > new Date())) return say("Enter an expiry date that is still to come.");
    if (!/^\d{3,4}$/.test(value("cvv") || "")) return say("Enter the CVV, three or four digits.");
    return { ...wanted, card_number: value("number"), card_name: value("name") };
  }
  if (method === "upi") {
    if (!value("vpa")) return say("Enter a UPI address.");
    return { ...wanted, vpa: value("vpa") };
  }
  const chosen = stage.querySelector("[aria-checked=true]").value;
  return { ...wanted, [method === "wallet" ? "wallet" : "bank"]: chosen };
}

async function pay() {
  const wanted = read();
  if (!wanted) return;
  const { options } = page;
  try {
    paying = await call("/checkout/payments", {
      ...wanted,
      key_id: options.key,
      order_id: session.order_id,
      amount: session.amount,
      currency: session.currency,
      description: options.description == null ? null : String(options.description),
      notes: options.notes || {},
    });
  } catch (problem) {
    return say(problem.message);
  }
  if (paying.next === "otp") return askOtp();
  if (paying.next === "bank") return askBank(wanted);
  show("wait");
  finish({});
}

function askOtp() {
  show("otp");
  act({ back: choose, decline: () => finish({ decline: true }) });
  stage.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const otp = stage.querySelector("[name=otp]").value.trim();
    if (!/^\d+$/.test(otp)) return say("The code is digits only.");
    finish({ otp });
  });
}

function askBank(wanted) {
  show("bank");
  stage.querySelector("h2").textContent =
    session.banks[wanted.bank] || session.wallets[wanted.wallet] || wanted.vpa;
  act({ back: choose, approve: () => finish({}), decline: () => finish({ decline: true }) });
}

async function finish(how) {
  const { payment_id } = paying;
  show("wait");
  let ended;
  try {
    ended = await call(`/checkout/payments/${payment_id}/finish`, { key_id: page.options.key, ...how });
  } catch (problem) {
    return showFailure(problem.error || { description: problem.message }, true);
  }
  if (ended.error) {
    showFailure(ended.error, true);
    return tell({ type: "failure", error: ended.error });
  }
  show("done").querySelector(".id").textContent = payment_id;
  setTimeout(() => tell({ type: "success", response: ended }), 700);
}

function showFailure(error, again) {
  show("failed");
  const why = error.description;
  stage.querySelector(".why").textContent = why === "Payment failed" ? "The bank said no." : why;
  stage.querySelector(".id").textContent = error.metadata?.payment_id || "";
  stage.querySelector("[data-act=retry]").hidden = !again;
  act({ retry: choose });
}

/* ---- leaving ---- */

function leave(reason) {
  if (!page.options?.modal?.confirm_close) return tell({ type: "dismiss", reason });
  const before = [...stage.childNodes];
  show("confirm");
  act({
    stay: () => stage.replaceChildren(...before),
    leave: () => tell({ type: "dismiss", reason }),
  });
}

document.getElementById("close").addEventListener("click", () => leave());
document.getElementById("backdrop").addEventListener("click", () => {
  if (page.options?.modal?.backdropclose) leave();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && page.options?.modal?.escape !== false) leave();
  if (event.key !== "Tab") return;
  const stops = [...document.querySelectorAll("button, input, summary")].filter(
    (one) => one.tabIndex >= 0 && one.offsetParent !== null,
  );
  const edge = event.shiftKey ? stops[0] : stops.at(-1);
  if (document.activeElement === edge) {
    event.preventDefault();
    (event.shiftKey ? stops.at(-1) : stops[0]).focus();
  }
});
window.addEventListener("message", (message) => {
  if (message.source === parent && message.data?.type === "open" && !page.options) {
    page.origin = message.origin;
    open(message.data.options);
  }
});
tell({ type: "ready" });

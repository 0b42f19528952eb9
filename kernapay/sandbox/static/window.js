import { fillCards, fillList } from "./instruments.js";

const content = document.getElementById("content");
let page = { origin: "*", options: null };
let session = null;
let details = {};
let attempt = null;
let method = "card";

function postToPage(message) {
  parent.postMessage(message, page.origin);
}

function show(name) {
  const pane = document.getElementById(name).content.cloneNode(true);
  content.replaceChildren(pane);
  content.scrollTop = 0;
  focusFirst();
  return content;
}

/* Focuses the first empty field, or else the main button, so that the keyboard is enough. */
function focusFirst() {
  const inputs = [...content.querySelectorAll("input:not([readonly])")];
  const empty = inputs.find((input) => !input.value && input.offsetParent !== null);
  (empty || content.querySelector(".primary") || document.getElementById("dialog")).focus();
}

function onClick(handlers) {
  for (const button of content.querySelectorAll("[data-act]")) {
    button.addEventListener("click", handlers[button.dataset.act]);
  }
}

async function call(path, body) {
  const response = await fetch(path, body && { method: "POST", body: JSON.stringify(body) });
  const data = await response.json();
  if (!response.ok) throw Object.assign(new Error(data.error.description), { error: data.error });
  return data;
}

/* ---- order ---- */

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
  details = { contact: prefill.contact || "", email: prefill.email || "", name: prefill.name || "" };
  try {
    session = await call(`/checkout/session?${query}`);
  } catch (error) {
    showFailure(error.error || { description: error.message }, false);
    return;
  }
  document.getElementById("amount").textContent = session.display;
  document.getElementById("order").textContent = session.order_id || "none";
  method = availableMethods().includes(prefill.method) ? prefill.method : availableMethods()[0];
  chooseMethod();
}

function availableMethods() {
  const hidden = (page.options.config?.display?.hide || []).map((entry) => entry.method);
  const isOff = (name) => [false, 0, "0"].includes(page.options.method?.[name]);
  return session.methods.filter((name) => !hidden.includes(name) && !isOff(name));
}

/* ---- method ---- */

function chooseMethod() {
  attempt = null;
  show("choose");
  for (const name of ["contact", "email"]) {
    const label = content.querySelector(`[data-field=${name}]`);
    const input = label.querySelector("input");
    input.value = details[name];
    input.readOnly = Boolean(page.options.readonly?.[name] && details[name]);
    label.hidden = Boolean(page.options.hidden?.[name] && details[name]);
  }
  for (const tab of tabs()) {
    tab.hidden = !availableMethods().includes(tab.dataset.method);
    tab.addEventListener("click", () => selectMethod(tab.dataset.method));
    tab.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
      if (!steps[event.key]) return;
      event.preventDefault();
      const visible = tabs().filter((other) => !other.hidden);
      const index = visible.indexOf(tab) + steps[event.key] + visible.length;
      const next = visible[index % visible.length];
      selectMethod(next.dataset.method);
      next.focus();
    });
  }
  content.querySelector(".primary").textContent = `Pay ${session.display}`;
  content.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    pay();
  });
  selectMethod(method);
  focusFirst();
}

function tabs() {
  return [...content.querySelectorAll("[role=tab]")];
}

function selectMethod(name) {
  method = name;
  for (const tab of tabs()) {
    const isSelected = tab.dataset.method === name;
    tab.setAttribute("aria-selected", isSelected);
    tab.tabIndex = isSelected ? 0 : -1;
  }
  const panel = document.getElementById("method");
  const isList = name === "netbanking" || name === "wallet";
  panel.replaceChildren(document.getElementById(isList ? "list" : name).content.cloneNode(true));
  panel.setAttribute("aria-label", name);
  showProblem("");
  if (isList) fillList(panel.firstElementChild, name === "wallet" ? session.wallets : session.banks);
  if (name === "card") fillCards(panel, details.name, () => content.querySelector(".primary").focus());
  for (const sample of panel.querySelectorAll("[data-vpa]")) {
    sample.addEventListener("click", () => (panel.querySelector("[name=vpa]").value = sample.dataset.vpa));
  }
}

function showProblem(text) {
  const problem = content.querySelector(".problem");
  if (problem) problem.textContent = text;
}

/* ---- payment ---- */

function readForm() {
  const value = (name) => content.querySelector(`[name=${name}]`)?.value.trim() || null;
  details = { ...details, contact: value("contact") || "", email: value("email") || "" };
  const form = { method, contact: value("contact"), email: value("email") };
  if (method === "card") {
    const [month, year] = (value("expiry") || "").split("/").map((part) => Number(part));
    const ends = new Date(2000 + year, month, 1);
    if (!value("number")) return showProblem("Enter the card number.");
    if (!(month >= 1 && month <= 12 && ends > new Date())) return showProblem("Enter an expiry date in the future.");
    if (!/^\d{3,4}$/.test(value("cvv") || "")) return showProblem("Enter the CVV, three or four digits.");
    return { ...form, card_number: value("number"), card_name: value("name") };
  }
  if (method === "upi") {
    if (!value("vpa")) return showProblem("Enter a UPI address, like success@razorpay.");
    return { ...form, vpa: value("vpa") };
  }
  const code = content.querySelector("[aria-checked=true]").value;
  return { ...form, [method === "wallet" ? "wallet" : "bank"]: code };
}

async function pay() {
  const form = readForm();
  if (!form) return;
  const { options } = page;
  try {
    attempt = await call("/checkout/payments", {
      ...form,
      key_id: options.key,
      order_id: session.order_id,
      amount: session.amount,
      currency: session.currency,
      description: options.description == null ? null : String(options.description),
      notes: options.notes || {},
    });
  } catch (error) {
    return showProblem(error.message);
  }
  if (attempt.next === "otp") return askOtp();
  if (attempt.next === "bank") return askBank(form);
  show("wait");
  finish({});
}

function askOtp() {
  show("otp");
  onClick({ back: chooseMethod, decline: () => finish({ decline: true }) });
  content.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const otp = content.querySelector("[name=otp]").value.trim();
    if (!/^\d+$/.test(otp)) return showProblem("Enter digits only.");
    finish({ otp });
  });
}

function askBank(form) {
  show("bank");
  content.querySelector("h2").textContent =
    session.banks[form.bank] || session.wallets[form.wallet] || form.vpa;
  onClick({ back: chooseMethod, approve: () => finish({}), decline: () => finish({ decline: true }) });
}

async function finish(confirmation) {
  const { payment_id } = attempt;
  show("wait");
  let result;
  try {
    result = await call(`/checkout/payments/${payment_id}/finish`, { key_id: page.options.key, ...confirmation });
  } catch (error) {
    return showFailure(error.error || { description: error.message }, true);
  }
  if (result.error) {
    showFailure(result.error, true);
    return postToPage({ type: "failure", error: result.error });
  }
  show("done").querySelector(".id").textContent = payment_id;
  setTimeout(() => postToPage({ type: "success", response: result }), 700);
}

function showFailure(error, canRetry) {
  show("failed");
  const reason = error.description;
  content.querySelector(".why").textContent =
    reason === "Payment failed" ? "The bank declined the payment." : reason;
  content.querySelector(".id").textContent = error.metadata?.payment_id || "";
  content.querySelector("[data-act=retry]").hidden = !canRetry;
  onClick({ retry: chooseMethod });
}

/* ---- closing ---- */

function leave(reason) {
  if (!page.options?.modal?.confirm_close) return postToPage({ type: "dismiss", reason });
  const nodes = [...content.childNodes];
  show("confirm");
  onClick({
    stay: () => content.replaceChildren(...nodes),
    leave: () => postToPage({ type: "dismiss", reason }),
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
    (stop) => stop.tabIndex >= 0 && stop.offsetParent !== null,
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
postToPage({ type: "ready" });

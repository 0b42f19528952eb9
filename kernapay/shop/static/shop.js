// The pages of the shop: choose, pay, see what became of it. The way of the money is in pay.js.

import { call, session, tell } from "./api.js";
import { at, fill, h } from "./dom.js";
import { light, startPanel } from "./panel.js";
import { confirmPayment, createOrder, openCheckout, watchPayment } from "./pay.js";
import { troubleMenu } from "./trouble.js";
import { others, language, say } from "./words.js";

const STILL_CONFIRMING = 60_000;
const PAGE = 5;
const config = await (await fetch("/shop/config")).json();
const menu = config.canFail ? troubleMenu() : null;
let stopWatching = null;
let isPaying = false;

const money = (amount, currency = config.currency) => {
  const places = { minimumFractionDigits: config.decimals, maximumFractionDigits: config.decimals };
  return new Intl.NumberFormat(language === "hi" ? "hi-IN" : "en-IN", { style: "currency", currency, ...places })
    .format(amount / 10 ** config.decimals);
};
const button = (name, act, values, kind = "main") =>
  h("button", { type: "button", class: kind, onclick: act }, say(name, values));
const card = (...children) => fill(at("page"), h("section", { class: "card" }, ...children));
const goods = () => config.prices.map((amount, number) => ({ id: number + 1, amount, name: say(`goods${number + 1}`) }));

// What a tab remembers of a payment: a reload goes on where it was.
const remembered = {
  get: (name) => JSON.parse(sessionStorage.getItem(`shop.${name}`) ?? "null"),
  set: (name, value) => sessionStorage.setItem(`shop.${name}`, JSON.stringify(value)),
  forget: (name) => sessionStorage.removeItem(`shop.${name}`),
};

function go(path) {
  history.pushState(null, "", path);
  show();
}

function head() {
  const link = (path, name) =>
    h("a", { href: path, "aria-current": location.pathname === path ? "page" : undefined,
      onclick: (event) => { event.preventDefault(); go(path); } }, say(name));
  fill(at("head"),
    h("strong", {}, say("shop")),
    h("nav", {}, link("/shop", "buy"), link("/shop/payments", "payments")),
    h("span", { class: "pill" }, say("demo")),
    menu,
    others.map(([code, name]) => h("a", { href: `?lang=${code}`, lang: code, hreflang: code }, name)),
    session.get() && button("signOut", signOut, {}, "small"),
    h("button", { type: "button", class: "small code-button", onclick: () => document.body.classList.toggle("coding") }, say("code")));
}

async function signOut() {
  await call("POST", "/users/logout");
  session.set(null);
  go("/shop");
}

/** Show what the API refused, in its own words: they name what is wrong. */
function trouble({ status, body }, again) {
  const text = status === 0 ? say("offline") : body.errors?.map((each) => each.message).join(" ") || body.detail || "";
  card(h("h1", {}, say("trouble")), h("p", { role: "alert" }, text), again && button("tryAgain", again));
}

// Accounts.

function signIn(then, sentence = "signInText") {
  const email = h("input", { type: "email", name: "email", autocomplete: "username", required: true });
  const password = h("input", { type: "password", name: "password", autocomplete: "current-password", required: true });
  const wrong = h("p", { role: "alert", class: "bad" });
  const enter = async (credentials) => {
    const answer = await call("POST", "/users/login", credentials);
    if (!answer.ok) {
      wrong.textContent = answer.status ? answer.body.detail : say("offline");
      return;
    }
    const { token, user } = answer.body;
    session.set({ token, id: user._id, email: user.email, name: user.name });
    head();
    then();
  };
  const newcomer = async () => {
    const secret = crypto.randomUUID();
    const number = String(crypto.getRandomValues(new Uint32Array(1))[0] % 100_000_000).padStart(8, "0");
    const account = { email: `shopper-${secret.slice(0, 8)}@example.com`, name: "Demo Customer", password: secret };
    const answer = await call("POST", "/users/signup", {
      ...account, confirmPassword: secret, mobileNumber: Number(`98${number}`), countryCode: "+91", type: "USER",
    });
    if (answer.ok) await enter({ email: account.email, password: secret });
    else trouble(answer, () => signIn(then, sentence));
  };
  card(
    h("h1", {}, say("signInTitle")),
    h("p", {}, say(sentence)),
    button("newCustomer", newcomer),
    h("form", { onsubmit: (event) => { event.preventDefault(); enter({ email: email.value, password: password.value }); } },
      h("label", {}, say("email"), email),
      h("label", {}, say("password"), password),
      wrong,
      h("button", { class: "quiet" }, say("signIn"))));
}

/** Do something as the customer; whose session has ended signs in and comes back. */
async function asCustomer(path, then) {
  if (!session.get()) return signIn(show);
  const answer = await call("GET", path);
  if (answer.status === 401) {
    session.set(null);
    head();
    return signIn(show, "sessionOver");
  }
  return then(answer);
}

// Choosing.

function chooseGoods() {
  light("create");
  fill(at("page"), h("h1", {}, say("chooseTitle")), h("div", { class: "goods" },
    goods().map((each) => h("section", { class: "card" },
      h("h2", {}, each.name),
      h("p", { class: "amount" }, money(each.amount)),
      button("order", () => order(each), { amount: money(each.amount) })))));
}

async function order(chosen) {
  if (!session.get()) return signIn(() => order(chosen));
  light("create");
  // Kept before it is sent: a lost answer, a reload or a second click finds the same order.
  const key = remembered.get(`cart.${chosen.id}`) ?? crypto.randomUUID();
  remembered.set(`cart.${chosen.id}`, key);
  card(h("p", { role: "status" }, say("creating")));
  const cart = {
    amount: chosen.amount, currency: config.currency, serviceType: config.serviceType, description: chosen.name,
    ...(Object.keys(config.metadata).length && { metadata: config.metadata }),
  };
  const answer = await createOrder(call, cart, key);
  if (answer.status === 401) {
    session.set(null);
    return signIn(() => order(chosen), "sessionOver");
  }
  if (!answer.ok) return trouble(answer, () => order(chosen));
  remembered.forget(`cart.${chosen.id}`);
  return go(`/shop/pay/${answer.body.data.referenceId}`);
}

// Paying.

function state(payment, name, { kind = "", text = {}, actions = [] } = {}) {
  card(
    h("p", { class: `sign ${kind}`, "aria-hidden": "true" }),
    h("h1", {}, say(name)),
    h("p", { role: "status" }, say(`${name}Text`, text)),
    h("p", { class: "amount" }, money(payment.amount, payment.currency)),
    payment.description && h("p", { class: "soft", dir: "auto" }, payment.description),
    h("div", { class: "actions" }, actions),
    h("p", { class: "soft" }, say("reference", { id: payment.referenceId })));
}

function settled(payment, name) {
  const another = button("another", () => go("/shop"), {}, "quiet");
  const receipt = button("receipt", () => download(payment));
  remembered.forget(`proof.${payment.referenceId}`);
  if (name === "paid") state(payment, name, { kind: "good", actions: [receipt, another] });
  else if (name === "refunded") state(payment, name, { kind: "warn", actions: [receipt, another] });
  else state(payment, name, { kind: name === "review" ? "warn" : "bad", actions: [another] });
}

async function download(payment) {
  const answer = await call("GET", `/payments/${payment.referenceId}/receipt`);
  if (!answer.ok) return trouble(answer, show);
  const link = h("a", { href: URL.createObjectURL(answer.body), download: `receipt-${payment.referenceId}.pdf` });
  link.click();
  return setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function offer(payment, name = "open", failure = null) {
  const again = { open: "pay", closed: "goOn", failed: "tryAgain" }[name];
  const reason = failure?.description || say("noReason");
  state(payment, name, {
    kind: name === "failed" ? "bad" : "",
    text: { reason },
    actions: [button(again, () => pay(payment), { amount: money(payment.amount, payment.currency) })],
  });
}

async function pay(payment) {
  if (isPaying) return;
  isPaying = true;
  try {
    light("checkout");
    state(payment, "paying");
    await loadCheckout();
    const outcome = await openCheckout({
      key: config.key,
      order_id: payment.razorpayOrderId,
      amount: payment.amount,
      currency: payment.currency,
      name: say("shop"),
      description: payment.description ?? "",
      prefill: { email: session.get()?.email ?? "", name: session.get()?.name ?? "" },
    });
    if (outcome.proof) {
      remembered.set(`proof.${payment.referenceId}`, outcome.proof);
      await confirm(payment, outcome.proof);
    } else if (!payment.isSettled) {
      offer(payment, outcome.failure ? "failed" : "closed", outcome.failure);
    }
  } catch {
    trouble({ status: 503, body: { detail: say("noWindow") } }, () => offer(payment));
  } finally {
    isPaying = false;
  }
}

function loadCheckout() {
  return new Promise((done, fail) => {
    if (window.Razorpay) return done();
    const script = h("script", { src: config.script, onload: done, onerror: fail });
    return document.head.append(script);
  });
}

async function confirm(payment, proof) {
  light("verify");
  const begin = Date.now();
  // The stream may have told more already.
  const display = (name) => payment.isSettled || state(payment, name);
  display("confirming");
  const answer = await confirmPayment(call, payment.referenceId, proof, () =>
    display(Date.now() - begin > STILL_CONFIRMING ? "still" : "confirming"));
  if (payment.isSettled) return;
  payment.isSettled = true;
  settled(payment, answer.ok ? "paid" : answer.body.code === "payment_returned" ? "refunded" : "review");
}

/** Follow a payment whose page is open. What comes by the stream overtakes whatever the page was waiting for. */
function follow(payment) {
  const address = location.pathname;
  stopWatching = watchPayment(call, payment.referenceId, (seen) => {
    tell({ at: new Date(), method: "SSE", path: `/v1/api/payments/${payment.referenceId}/events`, status: 200, took: 0 });
    if (location.pathname !== address) return;
    const end = { success: "paid", refunded: "refunded" }[seen.status] ?? (seen.final ? "ended" : null);
    if (end === null || payment.shown === end) return;
    payment.isSettled = true;
    payment.shown = end;
    light("watch");
    settled(payment, end);
  });
}

function showPayment(reference) {
  return asCustomer(`/payments/${encodeURIComponent(reference)}`, (answer) => {
    if (answer.status === 404 || answer.status === 403 || answer.status === 400) {
      return card(h("h1", {}, say("missing")), h("p", {}, say("missingText")), button("another", () => go("/shop")));
    }
    if (!answer.ok) return trouble(answer, show);
    const payment = answer.body;
    const proof = remembered.get(`proof.${payment.referenceId}`);
    follow(payment);
    if (payment.status === "success" || payment.status === "refunded" || payment.final) return null;
    return proof ? confirm(payment, proof) : offer(payment, payment.status === "failed" ? "failed" : "open");
  });
}

// What was paid.

function showPayments() {
  const list = h("ul", { class: "payments" });
  const more = button("more", () => load(), {}, "quiet");
  const load = async () => {
    const skip = list.children.length;
    await asCustomer(`/payments/history/${session.get()?.id}?count=${PAGE}&skip=${skip}`, (answer) => {
      if (!answer.ok) return trouble(answer, show);
      list.append(...answer.body.map(line));
      more.hidden = answer.body.length < PAGE;
      if (!list.children.length) list.replaceWith(h("p", {}, say("none")));
      return undefined;
    });
  };
  if (!session.get()) return signIn(show);
  fill(at("page"), h("section", { class: "card wide" }, h("h1", {}, say("payments")), list, more));
  return load();
}

function line(payment) {
  const path = `/shop/pay/${payment.referenceId}`;
  const day = new Intl.DateTimeFormat(language === "hi" ? "hi-IN" : "en-IN", { dateStyle: "medium", timeStyle: "short" });
  return h("li", {}, h("a", { href: path, onclick: (event) => { event.preventDefault(); go(path); } },
    h("b", {}, money(payment.amount, payment.currency)),
    h("span", { dir: "auto" }, payment.description ?? ""),
    h("span", { class: `pill ${payment.status}` }, say(`status_${payment.status}`)),
    h("time", { datetime: payment.createdAt }, day.format(new Date(payment.createdAt)))));
}

function show() {
  stopWatching?.();
  stopWatching = null;
  head();
  document.title = say("shop");
  const [, , place, reference] = location.pathname.split("/");
  if (!place) chooseGoods();
  else if (place === "pay" && reference) showPayment(decodeURIComponent(reference));
  else if (place === "payments") showPayments();
  else card(h("h1", {}, say("notFound")), button("another", () => go("/shop")));
  at("page").focus({ preventScroll: true });
}

window.addEventListener("popstate", show);
await startPanel();
show();

// The page of one payment. What the server says is shown as text only.

import { speak } from "./words.js";

const { language, say } = await speak((code) => import(`./${code}.js`));
const token = location.pathname.split("/").pop();
const at = (id) => document.getElementById(id);
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
// Answers that say neither yes nor no: the payment may be confirmed a moment later.
const UNDECIDED = new Set([429, 500, 502, 503, 504]);
// What may change by itself.
const UNFINISHED = new Set(["open", "confirming"]);
const LONGEST_PAUSE = 30;
const STILL_CONFIRMING = 60;
let opened = false;
let watches = 0;

function show(text, kind = "") {
  at("message").textContent = text;
  at("message").className = kind;
}

function fill(id, text) {
  at(id).textContent = text;
  at(id).hidden = !text;
}

function amountOf(page) {
  const places = { minimumFractionDigits: page.decimals, maximumFractionDigits: page.decimals };
  const format = { style: "currency", currency: page.currency, ...places };
  return new Intl.NumberFormat(`${language}-IN`, format).format(page.amount / 10 ** page.decimals);
}

function lead(url, text, page) {
  if (!url) return;
  const target = new URL(url);
  target.searchParams.set("referenceId", page.referenceId);
  at("back").href = target.href;
  fill("back", text);
}

async function ask(path, body) {
  const request = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await fetch(path, { cache: "no-store", ...request });
  const isJson = /json/.test(answer.headers.get("Content-Type") ?? "");
  return { status: answer.status, ok: answer.ok, body: isJson ? await answer.json() : {} };
}

const KINDS = { confirming: "", paid: "good", refunded: "warn", ended: "warn" };

function render(page) {
  document.title = `${page.name}: ${say("payment")}`;
  fill("merchant", page.name);
  fill("description", page.description ?? "");
  fill("amount", amountOf(page));
  fill("test", page.livemode === false ? say("test") : "");
  at("reference").querySelector("span").textContent = say("reference");
  at("reference").querySelector("code").textContent = page.referenceId;
  at("reference").hidden = false;
  at("back").hidden = true;
  at("pay").hidden = page.state !== "open";
  at("pay").disabled = false;
  at("pay").onclick = () => openCheckout(page);
  if (page.state === "open") {
    at("pay").textContent = opened ? say("goOn") : say("pay", { amount: amountOf(page) });
    show(opened ? say("closed") : "");
    lead(page.cancelUrl, say("backUnpaid"), page);
  } else {
    show(say(page.state), KINDS[page.state]);
    lead(page.state === "paid" ? page.successUrl : page.cancelUrl, say("back", { name: page.name }), page);
  }
}

function prefillOf(page) {
  return Object.fromEntries(Object.entries(page.prefill ?? {}).filter(([, value]) => value));
}

function loadScript(url) {
  return new Promise((done, fail) => {
    if (window.Razorpay) return done();
    const script = document.createElement("script");
    script.src = url;
    script.onload = done;
    script.onerror = () => fail(new Error("script"));
    document.head.append(script);
  });
}

async function openCheckout(page) {
  watches += 1;
  at("pay").disabled = true;
  try {
    await loadScript(page.script);
  } catch {
    at("pay").disabled = false;
    show(say("noWindow"), "bad");
    return;
  }
  opened = true;
  new window.Razorpay({
    key: page.key,
    order_id: page.orderId,
    amount: page.amount,
    currency: page.currency,
    name: page.name,
    description: page.description ?? "",
    prefill: prefillOf(page),
    handler: (paid) => confirm(page, paid),
    modal: { ondismiss: () => watch(0) },
  }).open();
}

// After the window was closed, somebody may pay elsewhere, as in an app on the phone.
async function watch(first) {
  const mine = ++watches;
  for (let seconds = first; mine === watches; seconds = Math.min(Math.max(seconds * 1.5, 3), LONGEST_PAUSE)) {
    await pause(seconds);
    const seen = await ask(`/v1/api/checkout/${token}`).catch(() => ({ ok: false }));
    if (mine !== watches) return;
    if (seen.ok && !UNFINISHED.has(seen.body.state)) return finish(seen.body);
    if (seen.ok) {
      render(seen.body);
    } else {
      at("pay").hidden = true;
      show(say("unknown"), "warn");
    }
  }
}

async function confirm(page, paid) {
  watches += 1;
  at("pay").hidden = true;
  at("back").hidden = true;
  const proof = {
    referenceId: page.referenceId,
    razorpayOrderId: paid.razorpay_order_id,
    razorpayPaymentId: paid.razorpay_payment_id,
    razorpaySignature: paid.razorpay_signature,
  };
  const begin = Date.now();
  for (let seconds = 2; ; seconds = Math.min(seconds * 2, LONGEST_PAUSE)) {
    const isLong = Date.now() - begin > STILL_CONFIRMING * 1000;
    show(say(isLong ? "stillVerifying" : "verifying"));
    try {
      const answer = await ask("/v1/api/payments/verify", proof);
      if (answer.ok) return finish({ ...page, state: "paid" });
      if (!UNDECIDED.has(answer.status) && answer.body.code !== "not_captured_yet") {
        return refuse(answer.body.code);
      }
      const seen = await ask(`/v1/api/checkout/${token}`);
      if (seen.ok && !UNFINISHED.has(seen.body.state)) return finish(seen.body);
    } catch {
      // No network: nothing is known, so look again.
    }
    await pause(seconds);
  }
}

function refuse(code) {
  show(say(code === "payment_returned" ? "returned" : "review"), "warn");
}

async function finish(page) {
  render(page);
  if (page.state === "paid" && page.successUrl) {
    await pause(1.5);
    location.assign(at("back").href);
  }
}

async function start() {
  const answer = await ask(`/v1/api/checkout/${token}`).catch(() => ({ ok: false, status: 0 }));
  if (answer.ok) {
    render(answer.body);
    return answer.body.state === "confirming" ? watch(3) : undefined;
  }
  show(say(answer.status === 404 || answer.status === 400 ? "noLink" : "offline"), "bad");
}

start();

"use strict";

// The page of one payment. What the server says is shown as text only.
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
  return new Intl.NumberFormat("en-IN", format).format(page.amount / 10 ** page.decimals);
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

const SENTENCES = {
  confirming: ["Your payment is being confirmed. Do not pay again: this page goes on looking.", ""],
  paid: ["Paid. Thank you.", "good"],
  refunded: ["This payment was refunded.", "warn"],
  ended: ["This payment has ended: it was cancelled, or its time is over. Nothing can be paid here any more.", "warn"],
};

function render(page) {
  document.title = `${page.name}: payment`;
  fill("merchant", page.name);
  fill("description", page.description ?? "");
  fill("amount", amountOf(page));
  at("test").hidden = page.livemode !== false;
  at("reference").querySelector("code").textContent = page.referenceId;
  at("reference").hidden = false;
  at("back").hidden = true;
  at("pay").hidden = page.state !== "open";
  at("pay").disabled = false;
  at("pay").onclick = () => openCheckout(page);
  if (page.state === "open") {
    at("pay").textContent = opened ? "Go on" : `Pay ${amountOf(page)}`;
    show(opened ? "You have not paid yet. If you have just paid in an app, wait: this page goes on looking." : "");
    lead(page.cancelUrl, "Go back without paying", page);
  } else {
    show(...SENTENCES[page.state]);
    lead(page.state === "paid" ? page.successUrl : page.cancelUrl, `Back to ${page.name}`, page);
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
    show("The gateway's window cannot be loaded. Try again in a moment.", "bad");
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
      show("It is not known yet whether you have paid. Do not pay again: this page goes on looking.", "warn");
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
    show(
      isLong
        ? "The gateway has not said yes or no yet. Do not pay again: this page goes on looking."
        : "Confirming your payment … You may close this page: you are not charged twice.",
    );
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
  show(
    code === "payment_returned"
      ? "The money of this payment is on its way back to you."
      : "The shop has to look at this payment, and will tell you. Do not pay again.",
    "warn",
  );
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
  show(
    answer.status === 404 || answer.status === 400
      ? "This link is not valid. Ask the shop for a new one."
      : "This page cannot be loaded now. Try again in a moment.",
    "bad",
  );
}

start();

/* Drives the sandbox with the vendor's SDK; prints what it has done as JSON. */
"use strict";
const assert = require("node:assert/strict");
const Razorpay = require("razorpay");
const { validatePaymentVerification } = require("razorpay/dist/utils/razorpay-utils");

const { SANDBOX, KEY_ID, KEY_SECRET } = process.env;
const client = (key_id, key_secret) => {
  const made = new Razorpay({ key_id, key_secret });
  made.api.rq.defaults.baseURL = SANDBOX;
  return made;
};
const razorpay = client(KEY_ID, KEY_SECRET);
const done = {};

async function step(group, name, ...values) {
  const answer = await razorpay[group][name](...values);
  (done[group] ||= []).push(name);
  return answer;
}

async function control(path, body) {
  const answer = await fetch(`${SANDBOX}/_sandbox${path}`, { method: "POST", body: JSON.stringify(body) });
  assert.equal(answer.status, 200);
  return answer.json();
}

async function refused(work) {
  try {
    await work();
  } catch (problem) {
    assert.ok(problem.error.description);
    (done.errors ||= []).push(problem.statusCode);
    return;
  }
  assert.fail("nothing was refused");
}

(async () => {
  await control("/clock", { now: 1767225600, frozen: true });
  const created = await step("orders", "create", {
    amount: 50000, currency: "INR", receipt: "node", payment: { capture: "manual" },
  });
  assert.deepEqual(await step("orders", "fetch", created.id), created);
  assert.deepEqual((await step("orders", "all", { receipt: "node" })).items, [created]);
  assert.deepEqual((await step("orders", "edit", created.id, { notes: { k: "v" } })).notes, { k: "v" });

  const paid = await control("/pay", { order_id: created.id, method: "card" });
  const { razorpay_payment_id: id, razorpay_signature: signature } = paid;
  assert.ok(validatePaymentVerification({ order_id: created.id, payment_id: id }, signature, KEY_SECRET));
  assert.equal((await step("orders", "fetchPayments", created.id)).items[0].id, id);
  assert.equal((await step("payments", "fetch", id)).status, "authorized");
  assert.equal((await step("payments", "all", { count: 1 })).count, 1);
  assert.deepEqual((await step("payments", "edit", id, { notes: { a: "b" } })).notes, { a: "b" });
  assert.equal((await step("payments", "capture", id, 50000, "INR")).status, "captured");
  assert.equal((await step("payments", "fetchCardDetails", id)).last4, "1007");

  const refund = await step("payments", "refund", id, { amount: "10000", speed: "normal" });
  assert.equal(refund.amount, 10000);
  assert.equal((await step("payments", "fetchMultipleRefund", id, {})).count, 1);
  assert.deepEqual(await step("payments", "fetchRefund", id, refund.id), refund);
  assert.deepEqual(await step("refunds", "fetch", refund.id), refund);
  assert.equal((await step("refunds", "all", {})).count, 1);
  assert.deepEqual((await step("refunds", "edit", refund.id, { notes: { x: "y" } })).notes, { x: "y" });

  await control("/settle", {});
  const settled = (await step("settlements", "all", {})).items[0];
  assert.deepEqual(await step("settlements", "fetch", settled.id), settled);
  const report = await step("settlements", "reports", { year: 2026, month: 1, day: 1 });
  assert.deepEqual(report.items.map((row) => row.type), ["payment", "refund"]);

  const first = await control("/disputes", { payment_id: id, amount: 100 });
  const second = await control("/disputes", { payment_id: id, amount: 100 });
  assert.equal((await step("disputes", "all", {})).count, 2);
  assert.equal((await step("disputes", "fetch", first.id)).id, first.id);
  assert.equal((await step("disputes", "accept", first.id)).status, "lost");
  const proof = { billing_proof: ["doc_KpSandbox00001"], action: "submit" };
  assert.equal((await step("disputes", "contest", second.id, proof)).status, "under_review");

  await refused(() => razorpay.orders.create({ amount: 1, currency: "INR" }));
  await refused(() => client(KEY_ID, "wrong").orders.all());
  await control("/faults", { name: "rate_limit" });
  await refused(() => razorpay.orders.all());
  await control("/faults", { name: "server_error" });
  await refused(() => razorpay.orders.all());
  process.stdout.write(JSON.stringify(done));
})().catch((problem) => {
  console.error(problem);
  process.exit(1);
});

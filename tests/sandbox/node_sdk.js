/* Calls the sandbox with the vendor's SDK and prints the calls it made as JSON. */
"use strict";
const assert = require("node:assert/strict");
const Razorpay = require("razorpay");
const { validatePaymentVerification } = require("razorpay/dist/utils/razorpay-utils");

const { SANDBOX, KEY_ID, KEY_SECRET } = process.env;
const client = (key_id, key_secret) => {
  const instance = new Razorpay({ key_id, key_secret });
  instance.api.rq.defaults.baseURL = SANDBOX;
  return instance;
};
const razorpay = client(KEY_ID, KEY_SECRET);
const calls = {};

async function call(group, name, ...values) {
  const response = await razorpay[group][name](...values);
  (calls[group] ||= []).push(name);
  return response;
}

async function control(path, body) {
  const response = await fetch(`${SANDBOX}/_sandbox${path}`, { method: "POST", body: JSON.stringify(body) });
  assert.equal(response.status, 200);
  return response.json();
}

async function expectError(request) {
  try {
    await request();
  } catch (error) {
    assert.ok(error.error.description);
    (calls.errors ||= []).push(error.statusCode);
    return;
  }
  assert.fail("the request was not refused");
}

(async () => {
  await control("/clock", { now: 1767225600, frozen: true });
  const order = await call("orders", "create", {
    amount: 50000, currency: "INR", receipt: "node", payment: { capture: "manual" },
  });
  assert.deepEqual(await call("orders", "fetch", order.id), order);
  assert.deepEqual((await call("orders", "all", { receipt: "node" })).items, [order]);
  assert.deepEqual((await call("orders", "edit", order.id, { notes: { k: "v" } })).notes, { k: "v" });

  const response = await control("/pay", { order_id: order.id, method: "card" });
  const { razorpay_payment_id: id, razorpay_signature: signature } = response;
  assert.ok(validatePaymentVerification({ order_id: order.id, payment_id: id }, signature, KEY_SECRET));
  assert.equal((await call("orders", "fetchPayments", order.id)).items[0].id, id);
  assert.equal((await call("payments", "fetch", id)).status, "authorized");
  assert.equal((await call("payments", "all", { count: 1 })).count, 1);
  assert.deepEqual((await call("payments", "edit", id, { notes: { a: "b" } })).notes, { a: "b" });
  assert.equal((await call("payments", "capture", id, 50000, "INR")).status, "captured");
  assert.equal((await call("payments", "fetchCardDetails", id)).last4, "1007");

  const refund = await call("payments", "refund", id, { amount: "10000", speed: "normal" });
  assert.equal(refund.amount, 10000);
  assert.equal((await call("payments", "fetchMultipleRefund", id, {})).count, 1);
  assert.deepEqual(await call("payments", "fetchRefund", id, refund.id), refund);
  assert.deepEqual(await call("refunds", "fetch", refund.id), refund);
  assert.equal((await call("refunds", "all", {})).count, 1);
  assert.deepEqual((await call("refunds", "edit", refund.id, { notes: { x: "y" } })).notes, { x: "y" });

  await control("/settle", {});
  const settlement = (await call("settlements", "all", {})).items[0];
  assert.deepEqual(await call("settlements", "fetch", settlement.id), settlement);
  const report = await call("settlements", "reports", { year: 2026, month: 1, day: 1 });
  assert.deepEqual(report.items.map((row) => row.type), ["payment", "refund"]);

  const first = await control("/disputes", { payment_id: id, amount: 100 });
  const second = await control("/disputes", { payment_id: id, amount: 100 });
  assert.equal((await call("disputes", "all", {})).count, 2);
  assert.equal((await call("disputes", "fetch", first.id)).id, first.id);
  assert.equal((await call("disputes", "accept", first.id)).status, "lost");
  const proof = { billing_proof: ["doc_KpSandbox00001"], action: "submit" };
  assert.equal((await call("disputes", "contest", second.id, proof)).status, "under_review");

  const customer = await call("customers", "create", { name: "Asha Rao", email: "asha@example.com", fail_existing: 0 });
  assert.deepEqual(await call("customers", "fetch", customer.id), customer);
  assert.equal((await call("customers", "edit", customer.id, { name: "Asha R" })).name, "Asha R");
  assert.equal((await call("customers", "all", { count: 1 })).count, 1);
  const link = await call("paymentLink", "create", { amount: 500, currency: "INR", reference_id: "node" });
  assert.deepEqual(await call("paymentLink", "fetch", link.id), link);
  assert.equal((await call("paymentLink", "all", {})).payment_links.length, 1);
  assert.equal((await call("paymentLink", "cancel", link.id)).status, "cancelled");
  await control("/downtimes", { method: "upi" });
  const downtime = (await call("payments", "fetchPaymentDowntime")).items[0];
  assert.deepEqual(await call("payments", "fetchPaymentDowntimeById", downtime.id), downtime);
  const expanded = await call("payments", "fetch", id, { "expand[]": "card" });
  assert.equal(expanded.card.last4, "1007");

  const account = await call("accounts", "create", {
    email: "north@example.com", phone: "9000090000", type: "route", legal_business_name: "North Clinic",
    business_type: "partnership", profile: { category: "healthcare", subcategory: "clinic" },
  });
  assert.deepEqual(await call("accounts", "fetch", account.id), account);
  assert.equal((await call("accounts", "edit", account.id, { contact_name: "Asha Rao" })).contact_name, "Asha Rao");
  const holder = await call("stakeholders", "create", account.id, { name: "Asha Rao", email: "asha@example.com" });
  assert.deepEqual(await call("stakeholders", "fetch", account.id, holder.id), holder);
  assert.equal((await call("stakeholders", "edit", account.id, holder.id, { name: "Asha R" })).name, "Asha R");
  assert.equal((await call("stakeholders", "all", account.id)).count, 1);
  const request = { product_name: "route", tnc_accepted: true };
  const product = await call("products", "requestProductConfiguration", account.id, request);
  assert.deepEqual(await call("products", "fetch", account.id, product.id), product);
  const settlements = { account_number: "1234567890", ifsc_code: "HDFC0000317", beneficiary_name: "Asha Rao" };
  const active = await call("products", "edit", account.id, product.id, { settlements, tnc_accepted: true });
  assert.equal(active.activation_status, "activated");
  const part = { account: account.id, amount: 1000, currency: "INR" };
  const shared = await razorpay.orders.create({ amount: 5000, currency: "INR", transfers: [part] });
  assert.equal(shared.transfers[0].recipient, account.id);

  await expectError(() => razorpay.orders.create({ amount: 1, currency: "INR" }));
  await expectError(() => client(KEY_ID, "wrong").orders.all());
  await control("/faults", { name: "rate_limit" });
  await expectError(() => razorpay.orders.all());
  await control("/faults", { name: "server_error" });
  await expectError(() => razorpay.orders.all());
  process.stdout.write(JSON.stringify(calls));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

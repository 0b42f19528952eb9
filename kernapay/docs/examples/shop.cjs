// A shop's back end in Express: `npm install express standardwebhooks`, then `node shop.cjs`.
const express = require("express");
const { Webhook } = require("standardwebhooks");

const API = process.env.KERNAPAY_API; // such as https://pay.shop.example/v1/api
const KEY = process.env.KERNAPAY_KEY; // an API key with the scope payments:write
const SECRET = process.env.KERNAPAY_SECRET; // whsec_… of the endpoint that leads to /kernapay

const app = express();
// Your database. `reference` is what KernaPay calls the payment.
const orders = { 7: { amount: 49900, reference: null, paid: false } };

app.post("/orders/:number/pay", async (request, response) => {
  const order = orders[request.params.number];
  const answer = await fetch(`${API}/payments/create`, {
    method: "POST",
    headers: { Authorization: `Bearer ${KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify({
      amount: order.amount,
      currency: "INR",
      serviceType: "CONSULTATION",
      // The same however often somebody clicks, so there is one order and one link.
      idempotencyKey: `order-${request.params.number}`,
      customer: { reference: "customer-1", name: "Ravi Iyer" },
      checkout: true,
    }),
  });
  if ([429, 503].includes(answer.status)) {
    return response.status(503).set("Retry-After", "2").send("Please try again in a moment.");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${said.code}: ${said.detail}`);
  order.reference = said.data.referenceId;
  response.redirect(303, said.data.checkoutUrl);
});

// The raw bytes: the signature is of them, and not of what a parser makes of them.
app.post("/kernapay", express.raw({ type: "application/json" }), (request, response) => {
  let told;
  try {
    told = new Webhook(SECRET).verify(request.body, request.headers);
  } catch {
    return response.sendStatus(400);
  }
  if (told.type === "payment.succeeded") {
    const paid = told.data;
    for (const order of Object.values(orders)) {
      // In production, demand paid.livemode as well: without it, no real money was paid.
      const isRight = paid.amount === order.amount && paid.currency === "INR";
      if (order.reference === paid.referenceId && isRight) order.paid = true;
    }
  }
  response.sendStatus(204);
});

app.get("/orders/:number", (request, response) => response.json(orders[request.params.number]));

app.listen(process.env.PORT, "127.0.0.1");

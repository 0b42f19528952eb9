"""A shop's back end in Flask: `pip install flask httpx standardwebhooks`, then `flask --app shop run`."""

import os

import httpx
from flask import Flask, redirect, request
from standardwebhooks import Webhook, WebhookVerificationError

API = os.environ["KERNAPAY_API"]  # such as https://pay.shop.example/v1/api
KEY = os.environ["KERNAPAY_KEY"]  # an API key with the scope payments:write
SECRET = os.environ["KERNAPAY_SECRET"]  # whsec_… of the endpoint that leads to /kernapay

app = Flask(__name__)
# Your database. `reference` is what KernaPay calls the payment.
orders = {"7": {"amount": 49900, "reference": None, "paid": False}}


@app.post("/orders/<number>/pay")
def pay(number):
    order = orders[number]
    answer = httpx.post(
        f"{API}/payments/create",
        headers={"Authorization": f"Bearer {KEY}"},
        json={
            "amount": order["amount"],
            "currency": "INR",
            "serviceType": "CONSULTATION",
            # The same however often somebody clicks, so there is one order and one link.
            "idempotencyKey": f"order-{number}",
            "customer": {"reference": "customer-1", "name": "Ravi Iyer"},
            "checkout": True,
        },
        timeout=30,
    )
    if answer.status_code in (429, 503):
        return "Please try again in a moment.", 503, {"Retry-After": "2"}
    answer.raise_for_status()
    data = answer.json()["data"]
    order["reference"] = data["referenceId"]
    return redirect(data["checkoutUrl"], 303)


@app.post("/kernapay")
def event():
    try:
        told = Webhook(SECRET).verify(request.data, request.headers)
    except WebhookVerificationError:
        return "", 400
    if told["type"] == "payment.succeeded":
        paid = told["data"]
        for order in orders.values():
            is_it = order["reference"] == paid["referenceId"]
            # In production, demand paid["livemode"] as well: without it, no real money was paid.
            if is_it and (paid["amount"], paid["currency"]) == (order["amount"], "INR"):
                order["paid"] = True
    return "", 204


@app.get("/orders/<number>")
def show(number):
    return orders[number]

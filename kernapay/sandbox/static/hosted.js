"use strict";

/* The page of a payment link, and the hosted Checkout to which a shop's form posts its options. */
const page = JSON.parse(document.getElementById("page").textContent);
const byId = (id) => document.getElementById(id);

byId("name").textContent = page.options.name;
byId("description").textContent = page.options.description || "";
byId("amount").textContent = page.display;
byId("state").textContent = page.state;
document.title = `${page.options.name}: ${page.display}`;

async function finish(response) {
  const query = new URLSearchParams({ payment_id: response.razorpay_payment_id });
  const answer = await fetch(`${location.pathname}/result?${query}`);
  const result = await answer.json();
  if (!answer.ok) byId("state").textContent = result.error.description;
  else if (result.callback) location.assign(result.callback);
  else location.reload();
}

function pay() {
  const options = { ...page.options, modal: {} };
  if (page.cancel_url) options.modal.ondismiss = () => location.assign(page.cancel_url);
  if (!options.callback_url) options.handler = finish;
  new Razorpay(options).open();
}

if (page.payable) {
  byId("pay").hidden = false;
  byId("pay").addEventListener("click", pay);
  if (page.opens_at_once) pay();
}

// One payment from order to confirmation. Nothing here knows this demo: copy the file, with a `call` of your own.

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
// Answers that say neither yes nor no. The same request may be sent again: nothing happens twice.
const isUndecided = ({ status, body }) =>
  [0, 429, 500, 502, 503, 504].includes(status) || body.code === "not_captured_yet";

// step: create
/** Create the order of a cart. The same key makes one order, however often this runs. */
export async function createOrder(call, cart, idempotencyKey) {
  for (let tries = 1; ; tries += 1) {
    const answer = await call("POST", "/payments/create", { ...cart, idempotencyKey });
    if (answer.ok || !isUndecided(answer) || tries === 5) return answer;
    await pause(answer.retryAfter || tries);
  }
}

// step: checkout
/** Open Checkout for an order. Return what it signed, or what went wrong if the window was closed without it. */
export function openCheckout(options) {
  return new Promise((done) => {
    let failure = null;
    const checkout = new window.Razorpay({
      ...options,
      handler: (proof) => done({ proof }),
      modal: { ondismiss: () => done({ failure }) },
    });
    // The window stays open then, for another try on the same order.
    checkout.on("payment.failed", ({ error }) => (failure = error));
    checkout.open();
  });
}

// step: verify
/** Hand in what Checkout signed until the answer is yes or no. `wait` is called before each pause. */
export async function confirmPayment(call, referenceId, proof, wait) {
  const body = {
    referenceId,
    razorpayOrderId: proof.razorpay_order_id,
    razorpayPaymentId: proof.razorpay_payment_id,
    razorpaySignature: proof.razorpay_signature,
  };
  for (let seconds = 2; ; seconds = Math.min(seconds * 2, 30)) {
    const answer = await call("POST", "/payments/verify", body);
    if (!isUndecided(answer)) return answer;
    wait(answer);
    await pause(answer.retryAfter || seconds);
  }
}

// step: watch
/** Show every change of a payment until the sale has ended, by the stream or by asking. Return what ends it. */
export function watchPayment(call, referenceId, show) {
  const stream = new EventSource(`/v1/api/payments/${referenceId}/events`);
  let isOver = false;
  const see = (status) => {
    if (isOver) return;
    show(status);
    if (status.final) stop();
  };
  const stop = () => {
    isOver = true;
    stream.close();
  };
  const ask = async () => {
    while (!isOver) {
      const { ok, body } = await call("GET", `/payments/status/${referenceId}`);
      if (ok) see(body);
      await pause(3);
    }
  };
  stream.addEventListener("state", (event) => see(JSON.parse(event.data)));
  stream.addEventListener("step", (event) => see(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    // The browser connects again by itself, unless it was refused.
    if (stream.readyState === EventSource.CLOSED && !isOver) ask();
  });
  return stop;
}
// step: end

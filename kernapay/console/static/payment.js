/** One payment: where its money is, what happened, and what can be done about it. */

import { html, useState } from "./standalone.mjs";
import { Foreign, Time, money } from "./format.js";
import { call, download, query } from "./http.js";
import { Icon } from "./icons.js";
import { Copied, Failure, Loading, StatusPill, methodOf, shortened, useLoaded } from "./parts.js";
import { CaptureDialog, RefundDialog, hasOpenRefund } from "./actions.js";
import { Link, useTitle } from "./route.js";
import { Timeline } from "./timeline.js";

export function PaymentPage({ session, id: reference }) {
  useTitle(`Payment ${shortened(reference)}`);
  const path = `/payments/${encodeURIComponent(reference)}`;
  const { data, isLoading, problem, reload } = useLoaded(() => call("GET", `${path}/story`), [reference]);
  if (problem && !data) {
    return html`<h1 tabindex="-1">Payment</h1><section class="card"><${Failure} problem=${problem} onRetry=${reload} /></section>`;
  }
  if (!data) return html`<h1 class="vh" tabindex="-1">Payment</h1><section class="card"><${Loading} rows=${12} /></section>`;
  const isAdmin = session.user.type === "ADMIN";
  return html`<div class="story">
    <nav class="crumb" aria-label="Place"><${Link} to="/console/payments">Payments<//><${Icon} name="chev" /><span>${shortened(reference)}</span></nav>
    ${problem && html`<section class="card"><${Failure} problem=${problem} onRetry=${reload} /></section>`}
    <${Head} story=${data} path=${path} reload=${reload} isLoading=${isLoading} />
    ${isAdmin && data.payment.amountPaid != null && html`<${Money} payment=${data.payment} lost=${data.amountLost ?? 0} />`}
    <div class="cols">
      <${Timeline} story=${data} path=${path} isAdmin=${isAdmin} />
      <div class="stack">
        <${Books} payment=${data.payment} isAdmin=${isAdmin} />
        <${Refunds} payment=${data.payment} />
        <${Disputes} payment=${data.payment} />
        <${Details} story=${data} isAdmin=${isAdmin} />
        <${Entries} title="Notes and metadata" values=${{ ...data.payment.notes, ...data.payment.metadata }} />
      </div>
    </div>
  </div>`;
}

function Head({ story, path, reload, isLoading }) {
  const { payment, payer, actions } = story;
  const [open, setOpen] = useState(hasOpenRefund(payment.referenceId) && actions.refund ? "refund" : null);
  const [failure, setFailure] = useState(null);
  const [checked, setChecked] = useState("");
  const [isChecking, setChecking] = useState(false);
  const check = async () => {
    setFailure(null);
    setChecked("");
    setChecking(true);
    try {
      const { hasChanged } = await call("POST", `${path}/check`);
      setChecked(hasChanged ? "The gateway knew something new." : "The gateway says the same.");
      reload();
    } catch (problem) {
      setFailure(problem);
    } finally {
      setChecking(false);
    }
  };
  const close = () => {
    setOpen(null);
    reload();
  };
  const receipt = async () => {
    setFailure(null);
    try {
      const file = URL.createObjectURL(await download(`${path}/receipt`));
      const link = document.createElement("a");
      link.href = file;
      link.download = `receipt-${shortened(payment.referenceId, 30, 4)}.pdf`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(file), 60_000);
    } catch (problem) {
      setFailure(problem);
    }
  };
  return html`<div class="head">
      <div>
        <h1 class="amount" tabindex="-1">${money(payment.amount, payment.currency)} <${StatusPill} payment=${payment} /></h1>
        <p class="sub">
          ${payer && html`<b><${Foreign} text=${payer.name || payer._id} /></b>`}
          <span title=${payment.description || payment.serviceType}>for <b><${Foreign} text=${payment.description || payment.serviceType} /></b></span>
          ${payment.paymentMethod && html`<span>by ${methodOf(payment)}</span>`}
          <${Time} at=${payment.createdAt} />
        </p>
      </div>
      <div class="right">
        ${actions.check
          ? html`<button type="button" class="btn" data-action="check" onClick=${check} disabled=${isChecking}><${Icon} name="sync" />${isChecking ? "Asking …" : "Ask the gateway"}</button>`
          : html`<button type="button" class="btn" onClick=${reload} disabled=${isLoading}><${Icon} name="sync" />Refresh</button>`}
        ${actions.receipt && html`<button type="button" class="btn" onClick=${receipt}><${Icon} name="file" />Receipt</button>`}
        ${actions.capture && html`<button type="button" class="btn" onClick=${() => setOpen("capture")}><${Icon} name="lock" />Capture…</button>`}
        ${actions.refund && html`<button type="button" class="btn primary" data-action="refund" onClick=${() => setOpen("refund")}><${Icon} name="refund" />Refund…</button>`}
      </div>
    </div>
    <p class="said soft" role="status">${checked}</p>
    ${failure && html`<section class="card"><${Failure} problem=${failure} /></section>`}
    ${open === "refund" && html`<${RefundDialog} story=${story} path=${path} onClose=${close} />`}
    ${open === "capture" && html`<${CaptureDialog} story=${story} path=${path} onClose=${close} />`}`;
}

/** What became of what was paid, as one bar. Widths are attributes: the page's policy allows no inline style. */
function Money({ payment, lost }) {
  const paid = payment.amountPaid ?? payment.amount;
  const fee = payment.fee ?? 0;
  const refunded = payment.amountRefunded;
  const kept = Math.max(0, paid - fee - refunded - lost);
  const parts = [
    ["Stays with you", kept, "good"],
    [payment.tax ? `Fee, with ${money(payment.tax, payment.currency)} tax` : "Fee", fee, "edge"],
    ["Refunded", refunded, "back"],
    ...(lost ? [["Taken back by the bank", lost, "bad"]] : []),
  ];
  const total = kept + fee + refunded + lost || 1;
  let from = 0;
  const bars = parts.map(([word, amount, look]) => {
    const width = (amount / total) * 1000;
    const bar = html`<rect key=${word} class=${look} x=${from} y="0" width=${width} height="10" />`;
    from += width;
    return bar;
  });
  return html`<section class="card flow" aria-label="Where the money is">
    <svg viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">${bars}</svg>
    <dl>
      <div><dt>Paid</dt><dd>${money(paid, payment.currency)}</dd></div>
      ${parts.map(([word, amount, look]) => html`<div key=${word}><dt><span class=${`dot ${look}`}></span>${word}</dt><dd>${money(amount, payment.currency)}</dd></div>`)}
      <div><dt>Settlement</dt><dd>${payment.settledAt ? html`<${Time} at=${payment.settledAt} />` : "not settled yet"}</dd></div>
    </dl>
  </section>`;
}

function Books({ payment, isAdmin }) {
  if (!isAdmin) return null;
  const checks = [
    [!payment.mismatches.length, "No evidence that does not match", `${payment.mismatches.length} pieces of evidence do not match`],
    [!payment.surplusPayments.length, "No second payment on its order", `${payment.surplusPayments.length} payments that are not for this sale`],
    [!payment.surplusOrders.length, "One order at the gateway", `${payment.surplusOrders.length} orders that nobody may pay`],
  ];
  const isGood = checks.every(([ok]) => ok);
  return html`<section class="card">
    <header><h2>${isGood ? "Nothing needs a look" : "Needs a look"}</h2></header>
    <ul class="ok">${checks.map(([ok, good, bad]) => html`<li key=${good}><${Icon} name=${ok ? "check" : "alert"} look=${ok ? "good" : "bad"} /><span>${ok ? good : bad}</span></li>`)}</ul>
  </section>`;
}

function Refunds({ payment }) {
  if (!payment.refunds.length) return null;
  return html`<section class="card">
    <header><h2>Refunds</h2><span class="right soft small">${money(payment.amountRefunded, payment.currency)} in all</span></header>
    ${payment.refunds.map((refund, number) => html`<dl class="facts" key=${number}>
      <${Fact} label=${refund.status}><b>${money(refund.amount, payment.currency)}</b><//>
      ${refund.createdAt && html`<${Fact} label="Requested"><${Time} at=${refund.createdAt} /><//>`}
      ${refund.reason && html`<${Fact} label="Reason"><${Foreign} text=${refund.reason} /><//>`}
      ${refund.refundId && html`<${Fact} label="Id"><${Copied} text=${refund.refundId} label="the refund's id" /><//>`}
      ${refund.arn && html`<${Fact} label="Bank reference"><${Copied} text=${refund.arn} label="the bank reference" /><//>`}
      ${refund.failure && html`<${Fact} label="Failed"><span class="bad"><${Foreign} text=${refund.failure} /></span><//>`}
    </dl>`)}
  </section>`;
}

function Disputes({ payment }) {
  if (!payment.disputes.length) return null;
  return html`<section class="card">
    <header><h2>Disputes</h2></header>
    ${payment.disputes.map((dispute) => html`<dl class="facts" key=${dispute.disputeId}>
      <${Fact} label=${dispute.status.replace("_", " ")}><b>${money(dispute.amount, dispute.currency)}</b><//>
      <${Fact} label="Phase">${dispute.phase.replace("_", " ")}<//>
      ${dispute.respondBy && html`<${Fact} label="Answer by"><${Time} at=${dispute.respondBy} /><//>`}
      ${dispute.reasonDescription && html`<${Fact} label="Reason"><${Foreign} text=${dispute.reasonDescription} /><//>`}
      <${Fact} label="Id"><${Copied} text=${dispute.disputeId} label="the dispute's id" /><//>
    </dl>`)}
  </section>`;
}

function Details({ story, isAdmin }) {
  const { payment, payer } = story;
  const ids = [
    ["Reference", payment.referenceId],
    ["Order", payment.razorpayOrderId],
    ["Payment", payment.razorpayPaymentId],
    ["Provider", payment.providerId],
    ["Customer", payment.customerId],
  ];
  return html`<section class="card">
    <header><h2>Details</h2></header>
    <dl class="facts">
      ${ids.filter(([, id]) => id).map(([label, id]) => html`<${Fact} key=${label} label=${label}><${Copied} text=${id} label=${label} /><//>`)}
      <${Fact} label="Service"><${Foreign} text=${payment.serviceType} /><//>
      ${payer && html`<${Fact} label="Payer"><span><${Foreign} text=${payer.name || payer._id} />${isAdmin && html`, <${Link} to=${`/console/payments${query({ userId: payer._id })}`}>all payments<//>`}</span><//>`}
      ${payer?.email && html`<${Fact} label="E-mail"><${Foreign} text=${payer.email} /><//>`}
      ${payment.paidAt && html`<${Fact} label="Paid"><${Time} at=${payment.paidAt} /><//>`}
      ${payment.payableUntil && html`<${Fact} label="Payable until"><${Time} at=${payment.payableUntil} /><//>`}
      <${Fact} label="Money">${payment.livemode === true ? "real" : payment.livemode === false ? "test" : "not known"}<//>
    </dl>
  </section>`;
}

function Entries({ title, values }) {
  const entries = Object.entries(values);
  if (!entries.length) return null;
  return html`<section class="card">
    <header><h2>${title}</h2></header>
    <dl class="facts">${entries.map(([name, value]) => html`<${Fact} key=${name} label=${html`<${Foreign} text=${name} />`}><${Foreign} text=${typeof value === "string" ? value : JSON.stringify(value)} /><//>`)}</dl>
  </section>`;
}

function Fact({ label, children }) {
  return html`<div><dt>${label}</dt><dd>${children}</dd></div>`;
}

/** What moves money: each says what it will do, asks once, and cannot be sent twice. */

import { html, useRef, useState } from "./standalone.mjs";
import { decimal, money, parseMoney } from "./format.js";
import { Problem, call } from "./http.js";
import { Icon } from "./icons.js";
import { Dialog, Field } from "./parts.js";

const place = (reference) => `kp.refund.${reference}`;

/** A refund of which it is not known what became of it: its key and what it was for outlive a reload of the page. */
function storedRefund(reference) {
  try {
    return JSON.parse(sessionStorage.getItem(place(reference)));
  } catch {
    return null;
  }
}

export function hasOpenRefund(reference) {
  return storedRefund(reference)?.isSent === true;
}

/**
 * Whether a failure says what became of the refund. Who is not signed in, or may not refund, is refused before anybody
 * looks at the refund: for the first attempt, that is an answer; of an earlier attempt, it says nothing.
 */
function isAnswer(failure, wasSent) {
  if (!(failure instanceof Problem) || failure.isUnknown) return false;
  return !wasSent || (failure.status !== 401 && failure.status !== 403);
}

function newKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return `console-${Array.from(random, (each) => each.toString(16).padStart(2, "0")).join("")}`;
}

export function RefundDialog({ story, path, onClose }) {
  const { payment, actions } = story;
  const { referenceId, currency } = payment;
  const [draft, setDraft] = useState(
    () => storedRefund(referenceId) || { key: newKey(), amount: decimal(actions.refundable, currency), reason: "", speed: "normal", isSent: false },
  );
  const [problem, setProblem] = useState(null);
  const [done, setDone] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const isRunning = useRef(false);
  const amount = parseMoney(draft.amount, currency);
  const isTooMuch = amount !== null && amount > actions.refundable && !draft.isSent;
  const change = (event) => setDraft({ ...draft, [event.target.name]: event.target.value });

  const submit = async (event) => {
    event.preventDefault();
    // A second click comes before the button is drawn anew.
    if (isRunning.current || done || amount === null || isTooMuch || !draft.reason.trim()) return;
    isRunning.current = true;
    setBusy(true);
    setProblem(null);
    const sent = { ...draft, isSent: true };
    sessionStorage.setItem(place(referenceId), JSON.stringify(sent));
    setDraft(sent);
    try {
      const body = { amount, reason: draft.reason.trim(), speed: draft.speed, idempotencyKey: draft.key };
      const answer = await call("POST", `${path}/refunds`, body);
      sessionStorage.removeItem(place(referenceId));
      setDone(answer.data);
    } catch (failure) {
      setProblem(failure);
      if (isAnswer(failure, draft.isSent)) {
        sessionStorage.removeItem(place(referenceId));
        setDraft({ ...draft, key: newKey(), isSent: false });
      }
    } finally {
      isRunning.current = false;
      setBusy(false);
    }
  };

  if (done) {
    return html`<${Dialog} title="Refund" onClose=${onClose}>
      <p class="result good" role="status"><${Icon} name="check" />${said(done)}</p>
      ${done.warning && html`<p class="warn">${done.warning}</p>`}
      <p class="soft">${money(done.amountRefundable, done.currency)} can still be refunded.</p>
      <div class="row"><button type="button" class="btn primary" onClick=${onClose} autofocus>Close</button></div>
    <//>`;
  }
  const isUnknown = draft.isSent && !isBusy;
  return html`<${Dialog} title="Refund" onClose=${onClose} isBusy=${isBusy}>
    <form class="form" onSubmit=${submit} novalidate>
      <p class="soft">${money(actions.refundable, currency)} of ${money(payment.amountPaid ?? payment.amount, currency)} can be refunded. The gateway's fee is not returned.</p>
      <${Field} id="refund-amount" label=${`Amount in ${currency}`} problem=${amountProblem(draft, amount, isTooMuch, actions, currency) || problem?.of?.("amount")}
        hint=${amount === null ? "" : `${money(amount, currency)}, ${amount} in minor units`}>
        <input id="refund-amount" name="amount" inputmode="decimal" autocomplete="off" value=${draft.amount} onInput=${change} disabled=${draft.isSent} />
      <//>
      <${Field} id="refund-reason" label="Reason" problem=${problem?.of?.("reason")} hint="Kept with the refund, for whoever asks later.">
        <input id="refund-reason" name="reason" maxlength="256" required autocomplete="off" value=${draft.reason} onInput=${change} disabled=${draft.isSent} />
      <//>
      <fieldset disabled=${draft.isSent}>
        <legend>Speed</legend>
        <label><input type="radio" name="speed" value="normal" checked=${draft.speed === "normal"} onChange=${change} /> Normal, in some working days</label>
        <label><input type="radio" name="speed" value="optimum" checked=${draft.speed === "optimum"} onChange=${change} /> At once where the bank allows it, for a fee</label>
      </fieldset>
      ${isUnknown && html`<p class="warn" role="alert"><b>Asked, not yet answered.</b> It is not known whether the refund was made. Asking again is the same refund, never a second one.</p>`}
      ${problem && !problem.of?.("amount") && !problem.of?.("reason") && html`<p class=${isUnknown ? "soft" : "bad"} role="alert">${problem.message}</p>`}
      <div class="row">
        <button type="button" class="btn" onClick=${onClose} disabled=${isBusy}>Close</button>
        <button class="btn primary" disabled=${isBusy || amount === null || isTooMuch || !draft.reason.trim()}>
          ${isBusy ? "Asking the gateway …" : isUnknown ? "Ask again" : amount === null ? "Refund" : `Refund ${money(amount, currency)}`}
        </button>
      </div>
    </form>
  <//>`;
}

function amountProblem(draft, amount, isTooMuch, actions, currency) {
  if (!draft.amount.trim()) return "";
  if (amount === null) return `An amount such as ${decimal(actions.refundable, currency)}`;
  return isTooMuch ? `At most ${money(actions.refundable, currency)} can be refunded.` : "";
}

function said(refund) {
  const amount = money(refund.amount, refund.currency);
  switch (refund.status) {
    case "processed":
      return `${amount} refunded.`;
    case "failed":
      return `The refund of ${amount} failed.`;
    default:
      return `Refund of ${amount} requested. The bank takes some days.`;
  }
}

export function CaptureDialog({ story, path, onClose }) {
  const { payment } = story;
  const [problem, setProblem] = useState(null);
  const [done, setDone] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const isRunning = useRef(false);
  const capture = async () => {
    if (isRunning.current || done) return;
    isRunning.current = true;
    setBusy(true);
    setProblem(null);
    try {
      setDone((await call("POST", `${path}/capture`)).data);
    } catch (failure) {
      setProblem(failure);
    } finally {
      isRunning.current = false;
      setBusy(false);
    }
  };
  return html`<${Dialog} title="Capture" onClose=${onClose} isBusy=${isBusy}>
    ${done
      ? html`<p class="result good" role="status"><${Icon} name="check" />The payment is now: ${done.status}.</p>`
      : html`<p>The gateway is asked for an authorised payment of this order, and told to capture ${money(payment.amount, payment.currency)}. Payments are captured by themselves: this is for when that failed. Asking twice is harmless.</p>`}
    ${problem && html`<p class="bad" role="alert">${problem.message}</p>`}
    <div class="row">
      <button type="button" class="btn" onClick=${onClose} disabled=${isBusy}>Close</button>
      ${!done && html`<button type="button" class="btn primary" onClick=${capture} disabled=${isBusy}>${isBusy ? "Asking the gateway …" : "Capture"}</button>`}
    </div>
  <//>`;
}

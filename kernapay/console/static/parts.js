/** Small parts of every page. */

import { html, useEffect, useRef, useState } from "./standalone.mjs";
import { Icon } from "./icons.js";

export const ROLES = { USER: "User", PROVIDER: "Provider", LAB_ASSISTANT: "Lab assistant", ADMIN: "Administrator" };

const PILLS = {
  paid: ["good", "check", "Paid"],
  failed: ["bad", "x", "Failed"],
  expired: ["soft", "x", "Ended unpaid"],
  pending: ["warn", "half", "Confirming"],
  authorised: ["info", "lock", "Authorised"],
  refunded: ["back", "refund", "Refunded"],
  part: ["back", "refund", "Refunded in part"],
  waits: ["warn", "half", "Refund waits"],
};

function pillOf(payment) {
  if (payment.refundStatus === "requested") return "waits";
  if (payment.status === "success") return payment.amountRefunded ? "part" : "paid";
  if (payment.status === "failed") return payment.final ? "expired" : "failed";
  if (payment.status === "pending" && payment.authorizedAt) return "authorised";
  return payment.status;
}

/** A state: icon, word and colour, never colour alone. */
export function Pill({ look, icon, word }) {
  return html`<span class=${`pill ${look}`}><${Icon} name=${icon} />${word}</span>`;
}

/** The status of a payment. */
export function StatusPill({ payment }) {
  const [look, icon, word] = PILLS[pillOf(payment)] || ["soft", "clock", payment.status];
  return html`<${Pill} look=${look} icon=${icon} word=${word} />`;
}

export const METHODS = { upi: "UPI", card: "Card", netbanking: "Net banking", wallet: "Wallet", emandate: "eMandate" };

export function methodOf(payment) {
  return payment.paymentMethod ? METHODS[payment.paymentMethod] || payment.paymentMethod : "";
}

/** A long id, shortened in the middle. */
export function shortened(id, head = 10, tail = 4) {
  return id.length > head + tail + 1 ? `${id.slice(0, head)}…${id.slice(-tail)}` : id;
}

/** An id with a button that copies it. */
export function Copied({ text, label }) {
  const [isCopied, setCopied] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      setTimeout(() => setCopied(false), 2000);
    } catch {
      setCopied(false);
    }
  };
  return html`<span class="copied">
    <code title=${text}><bdi>${text}</bdi></code>
    <button type="button" class="bare" onClick=${copy} aria-label=${`Copy ${label}`}>
      <${Icon} name=${isCopied ? "check" : "copy"} />
    </button>
    <span class="vh" role="status">${isCopied ? "Copied" : ""}</span>
  </span>`;
}

/** A QR code of the API: dark on light, also where the page is dark. */
export function QrCode({ code, label }) {
  return html`<svg class="qr" viewBox=${`-4 -4 ${code.size + 8} ${code.size + 8}`} role="img" aria-label=${label}><path d=${code.path} /></svg>`;
}

/** What went wrong, in the place of the part that failed. */
export function Failure({ problem, onRetry }) {
  return html`<div class="failure" role="alert">
    <p class="strong"><${Icon} name="alert" />${problem.message}</p>
    ${problem.errors?.map((each) => html`<p key=${each.field}><code>${each.field}</code> ${each.message}</p>`)}
    ${problem.requestId && html`<p class="soft small">Request <${Copied} text=${problem.requestId} label="the request's id" /></p>`}
    ${onRetry && html`<button type="button" class="btn small" onClick=${onRetry}>Try again</button>`}
  </div>`;
}

/** Grey bars in the final layout, after a moment: what comes at once needs none. */
export function Loading({ rows = 6 }) {
  const [isShown, show] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => show(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return html`<div class="loading" aria-busy="true">
    <span class="vh" role="status">Loading</span>
    ${isShown && Array.from({ length: rows }, (_, row) => html`<div class="bar" key=${row}></div>`)}
  </div>`;
}

let dialogs = 0;

/** A dialog over the page. The browser keeps the focus in it, and gives it back. */
export function Dialog({ title, onClose, children, isBusy = false }) {
  const dialog = useRef();
  const [id] = useState(() => `dialog-${(dialogs += 1)}`);
  const isGone = useRef(false);
  useEffect(() => {
    const shown = dialog.current;
    shown.showModal();
    return () => {
      isGone.current = true;
      // What is only taken away does not give the focus back.
      shown.close();
    };
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    if (onClose && !isBusy) onClose();
  };
  // Browsers close it at the third Escape, whatever they are told.
  const closed = () => {
    if (isGone.current) return;
    if (onClose && !isBusy) onClose();
    else dialog.current.showModal();
  };
  return html`<dialog ref=${dialog} onCancel=${cancel} onClose=${closed} aria-labelledby=${id}>
    <h2 id=${id}>${title}</h2>
    ${children}
  </dialog>`;
}

/** A field with its label and, if the API refused it, the reason. */
export function Field({ id, label, problem, hint, children }) {
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${children}
    ${hint && html`<p class="soft small" id=${`${id}-hint`}>${hint}</p>`}
    ${problem && html`<p class="bad small" role="alert" id=${`${id}-problem`}>${problem}</p>`}
  </div>`;
}

/** Load what a page shows, and again on demand. Earlier data stays until the new is there. `load` learns whether the page asks by itself. */
export function useLoaded(load, keys) {
  const [state, setState] = useState({ isLoading: true });
  const [round, setRound] = useState({});
  useEffect(() => {
    let isCurrent = true;
    setState((before) => ({ ...before, isLoading: true, problem: undefined }));
    load(round.isByItself).then(
      (data) => isCurrent && setState({ data, isLoading: false, at: Date.now() }),
      (problem) => isCurrent && setState((before) => ({ ...before, isLoading: false, problem })),
    );
    return () => {
      isCurrent = false;
    };
  }, [...keys, round]);
  return { ...state, reload: ({ isByItself = false } = {}) => setRound({ isByItself }) };
}

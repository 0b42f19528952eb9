/** What changes something, other than money: each says what it will do, asks once, and shows its own result. */

import { html, useRef, useState } from "./standalone.mjs";
import { Icon } from "./icons.js";
import { Dialog, Failure } from "./parts.js";

/**
 * A button that opens a question. `run` does the act, `said` makes a sentence of the answer, `onDone` gets the answer
 * when the person has read it, or nothing if there is none. `children` say what will happen.
 */
export function Act({ word, icon, look = "", children, ...rest }) {
  const [isOpen, open] = useState(false);
  return html`<button type="button" class=${`btn ${look}`} onClick=${() => open(true)}>${icon && html`<${Icon} name=${icon} />`}${word}…</button>
    ${isOpen && html`<${Question} title=${word} ...${rest} onClose=${() => open(false)}>${children}<//>`}`;
}

function Question({ title, verb = title, run, said, onDone, again = "Doing it again is harmless.", onClose, children }) {
  const { done, problem, isBusy, act } = useAct(run);
  const close = () => {
    onClose();
    if (done || problem) onDone?.(done?.answer);
  };
  return html`<${Dialog} title=${title} onClose=${close} isBusy=${isBusy}>
    ${done ? html`<${Result}>${said(done.answer)}<//>` : children}
    ${problem && html`<${Failed} problem=${problem} again=${again} />`}
    <div class="row">
      <button type="button" class="btn" onClick=${close} disabled=${isBusy}>Close</button>
      ${!done && html`<button type="button" class="btn primary" onClick=${() => act()} disabled=${isBusy}>${isBusy ? "Working …" : verb}</button>`}
    </div>
  <//>`;
}

/** Do something at most once at a time, and never again after it was done. */
export function useAct(run) {
  const [state, setState] = useState({ done: null, problem: null, isBusy: false });
  const isTaken = useRef(false);
  const act = async (...given) => {
    // A second click comes before the button is drawn anew.
    if (isTaken.current) return;
    isTaken.current = true;
    setState({ done: null, problem: null, isBusy: true });
    try {
      setState({ done: { answer: await run(...given) }, problem: null, isBusy: false });
    } catch (problem) {
      isTaken.current = false;
      setState({ done: null, problem, isBusy: false });
    }
  };
  return { ...state, act };
}

export function Result({ children }) {
  return html`<p class="result good" role="status"><${Icon} name="check" /><span>${children}</span></p>`;
}

export function Failed({ problem, again }) {
  return html`<${Failure} problem=${problem} />${problem.isUnknown && html`<p class="warn">It is not known whether it was done. ${again}</p>`}`;
}

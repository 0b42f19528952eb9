/** Forms in a dialog: each says what it will do, is sent once, and shows its own result. */

import { html, useEffect, useRef, useState } from "./standalone.mjs";
import { Failed, Result, useAct } from "./act.js";
import { Icon } from "./icons.js";
import { Copied, Dialog, Field } from "./parts.js";

/**
 * A button that opens a form. `start` is what it holds at first. `fields` makes its fields of what is typed: each has a
 * `name`, a `label` and a `kind` (`text`, `lines`, `choice`, `marks`; else that of an input), and perhaps a `hint` and
 * `options` of `[value, word]`. `run` sends what is typed, `Done` shows the answer. With `isKept`, the answer is shown
 * until the person says that they have kept what it holds. `children` say what will happen.
 */
export function FormAct({ word, icon, look = "", ...rest }) {
  const [isOpen, open] = useState(false);
  return html`<button type="button" class=${`btn ${look}`} onClick=${() => open(true)}>${icon && html`<${Icon} name=${icon} />`}${word}…</button>
    ${isOpen && html`<${FormDialog} title=${word} ...${rest} onClose=${() => open(false)} />`}`;
}

function FormDialog({ title, verb = title, start, fields, run, Done, isKept, again, onDone, onClose, children }) {
  const [draft, setDraft] = useState(start);
  const { done, problem, isBusy, act } = useAct(() => run(draft));
  const shown = fields(draft);
  const body = useRef();
  // What was disabled meanwhile has lost the focus. A secret is copied before it is closed.
  useEffect(() => {
    if (done || problem) body.current.querySelector(done ? ".copied button, .row button" : "[data-wrong], .row .primary")?.focus();
  }, [done, problem]);
  const close = () => {
    onClose();
    if (done || problem) onDone?.(done?.answer);
  };
  const submit = (event) => {
    event.preventDefault();
    act();
  };
  if (done) {
    return html`<${Dialog} title=${title} onClose=${isKept ? null : close}>
      <div class="form" ref=${body}><${Done} answer=${done.answer} />
        <div class="row"><button type="button" class="btn primary" onClick=${close}>${isKept ? "I have kept it" : "Close"}</button></div></div>
    <//>`;
  }
  // What the API says of a field stands beside it, whatever place in it is meant: `types[2]`.
  const errors = problem?.errors || [];
  const saidOf = (name) => errors.filter((each) => each.field.split(/[.[]/)[0] === name).map((each) => each.message).join(" ");
  const isPlaced = errors.length > 0 && errors.every((each) => shown.some(({ name }) => name === each.field.split(/[.[]/)[0]));
  return html`<${Dialog} title=${title} onClose=${close} isBusy=${isBusy}>
    <form class="form" ref=${body} onSubmit=${submit} novalidate>
      ${children && html`<div class="soft">${children}</div>`}
      ${shown.map((field) => html`<${Entry} key=${field.name} field=${field} value=${draft[field.name]} problem=${saidOf(field.name)} isBusy=${isBusy}
        set=${(value) => setDraft((before) => ({ ...before, [field.name]: value }))} />`)}
      ${problem && !isPlaced && html`<${Failed} problem=${problem} again=${again} />`}
      <div class="row">
        <button type="button" class="btn" onClick=${close} disabled=${isBusy}>Close</button>
        <button class="btn primary" disabled=${isBusy}>${isBusy ? "Working …" : verb}</button>
      </div>
    </form>
  <//>`;
}

function Entry({ field, value, problem, isBusy, set }) {
  const { name, label, hint, kind = "text", options, ...rest } = field;
  const id = `form-${name}`;
  if (kind === "marks") {
    const toggle = (each) => (event) => set(event.target.checked ? [...value, each] : value.filter((other) => other !== each));
    return html`<fieldset disabled=${isBusy} aria-describedby=${problem ? `${id}-problem` : undefined}><legend>${label}</legend>
      ${hint && html`<p class="soft small">${hint}</p>`}
      ${options.map(([each, word]) => html`<label key=${each}><input type="checkbox" name=${name} value=${each} checked=${value.includes(each)} onChange=${toggle(each)} data-wrong=${problem ? "" : undefined} /> ${word}</label>`)}
      ${problem && html`<p class="bad small" role="alert" id=${`${id}-problem`}>${problem}</p>`}</fieldset>`;
  }
  const given = { id, name, disabled: isBusy, onInput: (event) => set(event.target.value), "data-wrong": problem ? "" : undefined, "aria-invalid": problem ? "true" : undefined, "aria-describedby": [problem && `${id}-problem`, hint && `${id}-hint`].filter(Boolean).join(" ") || undefined, ...rest };
  return html`<${Field} id=${id} label=${label} hint=${hint} problem=${problem}>
    ${kind === "choice" ? html`<select ...${given}>${options.map(([each, word]) => html`<option key=${each} value=${each} selected=${each === value}>${word}</option>`)}</select>`
      : kind === "lines" ? html`<textarea rows="3" spellcheck="false" ...${given} value=${value} />`
      : html`<input type=${kind} autocomplete="off" spellcheck="false" ...${given} value=${value} />`}<//>`;
}

/** A secret that is shown this once. */
export function ShownOnce({ text, label, children }) {
  return html`<${Result}>${children}<//>
    <p>It is shown only now. Copy it to where it is used.</p>
    <p class="key"><${Copied} text=${text} label=${label} /></p>`;
}

/** What somebody typed in lines, or between commas: each part without spaces around it, and no empty one. */
export function parts(text) {
  return text.split(/[\n,]/).map((each) => each.trim()).filter(Boolean);
}

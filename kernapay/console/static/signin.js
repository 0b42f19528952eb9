/** Sign in: a page, and a dialog over a page whose session has ended. */

import { html, useEffect, useRef, useState } from "./standalone.mjs";
import { call, callOnce } from "./http.js";
import { Mark } from "./icons.js";
import { Copied, Dialog, Field, QrCode } from "./parts.js";

/** Ask for what the API demands, step by step, until there is a session. */
function SignInForm({ email = "", onDone, onLeave, leave }) {
  const [step, setStep] = useState({ name: "password" });
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const form = useRef();
  const credentials = useRef({});

  useEffect(() => {
    form.current?.querySelector("input:not([readonly])")?.focus();
  }, [step.name]);

  const submit = async (event) => {
    event.preventDefault();
    if (isBusy) return;
    setBusy(true);
    setProblem(null);
    const typed = Object.fromEntries(new FormData(form.current));
    try {
      await send(typed);
    } catch (failure) {
      if (failure.code === "second_factor_required") setStep({ name: "code" });
      else setProblem(failure);
    } finally {
      setBusy(false);
    }
  };

  const send = async (typed) => {
    if (step.name === "enrol") {
      const body = { challenge: step.challenge.challenge, code: typed.code };
      const { data } = await callOnce("POST", "/console/session/enrolment", body);
      setStep({ name: "recovery", session: data.session, codes: data.recoveryCodes });
      return;
    }
    if (step.name === "password") credentials.current = { email: typed.email.trim(), password: typed.password };
    const body = step.name === "code" ? { ...credentials.current, code: typed.code } : credentials.current;
    const { status, data } = await callOnce("POST", "/console/session", body);
    if (status === 202) setStep({ name: "enrol", challenge: data });
    else onDone(data);
  };

  if (step.name === "recovery") {
    return html`<div class="form">
      <p>Your recovery codes. Each of them works once in the place of a code of the authenticator. They are shown only now: keep them where you keep what must not be lost.</p>
      <ul class="codes">${step.codes.map((code) => html`<li key=${code}><code>${code}</code></li>`)}</ul>
      <button type="button" class="btn primary" onClick=${() => onDone(step.session)}>I have kept them</button>
    </div>`;
  }
  return html`<form class="form" ref=${form} onSubmit=${submit} novalidate>
    ${step.name === "password" &&
    html`<${Field} id="email" label="E-mail address" problem=${problem?.of?.("email")}>
        <input id="email" name="email" type="email" autocomplete="username" required defaultValue=${email} readonly=${Boolean(email)} spellcheck="false" />
      <//>
      <${Field} id="password" label="Password" problem=${problem?.of?.("password")}>
        <input id="password" name="password" type="password" autocomplete="current-password" required />
      <//>`}
    ${step.name === "enrol" &&
    html`<p>Administrators need a second factor. Scan this with an authenticator app, or type the key into it. Then type the code that it shows.</p>
      <${QrCode} code=${step.challenge.qr} label="The key as a QR code" />
      <p class="key"><${Copied} text=${step.challenge.secret} label="the key" /></p>
      <p><a href=${step.challenge.uri}>Open in an authenticator on this device</a></p>`}
    ${step.name !== "password" &&
    html`<${Field} id="code" label=${step.name === "enrol" ? "Code" : "Code of your authenticator, or a recovery code"} problem=${problem?.of?.("code")}>
      <input id="code" name="code" autocomplete="one-time-code" required spellcheck="false" autocapitalize="none" />
    <//>`}
    ${problem && !problem.errors?.length && html`<p class="bad" role="alert">${problem.message}</p>`}
    <div class="row">
      ${onLeave && html`<button type="button" class="btn" onClick=${onLeave}>${leave}</button>`}
      <button class="btn primary" disabled=${isBusy}>${step.name === "password" ? "Sign in" : "Continue"}</button>
    </div>
  </form>`;
}

export function SignInPage({ onDone }) {
  useEffect(() => {
    document.title = "Sign in · KernaPay console";
  }, []);
  return html`<main class="gate">
    <section class="card">
      <div class="brand"><${Mark} /><span>KernaPay <em>console</em></span></div>
      <h1 tabindex="-1">Sign in</h1>
      <${SignInForm} onDone=${onDone} />
    </section>
  </main>`;
}

/** The page below stays as it is, with what was typed. */
export function SessionOver({ email, onDone, onLeave }) {
  return html`<${Dialog} title="Sign in again">
    <p>Your session has ended. What you typed on this page is still here.</p>
    <${SignInForm} email=${email} onDone=${onDone} onLeave=${onLeave} leave="Leave" />
  <//>`;
}

/** Over what somebody is about to do, of which nothing is done yet. */
export function ProveAgain({ session, onDone, onLeave }) {
  const [hasCode, askForCode] = useState(session.hasSecondFactor);
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const form = useRef();
  const isRunning = useRef(false);
  const isCodeNext = hasCode && (problem ? !problem.of("currentPassword") : !session.hasSecondFactor);
  useEffect(() => form.current.querySelector(isCodeNext ? "[name=code]" : "input").focus(), [problem, hasCode]);
  const submit = async (event) => {
    event.preventDefault();
    // A code does not work a second time, and a second click comes before the button is drawn anew.
    if (isRunning.current) return;
    isRunning.current = true;
    setBusy(true);
    setProblem(null);
    try {
      const { code, ...typed } = Object.fromEntries(new FormData(form.current));
      // The second factor may be gone since the sign-in. Then there is no code to type, and none is demanded.
      await call("POST", "/console/session/proof", code ? { ...typed, code } : typed);
      onDone();
    } catch (failure) {
      // It was enrolled after the sign-in.
      if (failure.code === "second_factor_required" && !hasCode) askForCode(true);
      else setProblem(failure);
      isRunning.current = false;
      setBusy(false);
    }
  };
  return html`<${Dialog} title="Confirm that it is you" onClose=${onLeave} isBusy=${isBusy}>
    <form class="form" ref=${form} onSubmit=${submit} novalidate>
      <p>You signed in a while ago. Before this is done, prove that nobody else has come to your screen.</p>
      <${Field} id="proof" label="Your password" problem=${problem?.of?.("currentPassword")}>
        <input id="proof" name="currentPassword" type="password" autocomplete="current-password" required /><//>
      ${hasCode && html`<${Field} id="proof-code" label="Code of your authenticator, or a recovery code" problem=${problem?.of?.("code")}>
        <input id="proof-code" name="code" autocomplete="one-time-code" required spellcheck="false" autocapitalize="none" /><//>`}
      ${problem && !problem.errors?.length && html`<p class="bad" role="alert">${problem.message}</p>`}
      <div class="row"><button type="button" class="btn" onClick=${onLeave} disabled=${isBusy}>Cancel</button>
        <button class="btn primary" disabled=${isBusy}>Continue</button></div>
    </form>
  <//>`;
}

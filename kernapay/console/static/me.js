/** The caller's own account: the second factor, and the devices that are signed in. */

import { html, useRef, useState } from "./standalone.mjs";
import { Foreign, Time } from "./format.js";
import { call } from "./http.js";
import { Copied, Failure, Field, Loading, QrCode, useLoaded } from "./parts.js";
import { useTitle } from "./route.js";
import { THEMES, chooseTheme, chosenTheme } from "./theme.js";

const FACTOR = "/users/second-factor";

export function MePage({ session }) {
  useTitle("Your account");
  return html`<div class="head"><div><h1 tabindex="-1">Your account</h1><p class="soft"><${Foreign} text=${session.user.email} /></p></div></div>
    <div class="cols"><${Devices} /><div class="stack"><${SecondFactor} /><${Theme} /></div></div>`;
}

function Theme() {
  const [chosen, choose] = useState(chosenTheme);
  const pick = (theme) => () => {
    chooseTheme(theme);
    choose(theme);
  };
  return html`<section class="card"><header><h2 id="theme">Light or dark</h2></header>
    <div class="pad"><fieldset aria-labelledby="theme">${Object.entries(THEMES).map(([theme, word]) => html`<label key=${theme}><input type="radio" name="theme" checked=${chosen === theme} onChange=${pick(theme)} />${word}</label>`)}</fieldset>
    <p class="soft small">For this browser, until you choose again.</p></div></section>`;
}

function Devices() {
  const { data, problem, reload } = useLoaded(() => call("GET", "/users/sessions"), []);
  const [failure, setFailure] = useState(null);
  const end = async (device) => {
    setFailure(null);
    try {
      await call("DELETE", `/users/sessions/${device._id}`);
      reload();
    } catch (error) {
      setFailure(error);
    }
  };
  return html`<section class="card">
    <header><h2>Where you are signed in</h2></header>
    ${problem ? html`<${Failure} problem=${problem} onRetry=${reload} />` : !data ? html`<${Loading} rows=${3} />` : html`<ul class="devices">${data.map(
      (device) => html`<li key=${device._id}>
        <div><p class="cutline"><${Foreign} text=${device.userAgent || "A program without a name"} /></p>
        <p class="soft small">since <${Time} at=${device.createdAt} />, last used <${Time} at=${device.lastUsedAt} /></p></div>
        ${device.current ? html`<span class="pill good">This one</span>` : html`<button type="button" class="btn small" onClick=${() => end(device)}>Sign out</button>`}
      </li>`,
    )}</ul>`}
    ${failure && html`<${Failure} problem=${failure} />`}
  </section>`;
}

function SecondFactor() {
  const { data, problem, reload } = useLoaded(() => call("GET", FACTOR), []);
  const [challenge, setChallenge] = useState(null);
  const [codes, setCodes] = useState(null);
  const [failure, setFailure] = useState(null);
  const form = useRef();
  const act = (send) => async (event) => {
    event.preventDefault();
    setFailure(null);
    try {
      await send(Object.fromEntries(new FormData(form.current)));
    } catch (error) {
      setFailure(error);
    }
  };
  const begin = act(async ({ password }) => setChallenge(await call("POST", FACTOR, { currentPassword: password })));
  const confirm = act(async ({ code }) => {
    setCodes((await call("POST", `${FACTOR}/confirm`, { challenge: challenge.challenge, code })).recoveryCodes);
    setChallenge(null);
    reload();
  });
  const disable = act(async ({ password, code }) => {
    await call("POST", `${FACTOR}/disable`, { currentPassword: password, code });
    setCodes(null);
    reload();
  });
  const password = html`<${Field} id="own-password" label="Your password" problem=${failure?.of?.("currentPassword")}>
    <input id="own-password" name="password" type="password" autocomplete="current-password" required /><//>`;
  const code = html`<${Field} id="own-code" label="Code" problem=${failure?.of?.("code")}>
    <input id="own-code" name="code" autocomplete="one-time-code" required spellcheck="false" autocapitalize="none" /><//>`;
  return html`<section class="card">
    <header><h2>Second factor</h2></header>
    <div class="pad">
      ${problem && html`<${Failure} problem=${problem} onRetry=${reload} />`}
      ${codes && html`<div class="form"><p>Your recovery codes. Each works once. They are shown only now.</p><ul class="codes">${codes.map((each) => html`<li key=${each}><code>${each}</code></li>`)}</ul></div>`}
      ${data && !data.isEnrolled && !challenge && html`<form class="form" ref=${form} onSubmit=${begin}>
        <p class="soft">With a second factor, a stolen password alone opens nothing: every sign-in asks for a code of your authenticator app.</p>
        ${password}<div class="row"><button class="btn primary">Set up</button></div></form>`}
      ${challenge && html`<form class="form" ref=${form} onSubmit=${confirm}>
        <p>Scan this with your authenticator, or type the key into it. Then type the code that it shows.</p>
        <${QrCode} code=${challenge.qr} label="The key as a QR code" />
        <p class="key"><${Copied} text=${challenge.secret} label="the key" /></p>
        <p><a href=${challenge.uri}>Open in an authenticator on this device</a></p>
        ${code}<div class="row"><button type="button" class="btn" onClick=${() => setChallenge(null)}>Cancel</button><button class="btn primary">Confirm</button></div></form>`}
      ${data?.isEnrolled && html`<form class="form" ref=${form} onSubmit=${disable}>
        <p class="soft">On since <${Time} at=${data.since} />. ${data.recoveryCodesLeft} recovery codes are left.</p>
        ${password}${code}<div class="row"><button class="btn">Remove</button></div></form>`}
      ${failure && !failure.errors?.length && html`<p class="bad" role="alert">${failure.message}</p>`}
    </div>
  </section>`;
}

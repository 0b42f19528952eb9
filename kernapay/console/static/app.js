/** The console: who is signed in, the shell around every page, and what happens when the session ends. */

import { html, render, useEffect, useRef, useState } from "./standalone.mjs";
import { Foreign, configure, zoneName } from "./format.js";
import { Problem, askWith, callOnce, lookAtSession, use } from "./http.js";
import { Icon, Mark } from "./icons.js";
import { Dialog, Failure, Loading, ROLES } from "./parts.js";
import { search } from "./payments.js";
import { Page, Rail, Tabs, hasOverview, placeOfKey } from "./places.js";
import { navigate, useRoute } from "./route.js";
import { ProveAgain, SessionOver, SignInPage } from "./signin.js";

const SIGN_IN = "/console/sign-in";
const HOME = "/console";
// A session may end while nobody does anything: look for that a little after it should have.
const LOOK_EVERY = 15_000;
const GRACE = 5_000;
// Another tab may still use it.
const LOOK_AGAIN = 60_000;

const session = (data) => {
  configure(data);
  return data;
};

function App() {
  const route = useRoute();
  const [who, setWho] = useState(undefined);
  const [problem, setProblem] = useState(null);

  const look = () => {
    setProblem(null);
    callOnce("GET", "/console/session").then(
      ({ data }) => setWho(session(data)),
      (failure) => (failure.isSessionOver || failure.status === 403 ? setWho(null) : setProblem(failure)),
    );
  };
  useEffect(look, []);
  useEffect(() => {
    if (who === null && route.path !== SIGN_IN) {
      const next = location.pathname + location.search;
      navigate(next === "/console" ? SIGN_IN : `${SIGN_IN}?next=${encodeURIComponent(next)}`, { replace: true });
    }
    if (who && (route.path === SIGN_IN || (route.path === HOME && !hasOverview(who)))) navigate(landing(route, who), { replace: true });
  }, [who, route.path]);

  if (problem) return html`<main class="gate"><section class="card"><h1 tabindex="-1">KernaPay console</h1><${Failure} problem=${problem} onRetry=${look} /></section></main>`;
  if (who === undefined) return html`<main class="gate"><h1 class="vh" tabindex="-1">KernaPay console</h1><${Loading} rows=${3} /></main>`;
  if (who === null) return html`<${SignInPage} onDone=${(data) => setWho(session(data))} />`;
  return html`<${Shell} who=${who} route=${route} onSession=${(data) => setWho(session(data))} onSignedOut=${() => setWho(null)} />`;
}

/** Where to go after the sign-in: within the console only. */
function landing(route, who) {
  const next = route.query.get("next") || "";
  if (/^\/console(\?|\/(?!sign-in))/.test(next) && hasOverview(who)) return next;
  if (/^\/console\/(?!sign-in)/.test(next)) return next;
  return hasOverview(who) ? HOME : "/console/payments";
}

function Shell({ who, route, onSession, onSignedOut }) {
  const over = useQuestion();
  const proof = useQuestion();
  const [areKeysShown, showKeys] = useState(false);
  const box = useRef();

  useEffect(() => {
    askWith({ signIn: over.ask, proof: proof.ask });
    return () => askWith({});
  }, []);
  useEffect(() => watchSession(who, over.open), [who]);
  useEffect(() => listenToKeys(box, who, () => showKeys(true)), [who]);

  const again = (data) => {
    // Somebody else: nothing of this page is theirs.
    if (data.user._id !== who.user._id) {
      location.assign("/console");
      return;
    }
    over.end("resolve");
    // Who has just signed in has proved it.
    proof.end("resolve");
    onSession(data);
  };
  const leave = () => {
    for (const each of [over, proof]) each.end("reject", new Problem(401, { detail: "Not signed in.", code: "unauthenticated" }));
    onSignedOut();
  };
  const signOut = async () => {
    try {
      await callOnce("DELETE", "/console/session");
    } catch (failure) {
      if (!failure.isSessionOver) throw failure;
    }
    onSignedOut();
  };
  return html`<a class="skip" href="#main" onClick=${skip}>To the content</a>
    <div class="shell">
      <nav class="side" aria-label="Console">
        <div class="brand"><${Mark} /><span>KernaPay <em>console</em></span></div>
        <${Rail} who=${who} route=${route} />
        <div class="who"><span class="face" aria-hidden="true">${initials(who.user.name)}</span>
          <span><span class="strong cutline"><${Foreign} text=${who.user.name} /></span><span class="soft small">${ROLES[who.user.type] || who.user.type}</span></span></div>
        <button type="button" class="btn small" onClick=${signOut}>Sign out</button>
      </nav>
      <div class="body">
        <header class="top">
          <span class="brandm"><${Mark} /></span>
          <${SearchBox} who=${who} box=${box} route=${route} />
          <span class="right"><span class="soft small" title=${`All times are in ${who.zone}`}>${zoneName()}</span>${!who.livemode && html`<span class="mode">Test keys</span>`}</span>
        </header>
        <main id="main" tabindex="-1"><${Page} who=${who} route=${route} /></main>
      </div>
    </div>
    <nav class="tabs" aria-label="Console"><${Tabs} who=${who} route=${route} /><button type="button" onClick=${signOut}><${Icon} name="out" />Sign out</button></nav>
    ${proof.isOpen && html`<${ProveAgain} session=${who} onDone=${() => proof.end("resolve")} onLeave=${() => proof.end("reject", proof.why)} />`}
    ${over.isOpen && html`<${SessionOver} email=${who.user.email} onDone=${again} onLeave=${leave} />`}
    ${areKeysShown && html`<${Keys} onClose=${() => showKeys(false)} />`}`;
}

function SearchBox({ who, box, route }) {
  const hint = who.user.type === "ADMIN" ? "Reference, order, payment, e-mail, UTR or note" : "Reference of a payment";
  const submit = (event) => {
    event.preventDefault();
    // So that keys act on what was found.
    box.current.blur();
    search(box.current.value, who);
  };
  return html`<form class="find" role="search" onSubmit=${submit}>
    <${Icon} name="search" />
    <input ref=${box} type="search" aria-label="Find a payment" placeholder=${hint} maxlength="320" spellcheck="false" autocomplete="off" key=${route.query.get("q") || ""} defaultValue=${route.query.get("q") || ""} />
    <kbd aria-hidden="true">/</kbd>
  </form>`;
}

function Keys({ onClose }) {
  const keys = [["/", "search"], ["G P", "payments; G and another first letter leads to that page"], ["J, K", "next, previous row"], ["Enter", "open"], ["C", "ask the gateway, on a payment"], ["R", "refund, on a payment"], ["Esc", "close"], ["?", "this list"]];
  return html`<${Dialog} title="Keys" onClose=${onClose}>
    <dl class="facts">${keys.map(([key, does]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${does}</dd></div>`)}</dl>
    <div class="row"><button type="button" class="btn primary" onClick=${onClose}>Close</button></div>
  <//>`;
}

/** Notice that the session has ended: when it should have, and when somebody comes back to the page. */
function watchSession(who, onOver) {
  let lookedAt = 0;
  const check = () => {
    lookedAt = Date.now();
    return lookAtSession().catch((failure) => {
      if (failure.isSessionOver) onOver();
    });
  };
  const isDue = () => {
    const now = Date.now();
    if (now - lookedAt < LOOK_AGAIN) return false;
    return now - use.at > who.idleSeconds * 1000 + GRACE || now > new Date(who.expiresAt).getTime();
  };
  const timer = setInterval(() => isDue() && check(), LOOK_EVERY);
  const back = () => document.visibilityState === "visible" && Date.now() - use.at > 60_000 && check();
  document.addEventListener("visibilitychange", back);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", back);
  };
}

/** Single keys. None acts while somebody types, and none moves money. */
function listenToKeys(box, who, onHelp) {
  let isAfterG = false;
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const move = (step) => {
    const links = rows();
    const place = links.indexOf(document.activeElement);
    links[Math.min(Math.max(place + step, 0), links.length - 1)]?.focus();
  };
  const keys = {
    "/": () => box.current?.focus(),
    j: () => move(1),
    k: () => move(-1),
    c: () => document.querySelector("[data-action=check]")?.click(),
    r: () => document.querySelector("[data-action=refund]")?.click(),
    "?": onHelp,
  };
  const listen = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
    if (document.querySelector("dialog[open]")) return;
    const wasAfterG = isAfterG;
    isAfterG = event.key === "g";
    const to = wasAfterG && placeOfKey(event.key, who);
    const act = to ? () => navigate(to) : keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  };
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

/** A question over the page. It is asked once, and answered to all who have asked for it. */
function useQuestion() {
  const asked = useRef(null);
  const [isOpen, setOpen] = useState(false);
  return {
    isOpen,
    why: asked.current?.why,
    open: () => setOpen(true),
    ask: (why) => {
      asked.current ||= waiting(why);
      setOpen(true);
      return asked.current.promise;
    },
    end: (how, what) => {
      setOpen(false);
      asked.current?.[how](what);
      asked.current = null;
    },
  };
}

function waiting(why) {
  const made = { why };
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

function initials(name) {
  return name.split(/\s+/).slice(0, 2).map((word) => [...word][0] || "").join("").toUpperCase();
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);

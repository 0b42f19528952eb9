/** One thing on a page of its own: where it stands, what is known of it, and what can be done. */

import { html } from "./standalone.mjs";
import { Icon } from "./icons.js";
import { Failure, Loading, shortened } from "./parts.js";
import { Link, useTitle } from "./route.js";

/** The frame of such a page; `show` gets what was loaded. */
export function OnePage({ list, title, state, show }) {
  useTitle(title);
  const { data, problem, reload } = state;
  return html`<nav class="crumb" aria-label="Place"><${Link} to=${list.path}>${list.title}<//><${Icon} name="chev" /><span>${title}</span></nav>
    ${problem && html`<section class="card"><h1 class="vh" tabindex="-1">${title}</h1><${Failure} problem=${problem} onRetry=${reload} /></section>`}
    ${!data && !problem && html`<h1 class="vh" tabindex="-1">${title}</h1><section class="card"><${Loading} rows=${8} /></section>`}
    ${data && show(data)}`;
}

export function OneHead({ title, children, sub }) {
  return html`<div class="head"><div><h1 tabindex="-1">${title}</h1>${sub && html`<p class="sub">${sub}</p>`}</div><div class="right">${children}</div></div>`;
}

/** Facts as `[label, what to show]`; those without anything to show are left out. */
export function Facts({ title, facts }) {
  const shown = facts.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false);
  return html`<section class="card below"><header><h2>${title}</h2></header>
    <dl class="facts">${shown.map(([label, value]) => html`<div key=${label}><dt>${label}</dt><dd>${value}</dd></div>`)}</dl></section>`;
}

/** Somebody by their id, with a link to their page; or what else acts. */
export function UserLink({ id }) {
  return /^[0-9a-f]{24}$/.test(id || "") ? html`<${Link} to=${`/console/users/${id}`}><code>${shortened(id, 6, 4)}</code><//>` : html`<code>${id || "–"}</code>`;
}

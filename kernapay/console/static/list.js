/** A list of work: columns, filters in the address, pages, keys, and a sentence where there is nothing. */

import { html } from "./standalone.mjs";
import { query } from "./http.js";
import { Icon } from "./icons.js";
import { Failure, Loading, useLoaded } from "./parts.js";
import { Link, navigate, useTitle } from "./route.js";

export const COUNT = 50;

/** Where the next page begins: after the last row, for a route that takes a cursor. */
export function afterLast(rows, idOf) {
  return rows.length === COUNT ? { cursor: idOf(rows.at(-1)) } : null;
}

/** Where the next page begins, for a route that is told how many rows to skip. */
export function skipping(rows, place) {
  return rows.length === COUNT ? { skip: Number(place.skip || 0) + COUNT } : null;
}

/** Load a list as the address asks for it. `load` gets filters and place, and returns `{ rows, next }`. */
export function useList(list, route, session) {
  const value = (name) => route.query.get(name) || undefined;
  const filters = Object.fromEntries((list.filters || []).map(({ name }) => [name, value(name)]));
  const place = { cursor: value("cursor"), skip: value("skip"), count: COUNT };
  return { filters, ...useLoaded(() => list.load(filters, place, session), [list.path, route.query.toString()]) };
}

/**
 * A page with one list. It has a `title`, a `lead`, a `path`, `columns` of `{ label, show, look, isLink }`, `load`, `key`, and
 * an `empty` sentence; and, where it makes sense, `filters`, `views`, `open` (the address of a row) and `Actions`.
 */
export function ListPage({ list, session, route }) {
  useTitle(list.title);
  const state = useList(list, route, session);
  return html`<div class="head">
      <div><h1 tabindex="-1">${list.title}</h1><p class="soft">${list.lead}</p></div>
      <div class="right">
        ${list.views && html`<${Views} list=${list} filters=${state.filters} />`}
        ${list.Actions && html`<${list.Actions} session=${session} filters=${state.filters} reload=${state.reload} />`}
        <button type="button" class="btn" onClick=${state.reload}><${Icon} name="sync" />Refresh</button>
      </div>
    </div>
    <${Listed} list=${list} state=${state} route=${route} session=${session} />`;
}

/** The filters, rows and pages of a list that is loaded. */
export function Listed({ list, state, route, session }) {
  const { data, problem, reload, isLoading, filters } = state;
  return html`${list.filters?.some((each) => each.label) && html`<${Filters} list=${list} filters=${filters} />`}
    <section class="card tbl" aria-label=${list.title} aria-busy=${isLoading}>
      ${problem ? html`<${Failure} problem=${problem} onRetry=${reload} />` : !data ? html`<${Loading} rows=${8} />` : html`<${Rows} list=${list} data=${data} route=${route} filters=${filters} session=${session} reload=${reload} />`}
    </section>`;
}

function Views({ list, filters }) {
  const set = query(filters);
  return html`<nav class="seg" aria-label="Views">${list.views.map(([word, chosen]) => {
    const address = query(chosen);
    return html`<${Link} key=${word} to=${list.path + address} aria-current=${set === address ? "page" : undefined}>${word}<//>`;
  })}</nav>`;
}

function Filters({ list, filters }) {
  const isSet = Object.values(filters).some(Boolean);
  const set = (name) => (event) => navigate(list.path + query({ ...filters, [name]: event.target.value.trim() }));
  const field = ({ name, label, options, kind = "text" }) => options
    ? html`<label class="f" key=${name}><span class="vh">${label}</span><select value=${filters[name] || ""} onChange=${set(name)}>
        ${options.map(([value, word]) => html`<option key=${value} value=${value} selected=${value === (filters[name] || "")}>${word}</option>`)}</select></label>`
    : html`<label class="f" key=${name}>${label} <input type=${kind} maxlength="160" spellcheck="false" value=${filters[name] || ""} onChange=${set(name)} /></label>`;
  return html`<details class="fold" open=${isSet || matchMedia("(min-width: 861px)").matches}><summary>Filters</summary>
    <form class="filters" onSubmit=${(event) => event.preventDefault()} aria-label="Filters">
      ${list.filters.filter((each) => each.label).map(field)}
      ${isSet && html`<${Link} to=${list.path}>Clear<//>`}
    </form></details>`;
}

function Rows({ list, data, route, filters, session, reload }) {
  const { rows, next } = data;
  const isFirst = !route.query.get("cursor") && !route.query.get("skip");
  if (!rows.length) {
    const isSought = !isFirst || Object.values(filters).some(Boolean);
    return html`<p class="nothing">${isSought ? html`Nothing fits these filters. <${Link} to=${list.path}>Clear<//>` : list.empty}</p>`;
  }
  return html`<table class=${`list ${list.open ? "opens" : ""}`}>
      <thead><tr>${list.columns.map((each) => html`<th key=${each.label} class=${each.look}>${each.label || html`<span class="vh">Actions</span>`}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<${Row} key=${list.key(row)} list=${list} row=${row} session=${session} reload=${reload} />`)}</tbody>
    </table>
    <footer class="pg">
      <span class="soft">${data.total === undefined ? `${rows.length} shown` : `${rows.length} of ${data.total}`}</span>
      ${list.open && html`<span class="soft keys"><kbd>J</kbd><kbd>K</kbd> move, <kbd>Enter</kbd> open, <kbd>?</kbd> all keys</span>`}
      <span class="right">
        ${!isFirst && html`<${Link} class="btn small" to=${list.path + query(filters)}>First page<//>`}
        ${next && html`<${Link} class="btn small" to=${list.path + query({ ...filters, ...next })}>Next page<//>`}
      </span>
    </footer>`;
}

function Row({ list, row, session, reload }) {
  const address = list.open?.(row);
  const open = (event) => {
    // A link may have led away already: then what was clicked stands in no page any more.
    if (address && !event.defaultPrevented && !event.target.closest("a, button, summary, dialog") && !getSelection().toString()) navigate(address);
  };
  const shown = (column) => {
    const value = column.show(row, { session, reload });
    return column.isLink && address ? html`<${Link} class="open" data-row to=${address}>${value}<//>` : value;
  };
  return html`<tr onClick=${open}>${list.columns.map((column) => html`<td key=${column.label} class=${column.look} data-label=${column.label}>${shown(column)}</td>`)}</tr>`;
}

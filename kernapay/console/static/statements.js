/** A month of what was paid to a provider: received, refunded, disputed, fee, net and settled. */

import { html, useState } from "./standalone.mjs";
import { Facts } from "./facts.js";
import { Foreign, dayText, money, shortDay } from "./format.js";
import { call, download, query } from "./http.js";
import { Icon } from "./icons.js";
import { Failure, Loading, useLoaded } from "./parts.js";
import { Link, navigate, useTitle } from "./route.js";

const PATH = "/console/statements";
// As the gateway settles.
const HOME = "INR";
const MONTHS = 24;

/** The last months of the business, this one first. */
function months() {
  const [year, month] = dayText(new Date()).split("-").map(Number);
  return Array.from({ length: MONTHS }, (_, back) => {
    const number = year * 12 + month - 1 - back;
    return `${Math.floor(number / 12)}-${String((number % 12) + 1).padStart(2, "0")}`;
  });
}

const wordsOf = (month) => new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" }).format(new Date(`${month}-01T00:00:00Z`));

export function StatementsPage({ session, route }) {
  useTitle("Statements");
  const isAdmin = session.user.type === "ADMIN";
  const month = route.query.get("month") || months()[1];
  const provider = isAdmin ? route.query.get("provider") || "" : session.user._id;
  const go = (changes) => navigate(PATH + query({ provider: isAdmin ? provider : undefined, month, ...changes }));
  return html`<div class="head">
      <div><h1 tabindex="-1">Statements</h1><p class="soft">What was paid to a provider in a month, and what became of it.</p></div>
    </div>
    <form class="filters" onSubmit=${(event) => event.preventDefault()} aria-label="Statement">
      ${isAdmin && html`<${Providers} chosen=${provider} onChoose=${(id) => go({ provider: id })} />`}
      <label class="f">Month <select onChange=${(event) => go({ month: event.target.value })}>
        ${[...new Set([month, ...months()])].sort().reverse().map((each) => html`<option key=${each} value=${each} selected=${each === month}>${wordsOf(each)}</option>`)}</select></label>
    </form>
    ${provider ? html`<${OneStatement} key=${`${provider} ${month}`} provider=${provider} month=${month} />` : html`<section class="card"><p class="nothing">Choose a provider.</p></section>`}`;
}

function Providers({ chosen, onChoose }) {
  const { data, problem, reload } = useLoaded(() => call("GET", `/admin/users${query({ type: "PROVIDER", count: 100 })}`), []);
  if (problem) return html`<${Failure} problem=${problem} onRetry=${reload} />`;
  const known = data?.users || [];
  const isListed = !chosen || known.some((each) => each._id === chosen);
  return html`<label class="f">Provider <select onChange=${(event) => onChoose(event.target.value)} disabled=${!data}>
      <option value="" selected=${!chosen}>${data && !known.length ? "There is none" : "Choose …"}</option>
      ${!isListed && html`<option value=${chosen} selected>${chosen}</option>`}
      ${known.map((each) => html`<option key=${each._id} value=${each._id} selected=${each._id === chosen}>${each.name}, ${each.email}</option>`)}
    </select></label>
    ${data && data.total > known.length && html`<span class="soft small">The newest ${known.length}. Others: from the page of the <${Link} to=${`/console/users${query({ type: "PROVIDER" })}`}>account<//>.</span>`}`;
}

function OneStatement({ provider, month }) {
  const path = `/statements/${encodeURIComponent(provider)}/${encodeURIComponent(month)}`;
  const { data, problem, reload } = useLoaded(() => call("GET", path), []);
  if (problem) return html`<section class="card"><${Failure} problem=${problem} onRetry=${reload} /></section>`;
  if (!data) return html`<section class="card"><${Loading} rows=${8} /></section>`;
  return html`<${Files} path=${path} statement=${data} />
    ${data.figures.map((each) => html`<${Figures} key=${each.currency} figures=${each} />`)}
    ${data.transfers.length > 0 && html`<${Table} title="Transfers" heads=${["Day", "UTR", "Part of this provider"]} texts=${2}
      rows=${data.transfers.map((each) => [shortDay(each.on), each.utr || each.settlementId, money(each.amount, HOME)])} />`}
    ${[...new Set(data.days.map((each) => each.currency))].map((currency) => html`<${Table} key=${currency} title=${`Days, in ${currency}`} heads=${["Day", "Received", "Refunded", ...(currency === HOME ? ["Settled"] : [])]} texts=${1}
      rows=${data.days.filter((each) => each.currency === currency).map((each) => [shortDay(each.on), money(each.received, currency), money(-each.refunded, currency), ...(currency === HOME ? [money(each.settled, currency)] : [])])} />`)}`;
}

function Files({ path, statement }) {
  const [failure, setFailure] = useState(null);
  const fetchFile = (form) => async () => {
    setFailure(null);
    try {
      const file = URL.createObjectURL(await download(`${path}/file${query({ format: form, unit: form === "csv" ? "major" : undefined })}`));
      const link = document.createElement("a");
      link.href = file;
      link.download = `statement-${statement.month}.${form}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(file), 60_000);
    } catch (problem) {
      setFailure(problem);
    }
  };
  return html`<div class="head"><div><h2><${Foreign} text=${statement.provider || statement.providerId} />, ${wordsOf(statement.month)}</h2>
      <p class="soft">${statement.isOver ? "Days" : "So far. Days"} of ${statement.timezone}. A refund or a dispute of the month may still change.</p></div>
      <div class="right"><button type="button" class="btn" onClick=${fetchFile("pdf")}><${Icon} name="file" />PDF</button>
        <button type="button" class="btn" onClick=${fetchFile("csv")}><${Icon} name="file" />CSV with each line</button></div></div>
    ${failure && html`<section class="card"><${Failure} problem=${failure} /></section>`}`;
}

const counted = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;

function Figures({ figures }) {
  const shown = (amount) => money(amount, figures.currency);
  const isHome = figures.currency === HOME;
  return html`<${Facts} title=${figures.currency} facts=${[
    ["Received", html`<b>${shown(figures.received)}</b> <span class="soft">${counted(figures.payments, "payment")}</span>`],
    ["Fee, with tax", isHome && `${shown(-figures.fee)}, of it ${shown(figures.tax)} tax`],
    ["Refunded", html`${shown(-figures.refunded)} <span class="soft">${counted(figures.refunds, "refund")}</span>`],
    ["Refunds under way", figures.refundsUnderWay > 0 && shown(figures.refundsUnderWay)],
    ["Asked back by banks", figures.disputes > 0 && html`${shown(figures.disputed)} <span class="soft">${counted(figures.disputes, "dispute")}</span>`],
    ["Deducted for disputes", figures.deducted > 0 && html`<span class="bad">${shown(-figures.deducted)}</span>`],
    ["Net", isHome && html`<b>${shown(figures.net)}</b>`],
    ["Settled", isHome && shown(figures.settled)],
  ]} />`;
}

function Table({ title, heads, texts, rows }) {
  const look = (column) => (column < texts ? "" : "r");
  return html`<section class="card tbl below" aria-label=${title}><header><h2>${title}</h2></header><table class="list">
    <thead><tr>${heads.map((head, column) => html`<th key=${head} class=${look(column)}>${head}</th>`)}</tr></thead>
    <tbody>${rows.map((row, number) => html`<tr key=${number}>${row.map((cell, column) => html`<td key=${column} class=${look(column)} data-label=${heads[column]}>${cell}</td>`)}</tr>`)}</tbody>
  </table></section>`;
}

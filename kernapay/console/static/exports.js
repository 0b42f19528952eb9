/** Files of payments, refunds, disputes, settlements and credit notes: asked for here, made by a worker, fetched when done. */

import { html, useEffect, useRef, useState } from "./standalone.mjs";
import { Failed } from "./act.js";
import { Time, dayAfter, dayText, zoneName } from "./format.js";
import { call, callQuietly, query } from "./http.js";
import { Icon } from "./icons.js";
import { Failure, Loading, Pill, useLoaded } from "./parts.js";
import { useTitle } from "./route.js";

const COUNT = 50;
const LOOK_AGAIN = 1500;
/** What the lines are, and which of their times may count; the first one does where nothing is chosen. */
const ROWS = {
  payments: ["Payments", ["created", "paid", "settled"]],
  refunds: ["Refunds", ["created", "settled"]],
  disputes: ["Disputes", ["created"]],
  settlements: ["Settlements", ["settled", "paid"]],
  credit_notes: ["Credit notes", ["created"]],
};
const TIMES = { created: "Created", paid: "Paid", settled: "Settled" };
const FORMS = { csv: "CSV", xlsx: "Excel workbook", jsonl: "JSON lines" };
const STATES = {
  requested: ["soft", "clock", "Waits"],
  running: ["warn", "half", "Being made"],
  done: ["good", "check", "Ready"],
  failed: ["bad", "x", "Failed"],
};
const isUnderWay = (row) => row.state === "requested" || row.state === "running";

export function ExportsPage() {
  useTitle("Exports");
  const path = `/exports${query({ count: COUNT })}`;
  const { data, problem, reload } = useLoaded((isByItself) => (isByItself ? callQuietly(path) : call("GET", path)), []);
  const waits = data?.some(isUnderWay);
  useEffect(() => {
    if (!waits) return undefined;
    const timer = setTimeout(() => reload({ isByItself: true }), LOOK_AGAIN);
    return () => clearTimeout(timer);
  }, [data, problem, waits]);
  return html`<div class="head"><div><h1 tabindex="-1">Exports</h1><p class="soft">Files for accounting and analysis. A worker makes them; each is kept for a day.</p></div></div>
    <${Request} onDone=${reload} />
    <section class="card tbl" aria-label="Recent exports"><header><h2>Exports of the last day</h2></header>
      ${problem && html`<${Failure} problem=${problem} onRetry=${() => reload()} />`}
      ${!data && !problem && html`<${Loading} rows=${4} />`}
      ${data && (data.length ? html`<${Exports} rows=${data} />` : html`<p class="nothing">There is none yet. Choose above what the first one should have.</p>`)}
    </section>`;
}

/** The periods that are asked for most, as days of the business; the end is not a part of it. */
function periods() {
  const today = dayText(new Date());
  const month = (day) => `${day.slice(0, 8)}01`;
  const thisMonth = month(today);
  return [
    ["Today", today, dayAfter(today, 1)],
    ["Last 7 days", dayAfter(today, -6), dayAfter(today, 1)],
    ["This month", thisMonth, dayAfter(today, 1)],
    ["Last month", month(dayAfter(thisMonth, -1)), thisMonth],
  ];
}

function Request({ onDone }) {
  const [, , [, from, to]] = periods();
  const [chosen, choose] = useState({ rows: "payments", by: "created", from, to, format: "csv", unit: "major", bom: true, totals: true });
  const [state, setState] = useState({});
  const isTaken = useRef(false);
  const set = (changes) => choose((before) => ({ ...before, ...changes }));
  const times = ROWS[chosen.rows][1];
  const by = times.includes(chosen.by) ? chosen.by : times[0];
  const send = async (event) => {
    event.preventDefault();
    // A second click comes before the button is drawn anew.
    if (isTaken.current) return;
    isTaken.current = true;
    setState({ isBusy: true });
    try {
      await call("POST", "/exports", { ...chosen, by, bom: chosen.format === "csv" && chosen.bom });
      setState({ isDone: true });
      onDone();
    } catch (problem) {
      setState({ problem });
    }
    isTaken.current = false;
  };
  const options = (all) => Object.entries(all).map(([value, word]) => html`<option key=${value} value=${value}>${word}</option>`);
  const pick = (name) => ({ value: chosen[name], onChange: (event) => set({ [name]: event.target.value }) });
  const check = (name) => ({ type: "checkbox", checked: chosen[name], onChange: (event) => set({ [name]: event.target.checked }) });
  return html`<section class="card below"><header><h2>New export</h2></header>
    <form class="form pad" onSubmit=${send} aria-label="A new export">
      <div class="filters">
        <label class="f">Lines <select ...${pick("rows")}>${options(Object.fromEntries(Object.entries(ROWS).map(([name, [word]]) => [name, word])))}</select></label>
        <label class="f">that were <select value=${by} onChange=${(event) => set({ by: event.target.value })}>${times.map((each) => html`<option key=${each} value=${each}>${TIMES[each].toLowerCase()}</option>`)}</select></label>
        <label class="f">from <input type="date" required ...${pick("from")} /></label>
        <label class="f">before <input type="date" required min=${dayAfter(chosen.from || from, 1)} ...${pick("to")} /></label>
        <span class="soft">${zoneName()}</span>
      </div>
      <div class="chips" role="group" aria-label="Periods">${periods().map(([word, first, end]) => html`<button type="button" key=${word} aria-pressed=${chosen.from === first && chosen.to === end} onClick=${() => set({ from: first, to: end })}>${word}</button>`)}</div>
      <div class="filters">
        <label class="f">File <select ...${pick("format")}>${options(FORMS)}</select></label>
        <label class="f">Amounts <select ...${pick("unit")}>${options({ major: "in rupees, 500.00", minor: "in paise, 50000" })}</select></label>
        <label class="f"><input ...${check("totals")} /> with totals</label>
        ${chosen.format === "csv" && html`<label class="f"><input ...${check("bom")} /> for Excel, with all scripts</label>`}
      </div>
      ${state.problem && html`<${Failed} problem=${state.problem} again="Doing it again makes another file." />`}
      <div class="filters"><button class="btn primary" disabled=${state.isBusy}>${state.isBusy ? "Working …" : "Make the file"}</button>
        <span class="soft" role="status">${state.isDone ? "Asked for. It is in the list below." : ""}</span></div>
    </form></section>`;
}

function Exports({ rows }) {
  return html`<table class="list"><thead><tr><th>Asked for</th><th>Lines</th><th>Period</th><th>File</th><th>State</th><th class="r">Lines so far</th><th><span class="vh">What to do</span></th></tr></thead>
    <tbody>${rows.map((row) => html`<${Row} key=${row._id} row=${row} />`)}</tbody></table>`;
}

function Row({ row }) {
  const [look, icon, word] = STATES[row.state];
  return html`<tr>
    <td data-label="Asked for"><${Time} at=${row.createdAt} /></td>
    <td data-label="Lines">${row.rows ? ROWS[row.rows][0] : "Payments"}<span class="soft">, ${TIMES[row.by || ROWS[row.rows || "payments"][1][0]].toLowerCase()}</span></td>
    <td data-label="Period"><${Time} at=${row.from} /> to <${Time} at=${row.to} /></td>
    <td data-label="File">${FORMS[row.format]}</td>
    <td data-label="State"><${Pill} look=${look} icon=${icon} word=${word} />${row.error && html` <span class="bad small">${row.error}</span>`}</td>
    <td class="r" data-label="Lines so far">${row.lines}</td>
    <td class="wide">${row.state === "done" && html`<${Fetch} row=${row} />`}</td>
  </tr>`;
}

function Fetch({ row }) {
  const [failure, setFailure] = useState(null);
  const fetchFile = async () => {
    setFailure(null);
    try {
      const { url, name } = await call("POST", `/exports/${row._id}/link`);
      const link = document.createElement("a");
      link.href = url;
      link.download = name;
      link.click();
    } catch (problem) {
      setFailure(problem);
    }
  };
  return html`<button type="button" class="btn small" onClick=${fetchFile}><${Icon} name="in" />Fetch<span class="vh"> the export of ${row.createdAt}</span></button>
    ${failure && html` <span class="bad small" role="alert">${failure.message}</span>`}`;
}

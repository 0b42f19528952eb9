/** What needs a person now, and what the payments of a period add up to against the weeks before. */

import { html, useEffect } from "./standalone.mjs";
import { Bars, Shares } from "./chart.js";
import { timeLeft } from "./disputes.js";
import { Foreign, Time, clockOf, dayAfter, dayOf, dayText, money, shortDay, startOfDay } from "./format.js";
import { call, callQuietly, query } from "./http.js";
import { Icon } from "./icons.js";
import { Failure, Loading, METHODS, useLoaded } from "./parts.js";
import { Link, useTitle } from "./route.js";

const PERIODS = [["1", "Today"], ["7", "7 days"], ["28", "28 days"]];
const KINDS = { method: "Method", serviceType: "Service", provider: "Provider" };
const AGAIN = 60_000;
const HOUR = 3600 * 1000;
const NONE = { created: 0, paid: 0, open: 0, failed: 0, refunded: 0, disputed: 0, amountPaid: 0, amountRefunded: 0 };

/** The period up to now, and the one before it with the same days of the week, up to the same moment. */
function periods(days, now = Date.now()) {
  const first = dayAfter(dayText(now), 1 - days);
  const from = startOfDay(first);
  const back = days === 1 ? 7 : days;
  const before = startOfDay(dayAfter(first, -back));
  const length = now + 1000 - Date.parse(from);
  const end = (start) => new Date(Date.parse(start) + length).toISOString();
  return { first, back, now: { from, to: end(from) }, before: { from: before, to: end(before) } };
}

async function load({ days, by, isAdmin }, isByItself) {
  const ask = isByItself ? callQuietly : (path) => call("GET", path);
  const unit = days === 1 ? "hour" : "day";
  const when = periods(days);
  const [now, before, attention] = await Promise.all([
    ask(`/insights${query({ ...when.now, unit, by })}`),
    ask(`/insights${query({ ...when.before, unit })}`),
    isAdmin ? ask("/admin/attention") : null,
  ]);
  return { when, now, before, attention, days };
}

export function OverviewPage({ session, route }) {
  useTitle("Overview");
  const asked = route.query.get("days");
  const days = PERIODS.some(([each]) => each === asked) ? Number(asked) : 1;
  const isAdmin = session.user.type === "ADMIN";
  const kinds = Object.keys(KINDS).filter((each) => isAdmin || each !== "provider");
  const by = kinds.includes(route.query.get("by")) ? route.query.get("by") : "method";
  const { data, problem, at, reload } = useLoaded((isByItself) => load({ days, by, isAdmin }, isByItself), [days, by, isAdmin]);
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && reload({ isByItself: true }), AGAIN);
    return () => clearInterval(timer);
  }, []);
  const to = (changes) => `/console${query({ days: days === 1 ? "" : days, by: by === "method" ? "" : by, currency: route.query.get("currency"), ...changes })}`;
  return html`<div class="head">
      <div><h1 tabindex="-1">${PERIODS.find(([each]) => Number(each) === days)[1]}</h1>
        <p class="soft">${dayOf(new Date())}${at && `, as of ${clockOf(new Date(at))}`}</p></div>
      <div class="right"><nav class="seg" aria-label="Period">${PERIODS.map(([each, word]) => html`<${Link} key=${each} to=${to({ days: each === "1" ? "" : each })} aria-current=${Number(each) === days ? "page" : undefined}>${word}<//>`)}</nav>
        <button type="button" class="btn" onClick=${() => reload()}><${Icon} name="sync" />Refresh</button></div>
    </div>
    ${problem && html`<section class="card below"><${Failure} problem=${problem} onRetry=${() => reload()} />${data && html`<p class="soft pad">What is shown is from before.</p>`}</section>`}
    ${!data && !problem && html`<section class="card"><${Loading} rows=${10} /></section>`}
    ${data && html`${data.attention && html`<${Needs} attention=${data.attention} />`}<${Figures} data=${data} route=${route} by=${by} kinds=${kinds} to=${to} />`}`;
}

/** What waits for a person; nothing that does not. */
function Needs({ attention }) {
  const left = attention.nextDeadline && timeLeft({ status: "open", respondBy: attention.nextDeadline });
  const some = (count, one, many) => `${count >= 10_000 ? "10,000 or more" : count} ${count === 1 ? one : many}`;
  const works = [
    [attention.openDisputes, "flag", some(attention.openDisputes, "open dispute", "open disputes"), left ? `next deadline: ${left.word}` : "without a deadline", "/console/disputes?status=open", "bad"],
    [attention.mismatches, "alert", some(attention.mismatches, "mismatch", "mismatches"), "evidence whose money has no place yet", "/console/mismatches", "bad"],
    [attention.findings, "shield", some(attention.findings, "finding", "findings"), "differences to the gateway's records", "/console/reconciliation", "warn"],
    [attention.nightsMissing, "clock", some(attention.nightsMissing, "night", "nights"), "without a complete comparison", "/console/reconciliation", "warn"],
    [attention.parkedEvents, "in", some(attention.parkedEvents, "parked event", "parked events"), "of the gateway, given up", "/console/inbox?status=parked", "warn"],
    [attention.failedDeliveries, "out", some(attention.failedDeliveries, "dead delivery", "dead deliveries"), "to endpoints, given up", "/console/endpoints", "warn"],
    [attention.providersToApprove, "users", some(attention.providersToApprove, "provider", "providers"), "to approve", "/console/users?approved=false", "info"],
  ].filter(([count]) => count);
  return html`<section class="card needs" aria-label="Needs a person">
    <div><b>${works.length ? "Needs a person" : "Nothing needs a person"}</b><span class="soft small">last good night: ${attention.lastGoodNight ? html`up to <${Time} at=${attention.lastGoodNight} />` : "none yet"}</span></div>
    ${works.map(([, icon, word, detail, address, look]) => html`<${Link} key=${word} to=${address} data-row><b class=${look}><${Icon} name=${icon} />${word}</b><span class="soft small">${detail}</span><//>`)}
  </section>`;
}

function Figures({ data, route, by, kinds, to }) {
  const { now, before, when, days } = data;
  const currencies = [...new Set([...now.totals, ...before.totals].map((each) => each.currency))].sort();
  const wanted = route.query.get("currency");
  const currency = currencies.includes(wanted) ? wanted : currencies.includes("INR") ? "INR" : currencies[0] || "INR";
  const total = now.totals.find((each) => each.currency === currency) || NONE;
  const earlier = before.totals.find((each) => each.currency === currency) || NONE;
  const say = (amount) => money(amount, currency);
  const then = days === 1 ? "the same day last week, up to now" : `the ${days} days before`;
  return html`
    ${currencies.length > 1 && html`<nav class="seg below" aria-label="Currency">${currencies.map((each) => html`<${Link} key=${each} to=${to({ currency: each })} aria-current=${each === currency ? "page" : undefined}>${each}<//>`)}</nav>`}
    <div class="tiles">
      <${Tile} title="Collected" value=${say(total.amountPaid)} change=${change(total.amountPaid, earlier.amountPaid)} detail=${`from ${total.paid} payments`} to="/console/payments?status=success" />
      <${Tile} title="Payments" value=${String(total.created)} change=${change(total.created, earlier.created)} detail=${`${total.paid} paid, ${total.failed} failed, ${total.open} open`} to="/console/payments" />
      <${Tile} title="Success rate" value=${percent(rate(total))} change=${points(rate(total), rate(earlier))} detail="of those that are paid or failed" to="/console/payments?status=failed" />
      <${Tile} title="Refunded" value=${say(total.amountRefunded)} change=${change(total.amountRefunded, earlier.amountRefunded)} detail=${`of ${total.refunded} payments`} to="/console/payments?status=refunded" />
      <${Tile} title="Disputed" value=${String(total.disputed)} change=${change(total.disputed, earlier.disputed)} detail=${`of ${total.created} payments`} to="/console/disputes" />
    </div>
    <p class="soft small below">Payments that were created in this time, as they stand now, against ${then}.</p>
    <${Bars} title=${days === 1 ? "Collected by hour" : "Collected by day"} points=${pointsOf(data, currency, when)} say=${say} />
    <section class="card"><header><h2>Collected by</h2><nav class="seg right" aria-label="Kind">${kinds.map((each) => html`<${Link} key=${each} to=${to({ by: each === "method" ? "" : each })} aria-current=${each === by ? "page" : undefined}>${KINDS[each]}<//>`)}</nav></header>
      <${Groups} groups=${now.groups.filter((each) => each.currency === currency)} by=${by} say=${say} others=${now.otherGroups} mayList=${data.attention !== null} />
    </section>`;
}

/** Lakhs and crores in one line, also on a phone. */
function sizeOf(value) {
  const { length } = String(value);
  return length > 14 ? "longest" : length > 9 ? "long" : "";
}

function Tile({ title, value, change: said, detail, to }) {
  return html`<${Link} class="card tile" to=${to}><span class="soft">${title}</span><b class=${sizeOf(value)}>${value}</b><span class="small">${said}</span><span class="soft small">${detail}</span><//>`;
}

function Groups({ groups, by, say, others, mayList }) {
  if (!groups.length) return html`<p class="nothing">No payment was created in this time.</p>`;
  const label = (name) => (name === null ? (by === "method" ? "not known yet" : "none") : by === "method" ? METHODS[name] || name : name);
  const filter = by === "provider" ? "providerId" : by;
  const shown = (name) => {
    const text = html`<${Foreign} text=${label(name)} />`;
    return mayList && name ? html`<${Link} to=${`/console/payments${query({ [filter]: name })}`}>${text}<//>` : text;
  };
  const rows = groups.map((each) => ({ key: each.name ?? "", label: shown(each.name), value: each.amountPaid, detail: `${each.paid} of ${each.created}` }));
  return html`<${Shares} rows=${rows} say=${say} />${others > 0 && html`<p class="soft pad">and ${others} smaller ones</p>`}`;
}

/** The hours or days of the period, also those in which nothing came. */
function pointsOf({ now, before, days }, currency, when) {
  const at = (series) => new Map(series.filter((each) => each.currency === currency).map((each) => [Date.parse(each.start), each.amountPaid]));
  const [current, earlier] = [at(now.series), at(before.series)];
  const point = (label, start, past) => ({ label, now: current.get(start) || 0, before: earlier.get(past) || 0 });
  if (days > 1) {
    const names = Array.from({ length: days }, (_, place) => dayAfter(when.first, place));
    return names.map((day) => point(shortDay(day), Date.parse(startOfDay(day)), Date.parse(startOfDay(dayAfter(day, -when.back)))));
  }
  return Array.from({ length: 24 }, (_, hour) => point(`${String(hour).padStart(2, "0")}:00`, Date.parse(when.now.from) + hour * HOUR, Date.parse(when.before.from) + hour * HOUR));
}

const rate = ({ paid, failed }) => (paid + failed ? paid / (paid + failed) : null);
const percent = (share) => (share === null ? "–" : `${(share * 100).toFixed(1)} %`);

/** How much more or less than before, in words that need no colour. */
function change(value, earlier) {
  if (!earlier) return value ? "none before" : "none before either";
  return signed(((value - earlier) / earlier) * 100, "%");
}

function points(share, earlier) {
  return share === null || earlier === null ? "nothing to compare" : signed((share - earlier) * 100, "points");
}

const signed = (by, unit) => `${by < 0 ? "\u2212" : "+"}${Math.abs(by).toFixed(1)} ${unit}`;

/** Money and times as people read them. */

import { html } from "./standalone.mjs";

const settings = { exponents: {}, zone: "UTC" };

/** Learn currencies and zone from the session. */
export function configure(session) {
  settings.exponents = session.currencyExponents;
  settings.zone = session.zone;
}

/** The number of decimals of a currency. Those of Intl are other ones for some. */
function exponentOf(currency) {
  return settings.exponents[currency] ?? 2;
}

/** Minor units as a decimal number in text, without a loss. */
export function decimal(amount, currency) {
  const places = exponentOf(currency);
  const digits = String(Math.abs(amount)).padStart(places + 1, "0");
  return places ? `${digits.slice(0, -places)}.${digits.slice(-places)}` : digits;
}

export function money(amount, currency) {
  const places = exponentOf(currency);
  let shown;
  try {
    shown = new Intl.NumberFormat("en-IN", {
      style: "currency",
      currency,
      minimumFractionDigits: places,
      maximumFractionDigits: places,
    }).format(decimal(amount, currency));
  } catch {
    shown = `${currency} ${decimal(amount, currency)}`;
  }
  return amount < 0 ? `\u2212${shown}` : shown;
}

/** Minor units that somebody typed as a decimal number; null if it is none, or has too many decimals. */
export function parseMoney(text, currency) {
  const places = exponentOf(currency);
  const match = /^(\d{1,15})(?:\.(\d*))?$/.exec(text.trim().replace(/[,\s\u20b9]/g, ""));
  if (!match || (match[2] || "").length > places) return null;
  const amount = Number(match[1] + (match[2] || "").padEnd(places, "0"));
  return Number.isSafeInteger(amount) && amount > 0 ? amount : null;
}

const formats = new Map();

function format(name, options) {
  const key = `${name} ${settings.zone}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: settings.zone, ...options }));
  }
  return formats.get(key);
}

export function dayOf(at) {
  return format("day", { weekday: "long", day: "numeric", month: "long", year: "numeric" }).format(at);
}

export function clockOf(at) {
  return format("clock", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }).format(at);
}

function yearOf(at) {
  return format("year", { year: "numeric" }).format(at);
}

/** The day of the business at a time, such as `2026-11-30`. */
export function dayText(at) {
  const parts = Object.fromEntries(format("day text", { year: "numeric", month: "2-digit", day: "2-digit" }).formatToParts(at).map((each) => [each.type, each.value]));
  return `${parts.year}-${parts.month}-${parts.day}`;
}

/** The day so many days after a day. */
export function dayAfter(day, days) {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * 24 * 3600 * 1000).toISOString().slice(0, 10);
}

/** A day in few letters. */
export function shortDay(day) {
  return format("short day", { day: "numeric", month: "short" }).format(Date.parse(startOfDay(day)));
}

/** The time at which a day of the business begins, such as `2026-11-30`; what is no day stays as it is, for the API to refuse. */
export function startOfDay(day) {
  const noon = new Date(`${day}T12:00:00Z`);
  if (!day || Number.isNaN(noon.getTime())) return day;
  const fields = { hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };
  const midnight = Date.parse(`${day}T00:00:00Z`);
  // What a clock there shows is off by the zone's offset; around a change of the clocks, the second look is the right one.
  let at = midnight;
  for (let look = 0; look < 2; look += 1) {
    const parts = Object.fromEntries(format("fields", fields).formatToParts(new Date(at)).map((each) => [each.type, each.value]));
    at += midnight - Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second);
  }
  return new Date(at).toISOString();
}

/** The name of the business's zone, such as IST. */
export function zoneName() {
  const parts = new Intl.DateTimeFormat("en-IN", { timeZone: settings.zone, timeZoneName: "short" }).formatToParts(new Date());
  return parts.find((each) => each.type === "timeZoneName")?.value || settings.zone;
}

/** A time in the business's zone, with UTC to the millisecond behind it. */
export function Time({ at, only }) {
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return null;
  const year = yearOf(time) === yearOf(new Date()) ? {} : { year: "numeric" };
  const day = format(`short ${Object.keys(year)}`, { day: "numeric", month: "short", ...year }).format(time);
  const shown = only === "clock" ? clockOf(time) : `${day}, ${clockOf(time)}`;
  return html`<time datetime=${time.toISOString()} title=${`${time.toISOString()} (UTC)`}>${shown}</time>`;
}

/** How long after the start something happened. */
export function offset(start, at) {
  const seconds = Math.round((new Date(at) - new Date(start)) / 1000);
  if (seconds < 1) return "";
  if (seconds < 60) return `+${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `+${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `+${hours} h ${minutes % 60} min` : `+${Math.floor(hours / 24)} days`;
}

/** Text that somebody else wrote: it never changes the direction of what stands beside it. */
export function Foreign({ text }) {
  return html`<bdi>${text}</bdi>`;
}

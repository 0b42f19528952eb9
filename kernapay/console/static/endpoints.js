/** Endpoints: made and changed, their secrets shown once, and removed. */

import { html } from "./standalone.mjs";
import { Act, Result } from "./act.js";
import { FormAct, ShownOnce, parts } from "./form.js";
import { Time } from "./format.js";
import { call } from "./http.js";
import { navigate } from "./route.js";

const TYPES = [
  "payment.created", "payment.succeeded", "payment.failed", "payment.expired", "payment.cancelled", "refund.requested", "refund.processed", "refund.failed",
  "dispute.opened", "dispute.action_required", "dispute.won", "dispute.lost", "dispute.closed", "settlement.processed", "reconciliation.finding",
];
const FOR_ADMINISTRATORS = ["settlement.processed", "reconciliation.finding"];
const SPANS = [["", "As long as usual"], ["0", "It stops at once"], ["3600", "For an hour"], ["86400", "For a day"], ["604800", "For a week"]];
const EMPTY = { url: "", description: "", types: [], serviceTypes: "", providers: "", headers: "" };

const lines = (headers) => Object.entries(headers).map(([name, value]) => `${name}: ${value}`).join("\n");

function headersOf(text) {
  return Object.fromEntries(text.split("\n").filter((each) => each.trim()).map((each) => {
    const [name, value = ""] = each.split(/:(.*)/s);
    return [name.trim(), value.trim()];
  }));
}

const bodyOf = (draft) => ({ ...draft, url: draft.url.trim(), description: draft.description.trim(), serviceTypes: parts(draft.serviceTypes), providers: parts(draft.providers), headers: headersOf(draft.headers) });

const fieldsOf = (types) => () => [
  { name: "url", label: "URL", kind: "url", required: true, maxlength: 2000, hint: "With https, at a host on the Internet." },
  { name: "description", label: "What it is for", maxlength: 256 },
  { name: "types", label: "Events", kind: "marks", options: types.map((each) => [each, html`<code>${each}</code>`]), hint: "None marked: all of them, also those of later versions." },
  { name: "serviceTypes", label: "Service types", hint: "Only payments for these. Separated by commas; empty for all." },
  { name: "providers", label: "Providers", hint: "Only payments to these, as they stand in a payment. Separated by commas; empty for all." },
  { name: "headers", label: "Headers", kind: "lines", hint: "Sent with every event, one a line: a name, a colon, a value." },
];

const SECRET = html`<p class="soft">The receiver verifies each event with it, as Standard Webhooks says.</p>`;

export function MakeEndpoint({ reload }) {
  const Done = ({ answer }) => html`<${ShownOnce} text=${answer.secret} label="the secret">It gets what happens from now on.<//>${SECRET}`;
  return html`<${FormAct} word="Add an endpoint" icon="out" verb="Add" start=${EMPTY} fields=${fieldsOf(TYPES)} run=${(draft) => call("POST", "/endpoints", bodyOf(draft))} Done=${Done} isKept
    again="Look at the list of endpoints first: one whose secret nobody has seen can be given a new one on its page."
    onDone=${(made) => (made ? navigate(`/console/endpoints/${made.endpoint._id}`) : reload())}>
    <p>A URL that gets signed events of all payments, at least once, those of one payment in order. The secret that verifies them is shown once.</p><//>`;
}

/** What is different from before: what somebody else changes meanwhile stays. */
function changesOf(draft, start) {
  const before = bodyOf(start);
  return Object.fromEntries(Object.entries(bodyOf(draft)).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name])));
}

export function ChangeEndpoint({ path, endpoint, onDone }) {
  const start = {
    url: endpoint.url, description: endpoint.description || "", types: endpoint.types,
    serviceTypes: endpoint.serviceTypes.join(", "), providers: endpoint.providers.join(", "), headers: lines(endpoint.headers),
  };
  const types = endpoint.owner ? TYPES.filter((each) => !FOR_ADMINISTRATORS.includes(each)) : TYPES;
  return html`<${FormAct} word="Change" verb="Save" start=${start} fields=${fieldsOf(types)} run=${(draft) => call("PUT", path, changesOf(draft, start))}
    Done=${() => html`<${Result}>It is changed.<//>`} again="Doing it again is harmless." onDone=${onDone}>
    <p>It counts from the next event on. What waits goes to the new URL.</p><//>`;
}

export function RotateSecret({ path, onDone }) {
  const fields = () => [{ name: "span", label: "The present secret signs as well", kind: "choice", options: SPANS, hint: "Until the receiver knows the new one. As long as usual: ENDPOINT_ROTATION." }];
  const run = ({ span }) => call("POST", `${path}/rotate`, span ? { overlapSeconds: Number(span) } : {});
  const Done = ({ answer }) => html`<${ShownOnce} text=${answer.secret} label="the secret">The new secret signs from now on.<//>${SECRET}`;
  return html`<${FormAct} word="New secret" verb="Make a new secret" start=${{ span: "" }} fields=${fields} run=${run} Done=${Done} isKept onDone=${onDone}
    again="Look at the endpoint first: if there is one secret more, nobody has seen it. Then make another.">
    <p>Events are signed with a new secret, which is shown once.</p><//>`;
}

export function RemoveEndpoint({ path, onDone }) {
  return html`<${Act} word="Remove" onDone=${(removed) => (removed ? navigate("/console/endpoints") : onDone())} run=${() => call("DELETE", path)} said=${() => "It is removed."} again="If it is gone from the list, it was.">
    <p>Nothing is sent to it any more, and the list of its deliveries goes. What waits is not sent. To stop it for a time, switch it off instead.</p><//>`;
}

/** Secrets that still sign beside the newest one. */
export function EarlierSecrets({ path, endpoint, onDone }) {
  const [, ...earlier] = endpoint.signingKeys;
  if (!earlier.length) return null;
  return html`, an earlier one until <${Time} at=${earlier[0].until} /> <${Act} word="End earlier secrets" look="small" onDone=${onDone} run=${() => call("PUT", path, { endPreviousSecret: true })} said=${() => "Only the newest secret signs."}>
    <p>From the next event on, only the newest secret signs. A receiver that does not know it yet refuses what it gets.</p><//>`;
}

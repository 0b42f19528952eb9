/** Charts as SVG: widths and heights are attributes, for the page's policy allows no inline style. */

import { html } from "./standalone.mjs";

/** Bars of now, and a line of what was before. `points` are `{ label, now, before }`; `say` writes a value. */
export function Bars({ title, points, say }) {
  const most = Math.max(1, ...points.flatMap((each) => [each.now, each.before]));
  const step = 1000 / points.length;
  const height = (value) => (value / most) * 156;
  const line = points.map((each, place) => `${place ? "L" : "M"}${(place + 0.5) * step} ${160 - height(each.before)}`).join("");
  const shownLabels = points.filter((_, place) => place % Math.ceil(points.length / 7) === 0);
  const total = points.reduce((sum, each) => sum + each.now, 0);
  return html`<section class="card chart"><header><h2>${title}</h2><span class="right soft small"><span class="dot accent"></span> now <span class="dot edge"></span> before</span></header>
    <p class="soft small">up to ${say(most)}</p>
    <svg viewBox="0 0 1000 160" preserveAspectRatio="none" role="img" aria-label=${`${title}: ${say(total)} in all`}>
      ${points.map((each, place) => each.now > 0 && html`<rect key=${each.label} class="accent" x=${place * step + step * 0.15} y=${160 - height(each.now)} width=${step * 0.7} height=${height(each.now)} />`)}
      <path class="before" d=${line} />
    </svg>
    <p class="axis soft small" aria-hidden="true">${shownLabels.map((each) => html`<span key=${each.label}>${each.label}</span>`)}</p>
    <details><summary>As a table</summary><table class="plain"><thead><tr><th>Time</th><th class="r">Now</th><th class="r">Before</th></tr></thead>
      <tbody>${points.map((each) => html`<tr key=${each.label}><td>${each.label}</td><td class="r">${say(each.now)}</td><td class="r">${say(each.before)}</td></tr>`)}</tbody></table></details>
  </section>`;
}

/** Shares of a whole, the largest first. `rows` are `{ key, label, value, detail }`. */
export function Shares({ rows, say }) {
  const most = Math.max(1, ...rows.map((each) => each.value));
  return html`<ul class="shares">${rows.map((each) => html`<li key=${each.key}>
    <span class="cutline">${each.label}</span><span class="soft small">${each.detail}</span><b>${say(each.value)}</b>
    <svg viewBox="0 0 1000 6" preserveAspectRatio="none" aria-hidden="true"><rect class="grid" x="0" y="0" width="1000" height="6" /><rect class="accent" x="0" y="0" width=${(each.value / most) * 1000} height="6" /></svg>
  </li>`)}</ul>`;
}

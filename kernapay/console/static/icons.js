import { html } from "./standalone.mjs";

/** Strokes in a box of 24 by 24. */
const PATHS = {
  pay: "M3 7h18v11H3zM3 11h18M7 15h3",
  refund: "M8 5L4 9l4 4M4 9h10a6 6 0 0 1 0 12h-3",
  shield: "M12 3l8 3v6c0 5-3.5 8-8 9-4.500-1-8-4-8-9V6zM12 9v4M12 16.500v.01",
  bank: "M4 10l8-6 8 6zM6 10v8M10 10v8M14 10v8M18 10v8M3 20h18",
  in: "M4 13v6h16v-6M12 4v10M8 10l4 4 4-4",
  out: "M4 13v6h16v-6M12 14V4M8 8l4-4 4 4",
  users: "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c0-4 3-6 7-6s7 2 7 6M16 3.500a4 4 0 0 1 0 7M18 15.500c2.500.700 4 2.500 4 5.500",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14zM16 16l5 5",
  check: "M5 12.500l4.500 4.500L19 7",
  x: "M6 6l12 12M18 6L6 18",
  half: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  alert: "M12 3L2 20h20zM12 9v5M12 17v.01",
  clock: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5l3 2",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  chev: "M9 6l6 6-6 6",
  file: "M6 3h9l4 4v14H6zM14 3v5h5",
  sync: "M4 12a8 8 0 0 1 14-5l2 2M20 4v5h-5M20 12a8 8 0 0 1-14 5l-2-2M4 20v-5h5",
  user: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4 21c0-4 3.500-6 8-6s8 2 8 6",
  flag: "M5 21V4h13l-3 4 3 4H5",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  key: "M8 16a5 5 0 1 0 0-.01M11.500 12.500L20 4M16 8l3 3",
  pulse: "M3 12h4l3-8 4 16 3-8h4",
  more: "M4 7h16M4 12h16M4 17h16",
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z",
  up: "M12 19V5M6 11l6-6 6 6",
};

/** An icon that says nothing: the word beside it does. */
export function Icon({ name, look = "" }) {
  return html`<svg class=${`i ${look}`} viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}

export function Mark() {
  return html`<svg class="mark" viewBox="0 0 26 26" aria-hidden="true">
    <rect width="26" height="26" rx="7" />
    <path d="M8 6v14M8 13.5l8-7.5M11.5 11l6.5 9" />
  </svg>`;
}

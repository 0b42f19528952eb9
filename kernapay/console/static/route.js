/** Where the person is: each view is an address. */

import { html, useEffect, useState } from "./standalone.mjs";

const HOME = "/console";
const listeners = new Set();

export function here() {
  return { path: location.pathname.replace(/\/+$/, "") || HOME, query: new URLSearchParams(location.search) };
}

export function navigate(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address);
  listeners.forEach((listen) => listen());
  window.scrollTo(0, 0);
}

export function useRoute() {
  const [route, setRoute] = useState(here);
  useEffect(() => {
    const listen = () => setRoute(here());
    listeners.add(listen);
    addEventListener("popstate", listen);
    return () => {
      listeners.delete(listen);
      removeEventListener("popstate", listen);
    };
  }, []);
  return route;
}

/** A link within the console. */
export function Link({ to, children, ...rest }) {
  const go = (event) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  };
  return html`<a href=${to} onClick=${go} ...${rest}>${children}</a>`;
}

/** Set the title of the page, and let a screen reader begin at its heading after a change of the page. */
export function useTitle(title) {
  useEffect(() => {
    document.title = `${title} · KernaPay console`;
    const heading = document.querySelector("h1");
    const active = document.activeElement;
    if (heading && (!active || active === document.body || active.closest("a"))) heading.focus({ preventScroll: true });
  }, [title]);
}

export const paymentPath = (reference) => `${HOME}/payments/${encodeURIComponent(reference)}`;

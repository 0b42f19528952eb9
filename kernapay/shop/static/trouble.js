// Let the sandbox play what goes wrong in a shop's life, at the next payment. A shop of your own needs nothing of this.

import { fill, h } from "./dom.js";
import { say } from "./words.js";

const PATH = "/shop/troubles";
const TROUBLES = ["slow", "lost", "down", "unknown", "webhook", "late", "mismatch"];

async function ask(method, body) {
  try {
    const answer = await fetch(PATH, {
      method, cache: "no-store",
      ...(body && { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }),
    });
    return answer.ok ? (await answer.json()).armed : null;
  } catch {
    return null;
  }
}

/** The menu. What is armed there waits for the next payment, whoever makes it. */
export function troubleMenu() {
  const list = h("ul");
  const said = h("p", { role: "status", class: "soft" });
  const draw = (armed, sentence) => {
    fill(list, TROUBLES.map((name) =>
      h("li", {}, h("button", { type: "button", "aria-pressed": String(Boolean(armed?.includes(name))), onclick: () => choose(name, armed) },
        h("b", {}, say(`trouble_${name}`)), h("span", {}, say(`trouble_${name}Text`))))));
    said.textContent = armed ? sentence ?? "" : say("troubleNotSet");
  };
  const choose = async (name, armed) => {
    const isArmed = armed?.includes(name);
    const now = isArmed ? await ask("DELETE") : await ask("POST", { name });
    draw(now, say(isArmed ? "troubleOff" : "troubleSet"));
    list.children[TROUBLES.indexOf(name)].firstChild.focus();
  };
  const menu = h("details", { class: "trouble" },
    h("summary", {}, say("trouble_menu")),
    h("div", {}, h("p", { class: "soft" }, say("troubleLead")), said, list, h("p", { class: "soft" }, say("troubleByHand"))));
  // A trouble that struck is over: look again each time.
  menu.addEventListener("toggle", async () => menu.open && draw(await ask("GET")));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.firstChild.focus();
  });
  return menu;
}

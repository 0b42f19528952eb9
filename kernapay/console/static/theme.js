/** Light, dark, or as the system is. The server reads the choice from a cookie, so a page never begins in the wrong one. */

const COOKIE = "kp_theme";
const A_YEAR = 365 * 24 * 3600;
export const THEMES = { "": "As the system", light: "Light", dark: "Dark" };

/** What is chosen; empty for the system's. */
export function chosenTheme() {
  return ["light", "dark"].find((each) => document.documentElement.classList.contains(each)) || "";
}

/** Show this theme from now on, in this browser. */
export function chooseTheme(theme) {
  document.documentElement.className = theme;
  document.cookie = `${COOKIE}=${theme}; Path=/console; Max-Age=${theme ? A_YEAR : 0}; SameSite=Strict; Secure`;
}

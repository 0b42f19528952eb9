// The words of the pages, in the language of the browser or of `?lang=`. Each language is one file.

const LANGUAGES = { en: "English", hi: "हिन्दी" };
const KEY = "shop.language";

function choose() {
  const wanted = [
    new URLSearchParams(location.search).get("lang"),
    sessionStorage.getItem(KEY),
    ...navigator.languages.map((each) => each.slice(0, 2)),
  ];
  return wanted.find((each) => Object.hasOwn(LANGUAGES, each ?? "")) ?? "en";
}

export const language = choose();
sessionStorage.setItem(KEY, language);
document.documentElement.lang = language;
const { words } = await import(`./${language}.js`);

/** Return a sentence, with `{names}` filled in. */
export function say(name, values = {}) {
  return words[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? "");
}

/** The other languages by their own names. */
export const others = Object.entries(LANGUAGES).filter(([code]) => code !== language);

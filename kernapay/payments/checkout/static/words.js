// The words of a page, in the language of the browser or of `?lang=`. Each language is one file beside the page.

const LANGUAGES = { en: "English", hi: "हिन्दी" };
const KEY = "language";

function choose() {
  const wanted = [
    new URLSearchParams(location.search).get("lang"),
    sessionStorage.getItem(KEY),
    ...navigator.languages.map((each) => each.slice(0, 2)),
  ];
  return wanted.find((each) => Object.hasOwn(LANGUAGES, each ?? "")) ?? "en";
}

/** Load the words by `load`, which gets the code of a language. Return it, the others, and what says a sentence. */
export async function speak(load) {
  const language = choose();
  sessionStorage.setItem(KEY, language);
  document.documentElement.lang = language;
  const { words } = await load(language);
  return {
    language,
    others: Object.entries(LANGUAGES).filter(([code]) => code !== language),
    /** Return a sentence, with `{names}` filled in. */
    say: (name, values = {}) => words[name].replace(/\{(\w+)\}/g, (_, key) => values[key] ?? ""),
  };
}

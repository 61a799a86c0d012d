/** The page's language: English texts are the keys of the Korean ones. */

import { korean } from "./words-ko.js";

export const LANGUAGES = { en: "English", ko: "한국어" };
let language = "en";

/** Texts that were asked for in a language that has none for them: a test looks here. */
export const untold = new Set();

/** Choose a language, "en" or "ko". */
export function speak(name) {
  language = name in LANGUAGES ? name : "en";
  document.documentElement.lang = language;
}

/** A text in the page's language; {0}, {1}, ... are filled in. */
export function say(text, ...values) {
  if (language !== "en" && !Object.hasOwn(korean, text) && /[a-z]{2}/i.test(text)) untold.add(text);
  const found = language === "ko" ? (Object.hasOwn(korean, text) ? korean[text] : text) : text;
  return found.replace(/\{(\d+)\}/g, (_, i) => `${values[i]}`);
}

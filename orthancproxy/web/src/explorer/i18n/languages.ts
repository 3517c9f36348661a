import { config } from '../app/config';

/** The languages of the page, each by its own name. */
export const LANGUAGES = { en: 'English', ko: '한국어', ja: '日本語' } as const;
export type Language = keyof typeof LANGUAGES;

const YEAR_SECONDS = 31_536_000;

/** The user's choice, or else the first of the browser's languages that there is, or else English. */
export function preferredLanguage(cookies = document.cookie, browser = navigator.languages): Language {
  const chosen = cookies
    .split(/;\s*/)
    .find((cookie) => cookie.startsWith(`${config.languageCookie}=`))
    ?.slice(config.languageCookie.length + 1);
  const wanted = [chosen ?? '', ...browser].map((tag) => tag.split('-')[0] ?? '');
  return wanted.find(isLanguage) ?? 'en';
}

/** The language as the browser's user writes dates and numbers in it, such as en-GB; otherwise the language alone. */
export function localeOf(language: string, browser = navigator.languages): string {
  return browser.find((tag) => tag.split('-')[0] === language) ?? language;
}

/** Keeps the choice in the cookie from which Django reads the language of its own pages. */
export function rememberLanguage(language: Language): void {
  // biome-ignore lint/suspicious/noDocumentCookie: Firefox has had the Cookie Store API since 140 only
  document.cookie = `${config.languageCookie}=${language}; path=${config.base}/; max-age=${YEAR_SECONDS}; samesite=lax`;
}

function isLanguage(tag: string): tag is Language {
  return tag in LANGUAGES;
}

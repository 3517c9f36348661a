import { beforeAll, expect, test } from 'vitest';

import { config } from '../app/config';
import { localeOf, preferredLanguage } from './languages';

beforeAll(() => {
  config.languageCookie = 'django_language';
});

test.each([
  ['the choice of the user', 'a=b; django_language=ja', ['ko-KR'], 'ja'],
  ['the first language of the browser that there is', 'a=b', ['fr', 'ko-KR', 'en'], 'ko'],
  ['the browser, where the choice is none that there is', 'django_language=fr', ['ja'], 'ja'],
  ['English, without any', '', [], 'en'],
])('the language is %s', (_, cookies, browser, language) => {
  expect(preferredLanguage(cookies, browser)).toBe(language);
});

test.each([
  ['en', ['ko-KR', 'en-GB', 'en-US'], 'en-GB'],
  ['en', ['ko-KR'], 'en'],
  ['ja', ['ja'], 'ja'],
])('%s is written by a browser with %j as in %s', (language, browser, locale) => {
  expect(localeOf(language, browser)).toBe(locale);
});

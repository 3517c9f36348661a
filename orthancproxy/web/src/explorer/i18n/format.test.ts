import { beforeEach, expect, test } from 'vitest';
import { formatBytes, formatDate, formatDateTime, formatName, formatNumber, formatTime } from './format';
import i18n from './index';

beforeEach(async () => {
  await i18n.changeLanguage('en');
});

test.each([
  ['20260131', 'Jan 31, 2026'],
  ['2026-01-31', 'Jan 31, 2026'],
  ['', ''],
  [null, ''],
  ['about 1950', 'about 1950'],
  ['20260230', '20260230'],
  ['20261301', '20261301'],
  ['20260131-20260201', '20260131-20260201'],
])('the date %s is shown as %j', (date, shown) => {
  expect(formatDate(date)).toBe(shown);
});

test.each([
  ['ko', '2026. 1. 31.'],
  ['ja', '2026/01/31'],
])('dates in %s', async (language, shown) => {
  await i18n.changeLanguage(language);
  expect(formatDate('20260131')).toBe(shown);
});

test.each([
  ['134501.5', '1:45 PM'],
  ['13:45:01', '1:45 PM'],
  ['0905', '9:05 AM'],
  [undefined, ''],
  ['noon', 'noon'],
  ['2560', '2560'],
])('the time %s is shown as %j', (time, shown) => {
  // narrow no-break spaces differ between versions of ICU
  expect(formatTime(time).replace(/\s/g, ' ')).toBe(shown);
});

test('a name has its groups, without delimiters', () => {
  expect(formatName('Hong^Gildong^^Dr=洪^吉洞=')).toBe('Hong Gildong Dr · 洪 吉洞');
  expect(formatName('^^')).toBe('');
});

test('what is no moment is shown as it is', () => {
  expect(formatDateTime('yesterday')).toBe('yesterday');
});

test.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [999, '999 bytes'],
  [1500, '2 kB'],
  [48_300_000, '48.3 MB'],
  [2_500_000_000_000_000, '2,500 TB'],
])('%d bytes are shown as %j', (bytes, shown) => {
  expect(formatBytes(bytes)).toBe(shown);
});

test('numbers have separators', () => {
  expect(formatNumber(1_000_000)).toBe('1,000,000');
});

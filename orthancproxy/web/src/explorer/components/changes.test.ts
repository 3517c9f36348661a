import { expect, test } from 'vitest';

import { shownValues } from './changes';

test.each([
  ['PatientBirthDate', ['19700131'], '19700201', ['Jan 31, 1970'], 'Feb 1, 1970'],
  ['PatientBirthDate', ['1970.01.31', ''], '19700131', ['1970.01.31', ''], 'Jan 31, 1970'],
  ['StudyDate', ['20260230'], null, ['20260230'], null],
  ['StudyDate', ['20260131'], '', ['Jan 31, 2026'], ''],
  // what would look the same
  ['StudyDate', ['2026-01-31'], '20260131', ['2026-01-31'], '20260131'],
  ['StudyTime', ['134501.25'], '134501', ['134501.25'], '134501'],
  ['StudyTime', ['134501.25'], '0905', ['1:45:01 PM'], '9:05:00 AM'],
  ['ExposureTime', ['1345'], '0905', ['1345'], '0905'],
  // where the delimiters are is what a correction may be about
  ['PatientName', ['Hong^Gildong'], 'Hong Gildong', ['Hong^Gildong'], 'Hong Gildong'],
])('a change of %s from %j to %j is shown as from %j to %j', (keyword, before, after, shownBefore, shownAfter) => {
  const shown = shownValues({ keyword, before, after });
  // narrow no-break spaces differ between versions of ICU
  const plain = (value: string | null) => value?.replace(/\s/g, ' ') ?? null;
  expect([shown.before.map(plain), plain(shown.after)]).toEqual([shownBefore, shownAfter]);
});

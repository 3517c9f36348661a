import { expect, test } from 'vitest';

import { nameGroups } from './PersonName';

function group(formatted: string) {
  return formatted ? { formatted } : null;
}

function name(formatted: string, alphabetic = '', ideographic = '', phonetic = '') {
  return {
    formatted,
    alphabetic: group(alphabetic),
    ideographicGroup: group(ideographic),
    phoneticGroup: group(phonetic),
  };
}

test.each([
  ['all groups', name('Hong, Gildong', 'Hong, Gildong', '洪 吉洞', '홍 길동'), ['Hong, Gildong', '洪 吉洞', '홍 길동']],
  ['each group once', name('Hong', 'Hong', 'Hong'), ['Hong']],
  ['the only group', name('洪 吉洞', '', '洪 吉洞'), ['洪 吉洞']],
  ['no group', name(' '), []],
  ['no name', null, []],
])('a name with %s', (_, value, groups) => {
  expect(nameGroups(value)).toEqual(groups);
});

test.each([
  ['ko', ['홍 길동', 'Hong, Gildong', '洪 吉洞']],
  ['ja', ['洪 吉洞', 'Hong, Gildong', '홍 길동']],
  ['en', ['Hong, Gildong', '洪 吉洞', '홍 길동']],
])('in %s, the group in its script is the first one', (language, groups) => {
  expect(nameGroups(name('', 'Hong, Gildong', '洪 吉洞', '홍 길동'), language)).toEqual(groups);
  expect(nameGroups(name('', 'Smith, John'), language)).toEqual(['Smith, John']);
});

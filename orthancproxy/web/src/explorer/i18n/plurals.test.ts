import { beforeAll, expect, test } from 'vitest';

import i18n from './index';

beforeAll(() => i18n.loadNamespaces(['correction', 'study', 'upload']));

test.each([
  [
    'en',
    1,
    'It gets new UIDs. The original is kept until the corrected file is complete, then it is deleted.',
    '1 year at the study',
    '1 of 1 file',
  ],
  [
    'en',
    2,
    'They get new UIDs. The originals are kept until the corrected files are complete, then they are deleted.',
    '2 years at the study',
    '2 of 2 files',
  ],
  [
    'ko',
    1,
    '새 UID를 받습니다. 수정된 파일이 모두 만들어질 때까지 원본은 유지되며, 그 후 삭제됩니다.',
    '검사 당시 만 1세',
    '파일 1개 중 1개',
  ],
  [
    'ja',
    1,
    '新しいUIDになります。 元のファイルは、訂正後のファイルがすべて揃うまで残され、その後削除されます。',
    '検査時 1歳',
    '1ファイル中1',
  ],
])('what is said in %s of %d agrees in number', async (language, count, corrected, age, uploaded) => {
  await i18n.changeLanguage(language);
  const correction = i18n.getFixedT(language, 'correction');
  expect(`${correction('newUids', { count })} ${correction('original', { count })}`).toBe(corrected);
  expect(i18n.getFixedT(language, 'study')('patientFacts.age', { count })).toBe(age);
  expect(i18n.getFixedT(language, 'upload')('counts', { count, done: count, all: count })).toBe(uploaded);
});

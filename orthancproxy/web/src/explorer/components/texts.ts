import type { Translation } from '../i18n/translation';

export const en = {
  noName: 'No name',
  changes: { attribute: 'Attribute', before: 'Before', after: 'After', empty: 'Empty', removed: 'Removed' },
};

export const ko: Translation<typeof en> = {
  noName: '이름 없음',
  changes: { attribute: '항목', before: '변경 전', after: '변경 후', empty: '비어 있음', removed: '삭제됨' },
};

export const ja: Translation<typeof en> = {
  noName: '氏名なし',
  changes: { attribute: '項目', before: '変更前', after: '変更後', empty: '空', removed: '削除' },
};

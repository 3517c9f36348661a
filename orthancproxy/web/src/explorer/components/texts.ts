import type { Translation } from '../i18n/translation';

export const en = {
  noName: 'No name',
};

export const ko: Translation<typeof en> = {
  noName: '이름 없음',
};

export const ja: Translation<typeof en> = {
  noName: '氏名なし',
};

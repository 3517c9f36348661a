import type { Translation } from '../i18n/translation';

export const en = {
  title: 'Trash',
  forbidden: 'You do not have permission to delete and restore studies.',
  off: 'New deletions are for good: the trash is turned off.',
  hint_one: 'Deleted studies are hidden everywhere else. After {{number}} day they are deleted for good.',
  hint_other: 'Deleted studies are hidden everywhere else. After {{number}} days they are deleted for good.',
  none: 'The trash is empty.',
  more: 'Show more',
  unknown: 'Unknown',
  study: 'Study',
  column: { study: 'What', instances: 'Instances', at: 'Deleted', by: 'By', restore: 'Restore' },
  restore: 'Restore',
  restoreStudy: 'Restore {{name}}',
  restored: 'The study is restored.',
};

export const ko: Translation<typeof en> = {
  title: '휴지통',
  forbidden: '검사를 삭제하고 복원할 권한이 없습니다.',
  off: '휴지통이 꺼져 있어 새로 삭제하면 바로 영구 삭제됩니다.',
  hint_other: '삭제한 검사는 다른 곳에 표시되지 않습니다. {{number}}일이 지나면 영구 삭제됩니다.',
  none: '휴지통이 비어 있습니다.',
  more: '더 보기',
  unknown: '알 수 없음',
  study: '검사',
  column: { study: '대상', instances: '인스턴스', at: '삭제 시각', by: '사용자', restore: '복원' },
  restore: '복원',
  restoreStudy: '{{name}} 복원',
  restored: '검사를 복원했습니다.',
};

export const ja: Translation<typeof en> = {
  title: 'ごみ箱',
  forbidden: '検査を削除・復元する権限がありません。',
  off: 'ごみ箱は無効です。新たに削除した検査は元に戻せません。',
  hint_other: '削除した検査は他の場所には表示されません。{{number}}日後に完全に削除されます。',
  none: 'ごみ箱は空です。',
  more: 'さらに表示',
  unknown: '不明',
  study: '検査',
  column: { study: '対象', instances: 'インスタンス', at: '削除日時', by: '利用者', restore: '復元' },
  restore: '復元',
  restoreStudy: '{{name}} を復元',
  restored: '検査を復元しました。',
};

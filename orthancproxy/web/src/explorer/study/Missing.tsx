import { useTranslation } from 'react-i18next';

import { NothingHere } from '../app/NotFound';

/** The page of a resource that does not exist; one that is hidden from the caller looks the same. */
export function Missing({ what }: { what: 'study' | 'patient' }) {
  const { t } = useTranslation('study');
  return <NothingHere title={t(`missing.${what}`)} text={t('missing.text')} />;
}

import { Center, Loader } from '@mantine/core';
import { useTranslation } from 'react-i18next';

/** Shown while a page's code or data is loaded. */
export function Loading() {
  const { t } = useTranslation('app');
  return (
    <Center mih="40vh" role="status" aria-label={t('loading')}>
      <Loader type="dots" />
    </Center>
  );
}

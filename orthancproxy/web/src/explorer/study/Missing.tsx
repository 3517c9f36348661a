import { Anchor, Center, Stack, Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { worklistPath } from '../app/routes';
import { useLoadedSession } from '../app/session';
import { usePageTitle } from '../components/Page';

/** The page of a resource that does not exist; one that is hidden from the caller looks the same. */
export function Missing({ what }: { what: 'study' | 'patient' }) {
  const { t } = useTranslation('study');
  // for the navigation: a query with a malformed id brings nothing
  useLoadedSession();
  usePageTitle(t(`missing.${what}`));
  return (
    <Center mih="60vh" p="md">
      <Stack align="center" gap="xs">
        <Title order={1} size="h3">
          {t(`missing.${what}`)}
        </Title>
        <Text c="dimmed">{t('missing.text')}</Text>
        <Anchor component={Link} href={worklistPath()}>
          {t('missing.toWorklist')}
        </Anchor>
      </Stack>
    </Center>
  );
}

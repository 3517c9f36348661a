import { Anchor, Center, Stack, Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { usePageTitle } from '../components/Page';
import { worklistPath } from './routes';
import { useLoadedSession } from './session';

/** The page of an address that is unknown. */
export function NotFound() {
  const { t } = useTranslation('app');
  return <NothingHere title={t('notFound.title')} text={t('notFound.text')} />;
}

/** A page that has nothing but the way to the worklist. */
export function NothingHere({ title, text }: { title: string; text: string }) {
  const { t } = useTranslation('app');
  // for the navigation: there may be no other query, and one with a malformed id brings nothing
  useLoadedSession();
  usePageTitle(title);
  return (
    <Center mih="60vh" p="md">
      <Stack align="center" gap="xs">
        <Title order={1} size="h3">
          {title}
        </Title>
        <Text c="dimmed">{text}</Text>
        <Anchor component={Link} href={worklistPath()}>
          {t('notFound.toWorklist')}
        </Anchor>
      </Stack>
    </Center>
  );
}

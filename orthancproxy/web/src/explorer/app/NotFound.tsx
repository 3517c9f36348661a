import { Anchor, Center, Stack, Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { worklistPath } from './routes';

export function NotFound() {
  const { t } = useTranslation('app');
  return (
    <Center mih="60vh">
      <Stack align="center" gap="xs">
        <Title order={1} size="h3">
          {t('notFound.title')}
        </Title>
        <Text c="dimmed">{t('notFound.text')}</Text>
        <Anchor component={Link} href={worklistPath()}>
          {t('notFound.toWorklist')}
        </Anchor>
      </Stack>
    </Center>
  );
}

import { Group, Text } from '@mantine/core';
import { IconUpload } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

import classes from './Chooser.module.css';
import { FileButtons } from './FileButtons';

/** Where files are chosen; they can be dropped anywhere. */
export function Chooser() {
  const { t } = useTranslation('upload');
  return (
    <div className={classes.chooser}>
      <IconUpload size={44} stroke={1.3} aria-hidden="true" />
      <Text size="lg" fw={600}>
        {t('drop.title')}
      </Text>
      <Text size="sm" c="dimmed">
        {t('drop.hint')}
      </Text>
      <Group justify="center" mt="md" gap="xs">
        <FileButtons />
      </Group>
    </div>
  );
}

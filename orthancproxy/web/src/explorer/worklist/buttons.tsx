import { Button, type ButtonProps } from '@mantine/core';
import { IconBookmark, IconColumns3 } from '@tabler/icons-react';
import type { ComponentProps } from 'react';
import { useTranslation } from 'react-i18next';

import classes from './Worklist.module.css';

type Props = ButtonProps & ComponentProps<'button'>;

export function ColumnsButton(props: Props) {
  const { t } = useTranslation('worklist');
  return (
    <Button
      aria-haspopup="dialog"
      {...props}
      size="xs"
      variant="default"
      leftSection={<IconColumns3 size={15} aria-hidden="true" />}
    >
      {t('columns')}
    </Button>
  );
}

export function SavedButton(props: Props) {
  const { t } = useTranslation('worklist');
  return (
    <Button aria-haspopup="dialog" {...props} size="xs" variant="default" aria-label={t('saved')}>
      <IconBookmark size={15} aria-hidden="true" />
      <span className={classes.savedText}>{t('saved')}</span>
    </Button>
  );
}

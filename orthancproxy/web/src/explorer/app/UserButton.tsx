import { UnstyledButton, type UnstyledButtonProps } from '@mantine/core';
import { IconChevronDown, IconUser } from '@tabler/icons-react';
import type { ComponentProps } from 'react';
import { useTranslation } from 'react-i18next';

import { config } from './config';
import classes from './UserButton.module.css';

/** The button of the user menu, with the user's name. */
export function UserButton(props: UnstyledButtonProps & ComponentProps<'button'>) {
  const { t } = useTranslation('app');
  const name = config.username || t('menu.anonymous');
  return (
    <UnstyledButton
      aria-haspopup="menu"
      {...props}
      className={classes.button}
      aria-label={`${t('menu.label')}: ${name}`}
    >
      <IconUser size={18} stroke={1.6} aria-hidden="true" />
      <bdi className={classes.name}>{name}</bdi>
      <IconChevronDown size={14} aria-hidden="true" />
    </UnstyledButton>
  );
}

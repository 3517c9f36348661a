import { Anchor, Notification } from '@mantine/core';
import { IconAlertTriangle, IconCheck } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { ErrorSentence } from './ErrorMessage';
import classes from './Notices.module.css';
import { dismiss, useNotices } from './notify';

/** The messages of `notify`. The region is always there, as screen readers need it. */
export function Notices() {
  const { t } = useTranslation('app');
  return (
    <section className={classes.region} aria-live="polite" aria-label={t('notices')}>
      {useNotices().map(({ id, content, isError, link }) => (
        <Notification
          key={id}
          withBorder
          color={isError ? 'red' : 'teal'}
          icon={isError ? <IconAlertTriangle size={18} /> : <IconCheck size={18} />}
          onClose={() => dismiss(id)}
          closeButtonProps={{ 'aria-label': t('dismiss') }}
        >
          {content instanceof Error ? <ErrorSentence error={content} /> : content}
          {link && (
            <Anchor component={Link} href={link.path} onClick={() => dismiss(id)} className={classes.link}>
              {link.text}
            </Anchor>
          )}
        </Notification>
      ))}
    </section>
  );
}

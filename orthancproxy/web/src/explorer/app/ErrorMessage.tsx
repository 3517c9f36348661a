import { Alert, Button } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import classes from './ErrorMessage.module.css';
import { asFailure } from './errors';

interface ErrorMessageProps {
  error: Error;
  /** Offers a button that tries again. */
  retry?: () => void;
}

/** An error in one sentence, with the id under which the gateway's log has the request. */
export function ErrorMessage({ error, retry }: ErrorMessageProps) {
  const { t } = useTranslation('app');
  return (
    <Alert color="red" variant="light" icon={<IconAlertTriangle />} role="alert" className={classes.alert}>
      <ErrorSentence error={error} />
      {retry && (
        <Button size="compact-sm" variant="light" color="red" onClick={retry} className={classes.retry}>
          {t('retry')}
        </Button>
      )}
    </Alert>
  );
}

/** The same, as text. */
export function ErrorSentence({ error }: { error: Error }) {
  const { t, i18n } = useTranslation('app');
  const { code, message, requestId } = asFailure(error);
  const known = `errors.${code}` as 'errors.UNKNOWN';
  // the server's own sentence tells which value is wrong
  const sentence = i18n.exists(`app:${known}`) ? t(known) : (message ?? t('errors.UNKNOWN'));
  return (
    <>
      {sentence}
      {requestId && <small className={classes.id}>{t('errors.requestId', { id: requestId })}</small>}
    </>
  );
}

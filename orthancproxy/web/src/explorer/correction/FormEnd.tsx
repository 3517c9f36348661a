import { Button, Checkbox, Group } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';

interface FormEndProps {
  keepUids: boolean;
  onKeepUids: (value: boolean) => void;
  error: Error | undefined;
  isBusy: boolean;
  /** Whether there is something to preview. */
  isReady: boolean;
  onCancel: () => void;
}

/** What every form of a change ends with. */
export function FormEnd({ keepUids, onKeepUids, error, isBusy, isReady, onCancel }: FormEndProps) {
  const { t } = useTranslation('correction');
  return (
    <>
      <Checkbox
        label={t('keepUids')}
        description={t('keepUidsHint')}
        checked={keepUids}
        onChange={({ currentTarget }) => onKeepUids(currentTarget.checked)}
      />
      {error && <ErrorMessage error={error} />}
      <Group justify="flex-end">
        <Button variant="default" onClick={onCancel}>
          {t('cancel')}
        </Button>
        <Button type="submit" loading={isBusy} disabled={!isReady}>
          {t('next')}
        </Button>
      </Group>
    </>
  );
}

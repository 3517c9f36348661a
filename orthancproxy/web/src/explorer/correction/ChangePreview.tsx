import { Alert, Button, Checkbox, Group, Stack, Text } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { type ReactNode, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { ChangeTable } from '../components/ChangeTable';
import type { CorrectionFragment } from '../graphql/generated/graphql';
import { formatNumber } from '../i18n/format';
import type { Keyword } from './fields';

/** Of the dialog: what is scrolled to is below it. */
const HEADER = '4rem';

interface ChangePreviewProps {
  correction: CorrectionFragment;
  keepUids: boolean;
  /** On the button that begins it. */
  confirmText: string;
  error: Error | undefined;
  isBusy: boolean;
  onBack: () => void;
  onConfirm: (accepted: { acceptCollisions?: boolean }) => void;
  /** Above the attributes. */
  children?: ReactNode;
}

/** What would change, and what has to be accepted before. */
export function ChangePreview({
  correction,
  keepUids,
  confirmText,
  error,
  isBusy,
  onBack,
  onConfirm,
  children,
}: ChangePreviewProps) {
  const { t, i18n } = useTranslation('correction');
  const { changes, collisions, instancesCount: count } = correction;
  const [isAccepted, setAccepted] = useState(false);
  const summary = useRef<HTMLParagraphElement>(null);
  // the button that had the focus is gone; screen readers read on from here
  useEffect(() => summary.current?.focus(), []);
  const nameOf = (keyword: string) =>
    i18n.exists(`correction:field.${keyword}`) ? t(`field.${keyword as Keyword}`) : keyword;
  return (
    <Stack gap="md">
      <Text ref={summary} tabIndex={-1} style={{ scrollMarginTop: HEADER }}>
        {t('what', { count, number: formatNumber(count) })} {t(keepUids ? 'oldUids' : 'newUids', { count })}{' '}
        {t('original', { count })}
      </Text>
      {children}
      {changes.length > 0 && <ChangeTable changes={changes} nameOf={nameOf} />}
      {collisions.length > 0 && (
        <Alert color="yellow" icon={<IconAlertTriangle />} title={t('collisions')}>
          <Stack gap="xs">
            {collisions.map(({ kind, keyword }) => (
              <Text key={`${kind} ${keyword}`} size="sm">
                {t(`collision.${kind}`, { attribute: keyword && nameOf(keyword) })}
              </Text>
            ))}
            <Checkbox
              label={t('accept')}
              checked={isAccepted}
              onChange={({ currentTarget }) => setAccepted(currentTarget.checked)}
            />
          </Stack>
        </Alert>
      )}
      {error && <ErrorMessage error={error} />}
      <Group justify="flex-end">
        <Button variant="default" onClick={onBack} disabled={isBusy}>
          {t('back')}
        </Button>
        <Button
          color="red"
          loading={isBusy}
          disabled={collisions.length > 0 && !isAccepted}
          onClick={() => onConfirm(isAccepted ? { acceptCollisions: true } : {})}
        >
          {confirmText}
        </Button>
      </Group>
    </Stack>
  );
}

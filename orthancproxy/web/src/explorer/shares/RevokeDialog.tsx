import { useMutation } from '@apollo/client/react';
import { Button, Group, Modal, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { notify } from '../app/notify';
import type { StudyCellFragment } from '../graphql/generated/graphql';
import { REVOKE_SHARE, type Share } from './operations';
import classes from './Shares.module.css';

interface RevokeDialogProps {
  share: Share | undefined;
  study: StudyCellFragment | undefined;
  onClose: () => void;
}

/** Ends a link once that has been confirmed. */
export function RevokeDialog({ share, study, onClose }: RevokeDialogProps) {
  const { t } = useTranslation('shares');
  const [revoke, { loading, error, reset }] = useMutation(REVOKE_SHARE);

  function close(): void {
    reset();
    onClose();
  }

  async function confirm(): Promise<void> {
    if (!share) return;
    const { data } = await revoke({ variables: { id: share.id } });
    if (!data) return;
    notify.success(t('revoked'));
    close();
  }

  return (
    <Modal
      opened={share !== undefined}
      onClose={close}
      title={t('confirmTitle')}
      closeButtonProps={{ 'aria-label': t('close') }}
      centered
    >
      <Text className={classes.question}>{share && t('confirm', { study: titleOf(share, study) })}</Text>
      {error && <ErrorMessage error={error} />}
      <Group justify="flex-end" mt="lg">
        <Button variant="default" onClick={close} data-autofocus>
          {t('cancel')}
        </Button>
        {/* its error is shown */}
        <Button color="red" loading={loading} onClick={() => void confirm().catch(() => undefined)}>
          {t('revoke')}
        </Button>
      </Group>
    </Modal>
  );
}

/** What a share is called where its study is named. */
export function titleOf(share: Share, study: StudyCellFragment | undefined): string {
  return study?.description || share.studyInstanceUID;
}

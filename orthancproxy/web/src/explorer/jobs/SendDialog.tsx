import { useMutation, useQuery } from '@apollo/client/react';
import { Button, Group, Modal, Radio, Stack, Text } from '@mantine/core';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { newMutationId } from '../app/mutationId';
import { JobBegun } from './JobBegun';
import { MODALITIES, SEND } from './operations';
import { useBeginning } from './unfinished';

interface SendDialogProps {
  studyOrthancId: string;
  opened: boolean;
  onClose: () => void;
}

/** Sends a study to another server. */
export default function SendDialog({ studyOrthancId, opened, onClose }: SendDialogProps) {
  const { t } = useTranslation('jobs');
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={t('send.title')}
      closeButtonProps={{ 'aria-label': t('begun.close') }}
      centered
    >
      <SendForm studyOrthancId={studyOrthancId} onClose={onClose} />
    </Modal>
  );
}

function SendForm({ studyOrthancId, onClose }: Omit<SendDialogProps, 'opened'>) {
  const { t } = useTranslation('jobs');
  const { data, error, refetch } = useQuery(MODALITIES, { fetchPolicy: 'cache-and-network' });
  const [chosen, setChosen] = useState('');
  // by destination: a request that is repeated, as its answer was lost, begins no second job
  const mutationIds = useRef(new Map<string, string>()).current;
  const [isRetry, setRetry] = useState(false);
  const [send, sending] = useMutation(
    SEND,
    useBeginning(({ sendToModality }) => sendToModality.job),
  );
  if (error) return <ErrorMessage error={error} retry={() => void refetch()} />;
  if (!data) return <Loading />;
  const { modalities } = data;
  if (modalities.length === 0) return <Text>{t('send.nowhere')}</Text>;
  const job = sending.data?.sendToModality.job;
  if (job) return <JobBegun job={job} of={t('several.STUDY')} onClose={onClose} onRetry={tryAgain} />;
  const target = modalities.find((one) => keyOf(one) === chosen);

  function submit(): void {
    if (!target) return;
    const { name, kind } = target;
    const clientMutationId = mutationIds.get(chosen) ?? newMutationId();
    mutationIds.set(chosen, clientMutationId);
    const input = { modality: name, kind, level: 'STUDY' as const, orthancIds: [studyOrthancId], clientMutationId };
    // its error is shown
    send({ variables: { input } }).catch(() => undefined);
  }

  function tryAgain(): void {
    // with the same one, the gateway would answer with the job that has failed
    mutationIds.delete(chosen);
    setRetry(true);
    sending.reset();
  }

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Stack gap="md">
        <Radio.Group label={t('send.where')} value={chosen} onChange={setChosen}>
          <Stack gap="xs" mt="xs">
            {modalities.map((one) => (
              <Radio
                key={keyOf(one)}
                value={keyOf(one)}
                // the button that had the focus is gone
                autoFocus={isRetry && keyOf(one) === chosen}
                label={one.name}
                description={one.aet ? t('send.aet', { aet: one.aet }) : t(`send.kind.${one.kind}`)}
              />
            ))}
          </Stack>
        </Radio.Group>
        {sending.error && <ErrorMessage error={sending.error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('send.cancel')}
          </Button>
          <Button type="submit" loading={sending.loading} disabled={!target}>
            {t('send.send')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function keyOf({ kind, name }: { kind: string; name: string }): string {
  return `${kind} ${name}`;
}

import { useApolloClient, useMutation } from '@apollo/client/react';
import { Button, Group, Loader, Modal, Text, TextInput } from '@mantine/core';
import { useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { notify } from '../app/notify';
import { rememberPage } from '../app/rememberPage';
import { worklistPath } from '../app/routes';
import type { DeletionFragment, PatientHeaderFragment } from '../graphql/generated/graphql';
import { formatNumber } from '../i18n/format';
import { confirmationOf, isConfirmed } from './confirmation';
import classes from './DeleteDialog.module.css';
import { DELETE_PATIENT, DELETE_SERIES, DELETE_STUDY } from './operations';

const MUTATIONS = { PATIENT: DELETE_PATIENT, STUDY: DELETE_STUDY, SERIES: DELETE_SERIES };

interface DeleteDialogProps {
  level: keyof typeof MUTATIONS;
  orthancId: string;
  patient: PatientHeaderFragment;
  opened: boolean;
  onClose: () => void;
  /** Called instead of leaving for the worklist if the study of a series remains. */
  onDeleted?: () => void;
}

/** Says what a deletion takes with it, and deletes once the patient's name has been typed. */
export function DeleteDialog(props: DeleteDialogProps) {
  const { t } = useTranslation('study');
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title={t(`delete.titles.${props.level}`)}
      closeButtonProps={{ 'aria-label': t('actions.close') }}
      centered
    >
      <DeleteForm {...props} />
    </Modal>
  );
}

function DeleteForm({ level, orthancId, patient, onClose, onDeleted }: DeleteDialogProps) {
  const { t } = useTranslation('study');
  const { cache } = useApolloClient();
  const [, navigate] = useLocation();
  const [typed, setTyped] = useState('');
  const [preview, { data, error }] = useMutation(MUTATIONS[level]);
  const [remove, { loading, error: removeError }] = useMutation(MUTATIONS[level]);
  const confirmation = confirmationOf(patient, t('delete.word'));
  const predicted = data?.deletion;

  useEffect(() => {
    // its error is shown
    preview({ variables: { orthancId, dryRun: true } }).catch(() => undefined);
  }, [preview, orthancId]);

  async function confirm(): Promise<void> {
    const isStillHere = rememberPage();
    const { data: done } = await remove({ variables: { orthancId, dryRun: false } });
    if (!done) return;
    const { deleted, deletedIds, inTrash, instancesCount } = done.deletion;
    const instances = t('instances', { count: instancesCount, number: formatNumber(instancesCount) });
    onClose();
    if (isStillHere()) {
      if (onDeleted && deleted.length === 1) onDeleted();
      else navigate(worklistPath());
    }
    for (const id of deletedIds) cache.evict({ id: cache.identify({ __typename: typeOf(id), id }) });
    cache.gc();
    notify.success(
      t(inTrash && level !== 'SERIES' ? `delete.trashed.${level}` : `delete.done.${level}`, { instances }),
    );
  }

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        // its error is shown
        if (predicted && isConfirmed(confirmation, typed)) confirm().catch(() => undefined);
      }}
    >
      <div aria-live="polite">
        {error && <ErrorMessage error={error} />}
        {!predicted && !error && (
          <Group gap="sm">
            <Loader size="xs" />
            <Text c="dimmed">{t('delete.counting')}</Text>
          </Group>
        )}
        {predicted && <Text>{t(predicted.inTrash ? 'delete.toTrash' : 'delete.what', whatOf(predicted, t))}</Text>}
      </div>
      {predicted && (
        <>
          <TextInput
            mt="md"
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            label={t(`delete.type.${confirmation.kind}`)}
            description={
              <bdi dir="auto" className={classes.expected}>
                {confirmation.shown}
              </bdi>
            }
            dir="auto"
            autoComplete="off"
            spellCheck={false}
            // it appears later than the dialog, which was opened for it
            autoFocus
            data-autofocus
          />
          {removeError && <ErrorMessage error={removeError} />}
        </>
      )}
      <Group justify="flex-end" mt="lg">
        <Button variant="default" onClick={onClose}>
          {t('delete.cancel')}
        </Button>
        <Button type="submit" color="red" loading={loading} disabled={!predicted || !isConfirmed(confirmation, typed)}>
          {t(predicted?.inTrash ? 'delete.confirmTrash' : 'delete.confirm')}
        </Button>
      </Group>
    </form>
  );
}

type LevelsKey = 'PATIENT' | 'STUDY' | 'SERIES' | 'SERIES_STUDY' | 'STUDY_PATIENT' | 'SERIES_STUDY_PATIENT';

function whatOf({ deleted, instancesCount }: DeletionFragment, t: ReturnType<typeof useTranslation<'study'>>['t']) {
  const levels = deleted.map(({ level }) => level).join('_') as LevelsKey;
  const instances = t('instances', { count: instancesCount, number: formatNumber(instancesCount) });
  return { what: t(`delete.levels.${levels}`), instances };
}

/** The type in a Relay global id, which the cache needs besides the id. */
function typeOf(globalId: string): string {
  return atob(globalId).split(':')[0] ?? '';
}

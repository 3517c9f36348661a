import { useApolloClient, useMutation } from '@apollo/client/react';
import { Button, Checkbox, Fieldset, Group, Modal, Radio, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { newMutationId } from '../app/mutationId';
import { notify } from '../app/notify';
import { useSession } from '../app/session';
import type { AnonymizationOutput, AnonymizeStudyInput, JobProgressFragment } from '../graphql/generated/graphql';
import { JobBegun } from '../jobs/JobBegun';
import { findMade } from '../jobs/made';
import { useBeginning } from '../jobs/unfinished';
import { ANONYMIZE, type Anonymized } from './operations';
import { Preview } from './Preview';

const OPTIONS = ['shiftDates', 'keepSeriesDescriptions', 'keepDevice', 'includeBurnedIn'] as const;

interface AnonymizeDialogProps {
  studyOrthancId: string;
  opened: boolean;
  onClose: () => void;
}

/** Anonymizes a study: the options, what they change, and the job or the ZIP. */
export default function AnonymizeDialog({ studyOrthancId, opened, onClose }: AnonymizeDialogProps) {
  const { t } = useTranslation('anonymize');
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={t('title')}
      closeButtonProps={{ 'aria-label': t('close') }}
      size="xl"
      centered
    >
      <AnonymizeForm studyOrthancId={studyOrthancId} onClose={onClose} />
    </Modal>
  );
}

function AnonymizeForm({ studyOrthancId, onClose }: Omit<AnonymizeDialogProps, 'opened'>) {
  const { t } = useTranslation('anonymize');
  const { may } = useSession();
  const [project, setProject] = useState('');
  const [patientId, setPatientId] = useState('');
  const [patientName, setPatientName] = useState('');
  const [options, setOptions] = useState<readonly string[]>([]);
  const [output, setOutput] = useState<AnonymizationOutput>('STUDY');
  // a click that is sent twice begins one job, and what is previewed anew another
  const [clientMutationId, setClientMutationId] = useState('');
  const [shown, setShown] = useState<Anonymized>();
  const [anonymize, { data, loading, error, reset }] = useMutation(
    ANONYMIZE,
    useBeginning(({ anonymizeStudy }) => anonymizeStudy.job),
  );
  const input: AnonymizeStudyInput = {
    orthancId: studyOrthancId,
    project: project.trim() || null,
    patientId: project.trim() ? null : patientId.trim() || null,
    patientName: project.trim() ? null : patientName.trim() || null,
    output,
    ...Object.fromEntries(OPTIONS.map((name) => [name, options.includes(name)])),
  };

  // errors are shown
  function preview(): void {
    setClientMutationId(newMutationId());
    anonymize({ variables: { input: { ...input, dryRun: true } } })
      .then(({ data: answer }) => setShown(answer?.anonymizeStudy))
      .catch(() => undefined);
  }

  function begin(): void {
    anonymize({ variables: { input: { ...input, clientMutationId } } })
      .then(({ data: answer }) => {
        const url = answer?.anonymizeStudy.downloadUrl;
        if (!url) return;
        window.location.assign(url);
        onClose();
      })
      .catch(() => undefined);
  }

  const job = data?.anonymizeStudy.job;
  if (job) return <Begun job={job} onClose={onClose} />;
  if (shown) {
    return (
      <Stack gap="md">
        <Preview preview={shown.preview} warnings={shown.warnings} studyOrthancId={studyOrthancId} />
        {error && <ErrorMessage error={error} />}
        <Group justify="flex-end">
          <Button
            variant="default"
            onClick={() => {
              reset();
              setShown(undefined);
            }}
          >
            {t('back')}
          </Button>
          <Button onClick={begin} loading={loading} data-autofocus>
            {t(output === 'ZIP' ? 'download' : 'begin')}
          </Button>
        </Group>
      </Stack>
    );
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        preview();
      }}
    >
      <Stack gap="md">
        <Fieldset legend={t('identity')}>
          <Stack gap="sm">
            <TextInput
              label={t('project')}
              description={t('projectHint')}
              value={project}
              maxLength={64}
              autoComplete="off"
              data-autofocus
              onChange={(event) => setProject(event.currentTarget.value)}
            />
            <TextInput
              label={t('patientId')}
              description={t('patientIdHint')}
              value={project.trim() ? '' : patientId}
              maxLength={64}
              autoComplete="off"
              disabled={project.trim() !== ''}
              onChange={(event) => setPatientId(event.currentTarget.value)}
            />
            <TextInput
              label={t('patientName')}
              description={t('patientNameHint')}
              value={project.trim() ? '' : patientName}
              maxLength={64}
              autoComplete="off"
              disabled={project.trim() !== ''}
              onChange={(event) => setPatientName(event.currentTarget.value)}
            />
          </Stack>
        </Fieldset>
        <Checkbox.Group label={t('keep')} value={[...options]} onChange={setOptions}>
          <Stack gap="xs" mt="xs">
            {OPTIONS.map((name) => (
              <Checkbox key={name} value={name} label={t(name)} />
            ))}
          </Stack>
        </Checkbox.Group>
        {may('DOWNLOAD') && (
          <Radio.Group
            label={t('output')}
            value={output}
            onChange={(value) => setOutput(value === 'ZIP' ? 'ZIP' : 'STUDY')}
          >
            <Stack gap="xs" mt="xs">
              <Radio value="STUDY" label={t('asStudy')} />
              <Radio value="ZIP" label={t('asZip')} />
            </Stack>
          </Radio.Group>
        )}
        {error && <ErrorMessage error={error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('cancel')}
          </Button>
          <Button type="submit" loading={loading}>
            {t('preview')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

function Begun({ job, onClose }: { job: JobProgressFragment; onClose: () => void }) {
  const { t } = useTranslation('anonymize');
  const client = useApolloClient();
  const [path, setPath] = useState<string>();
  return (
    <JobBegun
      job={job}
      of={t('study')}
      onClose={onClose}
      onEnd={({ id }) => findMade(client, id).then((found) => setPath(found?.path), notify.error)}
    >
      {path && (
        <Button component={Link} href={path} onClick={onClose}>
          {t('toStudy')}
        </Button>
      )}
    </JobBegun>
  );
}

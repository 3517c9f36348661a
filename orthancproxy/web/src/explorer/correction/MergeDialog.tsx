import { Checkbox, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import type { MergeStudiesInput } from '../graphql/generated/graphql';
import { ChangeDialog, type FormStep } from './ChangeDialog';
import { FormEnd } from './FormEnd';
import { MovingSeries } from './MovingSeries';
import { OtherStudies, StudyName } from './OtherStudies';
import { MERGE_STUDIES } from './operations';

export interface StudyDialogProps {
  studyOrthancId: string;
  patientOrthancId: string;
  opened: boolean;
  onClose: () => void;
}

/** Merges other studies of the patient into a study. */
export default function MergeDialog({ opened, onClose, ...ids }: StudyDialogProps) {
  const { t } = useTranslation('correction');
  return (
    <ChangeDialog
      opened={opened}
      onClose={onClose}
      title={t('merge.title')}
      of={t('of.STUDY')}
      texts={{ confirm: t('merge.confirm'), open: t('merge.open') }}
      mutation={MERGE_STUDIES}
      form={(step) => <MergeForm {...ids} {...step} />}
      about={({ sources }) => <MovingSeries studies={sources.map(String)} />}
    />
  );
}

type MergeFormProps = FormStep<MergeStudiesInput> & Pick<StudyDialogProps, 'studyOrthancId' | 'patientOrthancId'>;

function MergeForm({ studyOrthancId, patientOrthancId, given, onSubmit, ...end }: MergeFormProps) {
  const { t } = useTranslation('correction');
  const [sources, setSources] = useState(given?.sources.map(String) ?? []);
  const [keepUids, setKeepUids] = useState(given?.keepUids ?? false);
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit({ orthancId: studyOrthancId, sources, keepUids });
      }}
    >
      <Stack gap="md">
        <Text size="sm">{t('merge.text')}</Text>
        <OtherStudies studyOrthancId={studyOrthancId} patientOrthancId={patientOrthancId}>
          {(studies) => (
            <Checkbox.Group label={t('merge.sources')} value={sources} onChange={setSources}>
              <Stack gap="xs" mt="xs">
                {studies.map((study) => (
                  <Checkbox key={study.id} value={study.orthancId} label={<StudyName study={study} />} />
                ))}
              </Stack>
            </Checkbox.Group>
          )}
        </OtherStudies>
        <FormEnd {...end} keepUids={keepUids} onKeepUids={setKeepUids} isReady={sources.length > 0} />
      </Stack>
    </form>
  );
}

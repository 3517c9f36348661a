import { useQuery } from '@apollo/client/react';
import { Autocomplete, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useTranslation } from 'react-i18next';

import { useSession } from '../app/session';
import { graphql } from '../graphql/generated';
import { formatName } from '../i18n/format';
import type { UploadValues } from './request';
import classes from './Values.module.css';

const SUGGEST_PATIENTS = graphql(`
  query SuggestPatients($search: String!) {
    patients(filter: { search: $search }, first: 6) {
      nodes {
        id
        patientId
        patientName
      }
    }
  }
`);
// of LO (PS3.5 section 6.2)
const MAX_CHARACTERS = 64;
const MIN_SEARCH_CHARACTERS = 2;
const SEARCH_DELAY_MS = 250;

interface ValuesProps {
  values: Omit<UploadValues, 'uploadKey'>;
  onChange: (values: Partial<UploadValues>) => void;
}

/** The patient and the description of the study. */
export function Values({ values, onChange }: ValuesProps) {
  const { t } = useTranslation('upload');
  return (
    <div className={classes.fields}>
      <PatientId value={values.patientId} onChange={onChange} />
      <TextInput
        label={t('patientName')}
        description={t('patientNameHint')}
        inputWrapperOrder={['label', 'input', 'description', 'error']}
        value={values.patientName}
        dir="auto"
        autoComplete="off"
        onChange={({ currentTarget }) => onChange({ patientName: currentTarget.value })}
      />
      <TextInput
        label={t('studyDescription')}
        description={t('studyDescriptionHint')}
        inputWrapperOrder={['label', 'input', 'description', 'error']}
        value={values.studyDescription}
        maxLength={MAX_CHARACTERS}
        dir="auto"
        autoComplete="off"
        onChange={({ currentTarget }) => onChange({ studyDescription: currentTarget.value })}
      />
    </div>
  );
}

/** The patient ID, with the patients of the archive that match what is typed, by ID or name. */
function PatientId({ value, onChange }: { value: string; onChange: ValuesProps['onChange'] }) {
  const { t } = useTranslation('upload');
  const { may } = useSession();
  const [search] = useDebouncedValue(value.trim(), SEARCH_DELAY_MS);
  const { data } = useQuery(SUGGEST_PATIENTS, {
    variables: { search },
    skip: search.length < MIN_SEARCH_CHARACTERS || !may('VIEW'),
  });
  const names = new Map((data?.patients.nodes ?? []).map((patient) => [patient.patientId, patient.patientName ?? '']));
  return (
    <Autocomplete
      label={t('patientId')}
      description={may('VIEW') ? t('patientIdHint') : undefined}
      inputWrapperOrder={['label', 'input', 'description', 'error']}
      required
      maxLength={MAX_CHARACTERS}
      autoComplete="off"
      value={value}
      onChange={(patientId) => onChange({ patientId })}
      data={[...names.keys()].filter((id) => id !== null && id !== '') as string[]}
      // the archive has matched them
      filter={({ options }) => options}
      onOptionSubmit={(patientId) => onChange({ patientId, patientName: names.get(patientId) ?? '' })}
      renderOption={({ option }) => (
        <div>
          <bdi>{option.value}</bdi>
          <Text size="xs" c="dimmed">
            <bdi dir="auto">{formatName(names.get(option.value) ?? '')}</bdi>
          </Text>
        </div>
      )}
    />
  );
}

import { useQuery } from '@apollo/client/react';
import { Alert, Button } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { IconAlertTriangle, IconUserCheck } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

import { useSession } from '../app/session';
import { graphql } from '../graphql/generated';
import { formatDate, formatName, formatNumber } from '../i18n/format';
import { comparable } from './names';
import classes from './Patients.module.css';
import type { UploadValues } from './request';
import { type FoundPatient, otherPatients } from './summary';

const KNOWN_PATIENT = graphql(`
  query KnownPatient($patientId: String!) {
    patient(patientId: $patientId) {
      id
      patientId
      patientName
      birthDate
    }
  }
`);
const DELAY_MS = 250;
const MAX_SHOWN = 20;

interface PatientProps {
  patientId: string;
  patientName: string;
}

/** Says whether the archive has the patient, and warns if it does under another name. */
export function KnownPatient({ patientId, patientName }: PatientProps) {
  const { t } = useTranslation('upload');
  const { may } = useSession();
  const [id] = useDebouncedValue(patientId, DELAY_MS);
  const { data } = useQuery(KNOWN_PATIENT, { variables: { patientId: id }, skip: !id || !may('VIEW') });
  const patient = data?.patient;
  if (!patient || patient.patientId !== patientId) return null;
  const known = patient.patientName ?? '';
  const isOther = known !== '' && comparable(known) !== comparable(patientName || patientId);
  return (
    <Alert
      color={isOther ? 'yellow' : 'blue'}
      variant="light"
      mt="md"
      role="status"
      icon={isOther ? <IconAlertTriangle /> : <IconUserCheck />}
    >
      {t(isOther ? 'otherName' : 'known')}{' '}
      <strong className={classes.name}>
        <bdi dir="auto">{formatName(known) || patientId}</bdi>
      </strong>
      {patient.birthDate && ` · ${formatDate(patient.birthDate)}`}
    </Alert>
  );
}

interface OtherPatientsProps extends PatientProps {
  /** Of the files. */
  patients: readonly FoundPatient[];
  onChoose: (values: Partial<UploadValues>) => void;
}

/** Warns if the files name other patients than the one whose they become. */
export function OtherPatients({ patients, patientId, patientName, onChoose }: OtherPatientsProps) {
  const { t } = useTranslation('upload');
  const others = otherPatients(patients, patientId, patientName);
  if (others.length === 0) return null;
  return (
    <Alert color="yellow" variant="light" mt="md" icon={<IconAlertTriangle />} role="status" title={t('others.title')}>
      {t('others.text', { count: others.length })}
      <ul className={classes.list}>
        {others.slice(0, MAX_SHOWN).map(({ patientId, patientName, birthDate, files }) => (
          <li key={JSON.stringify([patientId, patientName, birthDate])}>
            <span>
              <bdi dir="auto">{formatName(patientName)}</bdi> <bdi>{patientId}</bdi>{' '}
              {birthDate && `· ${formatDate(birthDate)} `}· {t('files', { count: files, number: formatNumber(files) })}
            </span>
            <Button
              variant="default"
              size="compact-xs"
              aria-label={`${t('others.choose')}: ${formatName(patientName)} ${patientId}`}
              onClick={() => onChoose({ patientId, patientName })}
            >
              {t('others.choose')}
            </Button>
          </li>
        ))}
      </ul>
      {others.length > MAX_SHOWN && t('others.more', { number: formatNumber(others.length - MAX_SHOWN) })}
    </Alert>
  );
}

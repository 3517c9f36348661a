import { useQuery } from '@apollo/client/react';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import type { StudyChoiceFragment } from '../graphql/generated/graphql';
import { formatDate, formatNumber } from '../i18n/format';
import { STUDIES_OF_PATIENT } from './operations';

interface OtherStudiesProps {
  studyOrthancId: string;
  patientOrthancId: string;
  children: (studies: readonly StudyChoiceFragment[]) => ReactNode;
}

/** The patient's other studies, as they are now. */
export function OtherStudies({ studyOrthancId, patientOrthancId, children }: OtherStudiesProps) {
  const { data, error, refetch } = useQuery(STUDIES_OF_PATIENT, {
    variables: { orthancId: patientOrthancId },
    fetchPolicy: 'network-only',
  });
  if (error) return <ErrorMessage error={error} retry={() => void refetch()} />;
  if (!data) return <Loading />;
  return children((data.patient?.studies ?? []).filter(({ orthancId }) => orthancId !== studyOrthancId));
}

/** A study in words; two that a correction has split differ by their number of series. */
export function StudyName({ study }: { study: StudyChoiceFragment }) {
  const { t } = useTranslation('correction');
  const { accessionNumber, studyDate, modalities, seriesCount: count } = study;
  const facts = [
    accessionNumber,
    formatDate(studyDate),
    modalities.join(', '),
    t('series', { count, number: formatNumber(count) }),
  ];
  return (
    <>
      <bdi dir="auto">{study.description || t('noDescription')}</bdi>
      {facts.filter(Boolean).map((fact) => ` · ${fact}`)}
    </>
  );
}

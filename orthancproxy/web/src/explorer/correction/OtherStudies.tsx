import { useQuery } from '@apollo/client/react';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import type { StudyLineFragment } from '../graphql/generated/graphql';
import { formatDate } from '../i18n/format';
import { STUDIES_OF_PATIENT } from './operations';

interface OtherStudiesProps {
  studyOrthancId: string;
  patientOrthancId: string;
  children: (studies: readonly StudyLineFragment[]) => ReactNode;
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

export function StudyName({ study }: { study: StudyLineFragment }) {
  const { t } = useTranslation('correction');
  return (
    <>
      <bdi dir="auto">{study.description || t('noDescription')}</bdi>
      {[formatDate(study.studyDate), study.modalities.join(', ')].filter(Boolean).map((fact) => ` · ${fact}`)}
    </>
  );
}

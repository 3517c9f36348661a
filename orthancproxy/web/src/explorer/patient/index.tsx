import { useQuery } from '@apollo/client/react';
import { Button, Group } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconDownload, IconListSearch, IconPencil, IconTrash } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link, useParams } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { asFailure } from '../app/errors';
import { Loading } from '../app/Loading';
import { auditPath, studyPath } from '../app/routes';
import { useSession } from '../app/session';
import { usePageTitle } from '../components/Page';
import { nameGroups } from '../components/PersonName';
import { Section } from '../components/Section';
import { useChangeDialog } from '../correction/useChangeDialog';
import { graphql } from '../graphql/generated';
import type { PatientPageQuery } from '../graphql/generated/graphql';
import { formatDate, formatNumber, formatTime } from '../i18n/format';
import { DeleteDialog } from '../study/DeleteDialog';
import { Labels } from '../study/Labels';
import { Missing } from '../study/Missing';
import { Modalities } from '../study/Modalities';
import { PatientHeader } from '../study/PatientHeader';
import { ResourceTags } from '../study/ResourceTags';
import classes from './Patient.module.css';

const PATIENT_PAGE = graphql(`
  query PatientPage($orthancId: ID!) {
    ...Session
    patient(orthancId: $orthancId) {
      ...PatientHeader
      archiveUrl
      studies {
        ...StudyLine
        studyTime
        accessionNumber
        labels
        seriesCount
        instancesCount
      }
    }
  }
`);

type PatientOfPage = NonNullable<PatientPageQuery['patient']>;

export default function PatientRoute() {
  const { orthancId = '' } = useParams();
  const { data, error, refetch } = useQuery(PATIENT_PAGE, {
    variables: { orthancId },
    fetchPolicy: 'cache-and-network',
  });
  if (data?.patient) return <PatientPage key={orthancId} patient={data.patient} />;
  const isMalformed = error && asFailure(error).code === 'BAD_USER_INPUT';
  if (error && !isMalformed) return <ErrorMessage error={error} retry={() => void refetch()} />;
  return data || isMalformed ? <Missing what="patient" /> : <Loading />;
}

function PatientPage({ patient }: { patient: PatientOfPage }) {
  const { t } = useTranslation('study');
  usePageTitle(nameGroups(patient.name)[0] ?? patient.patientId ?? '');
  const count = patient.studies.length;
  return (
    <article className={classes.page}>
      <PatientHeader patient={patient}>
        <PatientActions patient={patient} />
      </PatientHeader>
      <Section title={t('studies', { count, number: formatNumber(count) })}>
        <ul className={classes.studies}>
          {patient.studies.map((study) => (
            <li key={study.id}>
              <StudyRow study={study} />
            </li>
          ))}
        </ul>
      </Section>
      <Section title={t('details.title')}>
        <ResourceTags id={patient.id} level="PATIENT" />
      </Section>
    </article>
  );
}

function PatientActions({ patient }: { patient: PatientOfPage }) {
  const { t } = useTranslation('study');
  const { may } = useSession();
  const [isDeleting, deleting] = useDisclosure(false);
  const correction = useChangeDialog('correct', { level: 'PATIENT', id: patient.id, orthancId: patient.orthancId });
  return (
    <Group gap="xs">
      {may('DOWNLOAD') && (
        <Button component="a" href={patient.archiveUrl} variant="default" leftSection={<IconDownload size={16} />}>
          {t('actions.download')}
        </Button>
      )}
      {may('MODIFY') && (
        <>
          <Button variant="default" leftSection={<IconPencil size={16} />} onClick={correction.open}>
            {t('actions.correct')}
          </Button>
          {correction.dialog}
        </>
      )}
      {may('VIEW_AUDIT') && patient.patientId && (
        <Button
          component={Link}
          href={auditPath({ patient: patient.patientId })}
          variant="default"
          leftSection={<IconListSearch size={16} />}
        >
          {t('actions.audit')}
        </Button>
      )}
      {may('DELETE') && (
        <>
          <Button variant="subtle" color="red" leftSection={<IconTrash size={16} />} onClick={deleting.open}>
            {t('actions.delete')}
          </Button>
          <DeleteDialog
            level="PATIENT"
            orthancId={patient.orthancId}
            patient={patient}
            opened={isDeleting}
            onClose={deleting.close}
          />
        </>
      )}
    </Group>
  );
}

function StudyRow({ study }: { study: PatientOfPage['studies'][number] }) {
  const { t } = useTranslation('study');
  return (
    <Link href={studyPath(study.orthancId)} className={classes.study}>
      <span className={classes.when}>
        {formatDate(study.studyDate)} <span className={classes.muted}>{formatTime(study.studyTime)}</span>
      </span>
      <span className={classes.modalities}>
        <Modalities modalities={study.modalities} />
      </span>
      <span className={study.description ? classes.description : classes.none}>
        <bdi dir="auto">{study.description || t('noDescription')}</bdi> <Labels labels={study.labels} />
      </span>
      <span className={classes.counts}>
        {t('series', { count: study.seriesCount, number: formatNumber(study.seriesCount) })}
        {' · '}
        {t('instances', { count: study.instancesCount, number: formatNumber(study.instancesCount) })}
      </span>
    </Link>
  );
}

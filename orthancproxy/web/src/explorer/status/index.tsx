import { useQuery } from '@apollo/client/react';
import { Alert, Badge, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { studyPath } from '../app/routes';
import { Page } from '../components/Page';
import { Section } from '../components/Section';
import { graphql } from '../graphql/generated';
import type { ArchiveIndexState, StatusQuery } from '../graphql/generated/graphql';
import { formatBytes, formatDateTime, formatNumber } from '../i18n/format';
import classes from './Status.module.css';

const STATUS = graphql(`
  query Status {
    ...Session
    server {
      name
      version
      patientsCount
      studiesCount
      seriesCount
      instancesCount
      diskSize
      index {
        state
        studiesCount
        updatedAt
      }
      advice
    }
    uploads(filter: { state: UPLOADING }, first: 20) {
      nodes {
        uploadKey
        patientId
        patientName
        studyDescription
        studyOrthancId
        uploaded
        failed
        updatedAt
      }
    }
  }
`);

const REFRESH_MS = 10_000;
const INDEX_COLORS: Record<ArchiveIndexState, string> = {
  OFF: 'gray',
  BUILDING: 'blue',
  READY: 'teal',
  UNAVAILABLE: 'red',
};

export default function Status() {
  const { t } = useTranslation('status');
  const { data, error, refetch } = useQuery(STATUS, {
    fetchPolicy: 'cache-and-network',
    pollInterval: REFRESH_MS,
    skipPollAttempt: () => document.hidden,
  });
  return (
    <Page title={t('title')}>
      {error && <ErrorMessage error={error} retry={() => void refetch()} />}
      {data && (
        <>
          <Archive server={data.server} />
          <Index index={data.server.index} />
          <Uploads uploads={data.uploads.nodes} />
          <Advice advice={data.server.advice} />
        </>
      )}
      {!data && !error && <Loading />}
    </Page>
  );
}

function Archive({ server }: { server: StatusQuery['server'] }) {
  const { t } = useTranslation('status');
  const figures = [
    [t('patients'), formatNumber(server.patientsCount)],
    [t('studies'), formatNumber(server.studiesCount)],
    [t('series'), formatNumber(server.seriesCount)],
    [t('instances'), formatNumber(server.instancesCount)],
    [t('size'), formatBytes(server.diskSize)],
  ];
  return (
    <Section title={t('archive')}>
      <dl className={classes.figures}>
        {figures.map(([label, figure]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{figure}</dd>
          </div>
        ))}
      </dl>
      <Text size="sm" c="dimmed">
        <bdi>{server.name}</bdi> · Orthanc {server.version}
      </Text>
    </Section>
  );
}

function Index({ index }: { index: StatusQuery['server']['index'] }) {
  const { t } = useTranslation('status');
  const isUsed = index.state === 'READY' || index.state === 'BUILDING';
  return (
    <Section title={t('index')}>
      <p className={classes.line}>
        <Badge circle color={INDEX_COLORS[index.state]} size="xs" aria-hidden="true" />
        {t(`indexState.${index.state}`)}
      </p>
      {isUsed && (
        <Text size="sm" c="dimmed">
          {t('indexedStudies', { count: index.studiesCount, number: formatNumber(index.studiesCount) })}
          {index.updatedAt && ` · ${t('updatedAt', { moment: formatDateTime(index.updatedAt) })}`}
        </Text>
      )}
    </Section>
  );
}

function Uploads({ uploads }: { uploads: StatusQuery['uploads']['nodes'] }) {
  const { t } = useTranslation('status');
  return (
    <Section title={t('uploads')}>
      {uploads.length === 0 && <Text c="dimmed">{t('noUploads')}</Text>}
      <ul className={classes.uploads}>
        {uploads.map((upload) => {
          const name = <bdi dir="auto">{upload.patientName || upload.patientId}</bdi>;
          return (
            <li key={upload.uploadKey}>
              {upload.studyOrthancId ? <Link href={studyPath(upload.studyOrthancId)}>{name}</Link> : name}{' '}
              <bdi dir="auto">{upload.studyDescription}</bdi>
              <Text size="sm" c="dimmed">
                {t('uploaded', { count: upload.uploaded, number: formatNumber(upload.uploaded) })}
                {upload.failed > 0 &&
                  ` · ${t('failed', { count: upload.failed, number: formatNumber(upload.failed) })}`}
                {` · ${formatDateTime(upload.updatedAt)}`}
              </Text>
            </li>
          );
        })}
      </ul>
    </Section>
  );
}

function Advice({ advice }: { advice: StatusQuery['server']['advice'] }) {
  const { t } = useTranslation('status');
  return (
    <Section title={t('advice')}>
      {advice.length === 0 && <Text c="dimmed">{t('noAdvice')}</Text>}
      {advice.map((sentence) => (
        <Alert key={sentence} color="yellow" variant="light" mb="xs" lang="en">
          {sentence}
        </Alert>
      ))}
    </Section>
  );
}

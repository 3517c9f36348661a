import { Alert, Button, Progress, Text, Title } from '@mantine/core';
import { useEffect, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { useLoginNeeded } from '../app/login';
import { studyPath } from '../app/routes';
import { Section } from '../components/Section';
import { formatBytes, formatName, formatNumber } from '../i18n/format';
import { FileList } from './FileList';
import classes from './RunView.module.css';
import { clear, review } from './selection';
import type { Phase, Progress as RunProgress, UploadRun } from './UploadRun';

const COLORS: Readonly<Record<Phase['name'], string>> = {
  sending: 'blue',
  paused: 'gray',
  interrupted: 'yellow',
  rejected: 'red',
  cancelled: 'gray',
  finished: 'teal',
};

/** An upload under way, or its outcome. */
export function RunView({ run }: { run: UploadRun }) {
  const { t } = useTranslation('upload');
  const progress = useSyncExternalStore(run.subscribe, run.getProgress);
  const { phase, stored, failed, storedImages, failedImages, doneBytes, allBytes, share, warnings } = progress;
  const { patientId, patientName, studyDescription } = run.values;
  const isLoginNeeded = useLoginNeeded();
  useEffect(() => {
    const { phase } = run.progress;
    if (!isLoginNeeded && phase.name === 'rejected' && phase.error.code === 'UNAUTHENTICATED') run.start();
  }, [isLoginNeeded, run]);
  return (
    <>
      <section className={classes.run} aria-label={t('title')}>
        <div className={classes.head}>
          <div className={classes.names}>
            <Title order={2} size="h4">
              <bdi dir="auto">{formatName(patientName) || patientId}</bdi>
            </Title>
            <Text c="dimmed">
              <bdi>{patientId}</bdi>
              {studyDescription && (
                <>
                  {' · '}
                  <bdi dir="auto">{studyDescription}</bdi>
                </>
              )}
            </Text>
          </div>
          <span className={classes.share}>{formatNumber(Math.floor(100 * share) / 100, { style: 'percent' })}</span>
        </div>
        <Progress
          value={100 * share}
          size="lg"
          my="sm"
          aria-label={t('title')}
          color={COLORS[phase.name]}
          transitionDuration={200}
        />
        <div className={classes.state}>
          <Text role="status">
            {t(`phase.${phase.name}`)}
            {run.isOver && ` ${t('outcome.stored', { count: storedImages, number: formatNumber(storedImages) })}`}
            {run.isOver &&
              failedImages > 0 &&
              ` ${t('outcome.failed', { count: failedImages, number: formatNumber(failedImages) })}`}
          </Text>
          <Text c="dimmed" className={classes.figures}>
            {t('counts', {
              count: run.files.length,
              done: formatNumber(stored + failed),
              all: formatNumber(run.files.length),
            })}
            {' · '}
            {t('bytes', { done: formatBytes(doneBytes), all: formatBytes(allBytes) })}
          </Text>
        </div>
        {phase.name === 'rejected' && <Rejection run={run} error={phase.error} />}
        <Actions run={run} progress={progress} />
      </section>
      {warnings.length > 0 && (
        <Alert color="yellow" variant="light" mb="md" title={t('warnings')}>
          <ul lang="en" className={classes.warnings}>
            {warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </Alert>
      )}
      <Section title={t('list')}>
        <FileList run={run} progress={progress} />
      </Section>
    </>
  );
}

function Rejection({ run, error }: { run: UploadRun; error: Extract<Phase, { name: 'rejected' }>['error'] }) {
  const { t } = useTranslation('upload');
  if (error.code !== 'LIMIT_EXCEEDED') return <ErrorMessage error={error} retry={() => run.start()} />;
  return (
    <Alert color="red" variant="light" role="alert">
      {t('requestTooLarge')}
    </Alert>
  );
}

function Actions({ run, progress: { phase, stored, studyId } }: { run: UploadRun; progress: RunProgress }) {
  const { t } = useTranslation('upload');
  return (
    <div className={classes.actions}>
      {phase.name === 'sending' && <Button onClick={() => run.pause()}>{t('pause')}</Button>}
      {phase.name === 'paused' && <Button onClick={() => run.start()}>{t('resume')}</Button>}
      {phase.name === 'interrupted' && <Button onClick={() => run.start()}>{t('tryNow')}</Button>}
      {phase.name === 'rejected' && stored === 0 && <Button onClick={() => review(run)}>{t('correct')}</Button>}
      {run.isOver && studyId && (
        <Button component={Link} href={studyPath(studyId)}>
          {t('goToStudy')}
        </Button>
      )}
      {run.isOver ? (
        <Button variant="default" onClick={clear}>
          {t('another')}
        </Button>
      ) : (
        <Button variant="default" onClick={() => run.cancel()}>
          {t('cancel')}
        </Button>
      )}
    </div>
  );
}

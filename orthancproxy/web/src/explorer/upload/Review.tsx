import { Button, Progress, Text } from '@mantine/core';
import { IconUpload } from '@tabler/icons-react';
import { type FormEvent, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { useSession } from '../app/session';
import { Section } from '../components/Section';
import { formatBytes, formatName, formatNumber } from '../i18n/format';
import { bytesOf, type SelectedFile } from './files';
import { KnownPatient, OtherPatients } from './Patients';
import { Preview } from './Preview';
import classes from './Review.module.css';
import { sendChunk, type UploadValues } from './request';
import { show } from './selection';
import { summarize } from './summary';
import { UploadRun } from './UploadRun';
import { useContents } from './useContents';
import { Values } from './Values';

interface ReviewProps {
  files: readonly SelectedFile[];
  /** Those of an upload that was rejected. */
  values: UploadValues | null;
  username: string;
}

/** What will happen to the selected files, and the values that it needs. */
export function Review({ files, values, username }: ReviewProps) {
  const { t } = useTranslation('upload');
  const { server } = useSession();
  const contents = useContents(files);
  const summary = useMemo(() => summarize(files, contents), [files, contents]);
  const [given, setGiven] = useState<Partial<UploadValues>>(values ?? {});
  const [suggested] = summary.patients;
  const patientId = given.patientId ?? suggested?.patientId ?? '';
  const patientName = given.patientName ?? suggested?.patientName ?? '';
  const studyDescription = given.studyDescription ?? summary.studyDescription;
  const isRead = contents.length === files.length;

  function give(values: Partial<UploadValues>) {
    // choosing a patient gives the ID and both, one after the other
    setGiven((before) => ({ ...before, ...values }));
  }

  function start(event: FormEvent) {
    event.preventDefault();
    // browsers have crypto.randomUUID() for https and localhost only
    const uploadKey = crypto.getRandomValues(new Uint32Array(4)).join('-');
    const limits = server && { files: server.limits.maxUploadFiles, bytes: server.limits.maxUploadBytes };
    const run = new UploadRun(
      files,
      { patientId: patientId.trim(), patientName: patientName.trim(), studyDescription, uploadKey },
      username,
      { send: sendChunk, limits },
    );
    show(run);
    run.start();
  }

  return (
    <form onSubmit={start}>
      <Section title={t('patient')}>
        <Values values={{ patientId, patientName, studyDescription }} onChange={give} />
        <KnownPatient patientId={patientId.trim()} patientName={patientName} />
        <OtherPatients
          patients={summary.patients}
          patientId={patientId.trim()}
          patientName={patientName}
          onChoose={give}
        />
      </Section>
      <Preview summary={summary} isRead={isRead} />
      <div className={classes.bar}>
        <div className={classes.outcome}>
          <div className={classes.patient}>
            <strong>
              <bdi dir="auto">{formatName(patientName) || patientId || t('noPatient')}</bdi>
            </strong>
            <bdi className={classes.id}>{formatName(patientName) && patientId}</bdi>
          </div>
          {isRead ? (
            <Text size="sm" c="dimmed">
              {t('outcome.study')}
              {': '}
              {t('outcome.series', { count: summary.series.length, number: formatNumber(summary.series.length) })}
              {' · '}
              {t('files', { count: summary.files, number: formatNumber(summary.files) })}
              {' · '}
              {formatBytes(bytesOf(files))}
            </Text>
          ) : (
            <>
              <Text size="sm" c="dimmed">
                {t('reading', { done: formatNumber(contents.length), all: formatNumber(files.length) })}
              </Text>
              <Progress value={(100 * contents.length) / files.length} size="xs" mt={4} aria-hidden="true" />
            </>
          )}
        </div>
        <Button
          type="submit"
          size="md"
          disabled={!patientId.trim() || !isRead}
          leftSection={<IconUpload size={18} aria-hidden="true" />}
        >
          {t('start')}
        </Button>
      </div>
    </form>
  );
}

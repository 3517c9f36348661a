import { useQuery } from '@apollo/client/react';
import { Button, Progress, Text } from '@mantine/core';
import { type ReactNode, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { useSession } from '../app/session';
import { Section } from '../components/Section';
import { graphql } from '../graphql/generated';
import type { UnfinishedUploadQuery } from '../graphql/generated/graphql';
import { formatDateTime, formatName, formatNumber } from '../i18n/format';
import type { SelectedFile } from './files';
import { sendChunk } from './request';
import { show } from './selection';
import classes from './Unfinished.module.css';
import { UploadRun } from './UploadRun';
import { forget, type UnfinishedUpload, unfinishedUploads } from './unfinished';

const UNFINISHED_UPLOAD = graphql(`
  query UnfinishedUpload($uploadKey: ID!) {
    uploads(filter: { uploadKey: $uploadKey }, first: 1) {
      nodes {
        uploadKey
        patientId
        patientName
        studyDescription
        studyOrthancId
      }
    }
  }
`);

type Batch = UnfinishedUploadQuery['uploads']['nodes'][number];

/** The uploads that a reload interrupted. They go on when their files are chosen again. */
export function Unfinished({ username }: { username: string }) {
  const { t } = useTranslation('upload');
  const [uploads, setUploads] = useState(() => unfinishedUploads(username));
  const { may } = useSession();
  if (uploads.length === 0 || !may('VIEW')) return null;
  return (
    <Section title={t('unfinished.title')}>
      <Text size="sm" c="dimmed" mb="xs">
        {t('unfinished.text')}
      </Text>
      <ul className={classes.list}>
        {uploads.map((upload) => (
          <UnfinishedRow
            key={upload.uploadKey}
            upload={upload}
            onForget={() => {
              forget(upload.uploadKey);
              setUploads(unfinishedUploads(username));
            }}
          />
        ))}
      </ul>
    </Section>
  );
}

function UnfinishedRow({ upload, onForget }: { upload: UnfinishedUpload; onForget: () => void }) {
  const { t } = useTranslation('upload');
  const { batch, isUnknown } = useBatch(upload);
  useEffect(() => {
    if (isUnknown) onForget();
  });
  return (
    <li>
      <UnfinishedUploadText upload={upload} batch={batch} />
      <Button variant="default" size="compact-sm" onClick={onForget}>
        {t('unfinished.forget')}
      </Button>
    </li>
  );
}

interface ResumeProps {
  files: readonly SelectedFile[];
  /** To which the files belong. */
  upload: UnfinishedUpload;
  /** Shown where the gateway does not know the upload, or the user prefers a new one. */
  children: ReactNode;
}

/** Offers to go on with the upload that the selected files belong to. */
export function Resume({ files, upload, children }: ResumeProps) {
  const { t } = useTranslation('upload');
  const { server } = useSession();
  const { batch, isUnknown, error, refetch } = useBatch(upload);
  const [isRefused, setIsRefused] = useState(false);
  if (isUnknown || isRefused) return children;
  if (error) return <ErrorMessage error={error} retry={() => void refetch()} />;
  if (!batch) return <Loading />;

  function resume(batch: Batch) {
    const { patientId, patientName, studyDescription, studyOrthancId: studyId } = batch;
    const run = new UploadRun(
      files,
      { patientId, patientName, studyDescription, uploadKey: upload.uploadKey },
      upload.username,
      {
        send: sendChunk,
        limits: server && { files: server.limits.maxUploadFiles, bytes: server.limits.maxUploadBytes },
      },
      { upload, studyId },
    );
    show(run);
    run.start();
  }

  return (
    <Section title={t('unfinished.recognized')}>
      <UnfinishedUploadText upload={upload} batch={batch} />
      <div className={classes.actions}>
        <Button onClick={() => resume(batch)}>{t('resume')}</Button>
        <Button variant="default" onClick={() => setIsRefused(true)}>
          {t('unfinished.asNew')}
        </Button>
      </div>
    </Section>
  );
}

function UnfinishedUploadText({ upload, batch }: { upload: UnfinishedUpload; batch: Batch | undefined }) {
  const { t } = useTranslation('upload');
  const { stored, files, keptAt } = upload;
  return (
    <div className={classes.upload}>
      {batch && (
        <strong>
          <bdi dir="auto">{formatName(batch.patientName) || batch.patientId}</bdi>
          {batch.studyDescription && (
            <>
              {' · '}
              <bdi dir="auto">{batch.studyDescription}</bdi>
            </>
          )}
        </strong>
      )}
      <Text size="sm" c="dimmed">
        {t('counts', { count: files.length, done: formatNumber(stored.length), all: formatNumber(files.length) })}
        {' · '}
        {formatDateTime(new Date(keptAt).toISOString())}
      </Text>
      <Progress value={(100 * stored.length) / files.length} size="xs" mt={4} aria-hidden="true" />
    </div>
  );
}

/** The patient and the study, which the browser does not keep. The gateway does not know them if nothing was stored. */
function useBatch({ uploadKey }: UnfinishedUpload) {
  const query = { variables: { uploadKey }, fetchPolicy: 'network-only' } as const;
  const { data, error, refetch } = useQuery(UNFINISHED_UPLOAD, query);
  const batch = data?.uploads.nodes[0];
  return { batch, isUnknown: data !== undefined && !batch, error, refetch };
}

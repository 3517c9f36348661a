import { Button, Group } from '@mantine/core';
import { useMemo, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { CodedError } from '../app/errors';
import { Loading } from '../app/Loading';
import { useLoadedSession, useSession } from '../app/session';
import { Page } from '../components/Page';
import { Chooser } from './Chooser';
import { FileButtons } from './FileButtons';
import { Review } from './Review';
import { RunView } from './RunView';
import { clear, currentSelection, onSelection } from './selection';
import { Resume, Unfinished } from './Unfinished';
import { recognize, unfinishedUploads } from './unfinished';

// an upload goes on while other pages are shown
addEventListener('beforeunload', (event) => {
  if (currentSelection().run?.isUnderWay) event.preventDefault();
});
addEventListener('online', () => {
  const { run } = currentSelection();
  if (run?.progress.phase.name === 'interrupted') run.start();
});

export default function Upload() {
  const { t } = useTranslation('upload');
  const { viewer, may, error } = useLoadedSession();
  const { files, run, isReading } = useSyncExternalStore(onSelection, currentSelection);
  const isReview = !run && files.length > 0;
  return (
    <Page title={t('title')} actions={isReview && <ReviewActions />}>
      {error && <ErrorMessage error={error} />}
      {viewer && !may('UPLOAD') && <ErrorMessage error={new CodedError('FORBIDDEN')} />}
      {((!viewer && !error) || isReading) && <Loading />}
      {may('UPLOAD') && !isReading && <Content username={viewer?.username ?? ''} />}
    </Page>
  );
}

function ReviewActions() {
  const { t } = useTranslation('upload');
  return (
    <Group gap="xs">
      <FileButtons isFurther />
      <Button variant="default" onClick={clear}>
        {t('drop.clear')}
      </Button>
    </Group>
  );
}

function Content({ username }: { username: string }) {
  const { files, run, values } = useSyncExternalStore(onSelection, currentSelection);
  const mayView = useSession().may('VIEW');
  const unfinished = useMemo(
    () => (!run && mayView ? recognize(files, unfinishedUploads(username)) : undefined),
    [files, run, mayView, username],
  );
  if (run) return <RunView run={run} />;
  if (files.length === 0) {
    return (
      <>
        <Unfinished username={username} />
        <Chooser />
      </>
    );
  }
  const review = <Review files={files} values={values} username={username} />;
  if (!unfinished) return review;
  return (
    <Resume key={unfinished.uploadKey} files={files} upload={unfinished}>
      {review}
    </Resume>
  );
}

import type { TypedDocumentNode } from '@apollo/client';
import { useApolloClient, useMutation } from '@apollo/client/react';
import { Button, Modal } from '@mantine/core';
import { type ReactNode, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';

import { newMutationId } from '../app/mutationId';
import { notify } from '../app/notify';
import { rememberPage } from '../app/rememberPage';
import type { CorrectionFragment, JobProgressFragment } from '../graphql/generated/graphql';
import { JobBegun } from '../jobs/JobBegun';
import { findMade } from '../jobs/made';
import { useBeginning } from '../jobs/unfinished';
import { ChangePreview } from './ChangePreview';

/** What every input of these mutations has, besides what the form asks for. */
interface Options {
  keepUids?: boolean;
  dryRun?: boolean;
  acceptCollisions?: boolean;
  clientMutationId?: string | null;
}

export interface FormStep<Input> {
  /** What was submitted before, if somebody comes back from the preview. */
  given: Input | undefined;
  error: Error | undefined;
  isBusy: boolean;
  onCancel: () => void;
  onSubmit: (input: Input) => void;
}

interface ChangeDialogProps<Input extends Options> {
  opened: boolean;
  onClose: () => void;
  title: string;
  /** What is changed, for screen readers that read the job. */
  of: string;
  /** On the button that begins it, and on that which leads to what it has made. */
  texts: { confirm: string; open: string };
  mutation: TypedDocumentNode<{ correction: CorrectionFragment }, { input: Input }>;
  form: (step: FormStep<Input>) => ReactNode;
  /** What the preview says of the resources. */
  about?: (input: Input) => ReactNode;
}

/** Changes what is in the archive: a form, what would change, and the job that changes it. */
export function ChangeDialog<Input extends Options>({ opened, onClose, title, ...steps }: ChangeDialogProps<Input>) {
  const { t } = useTranslation('correction');
  const client = useApolloClient();
  const [, navigate] = useLocation();
  // the page of what the job has made; pending from the job's success on
  const made = useRef<Promise<string | undefined>>(undefined);
  const [path, setPath] = useState<string>();

  function end(job: JobProgressFragment): void {
    if (job.state !== 'SUCCESS') return;
    const finding = findMade(client, job.id).then((found) => found?.path);
    made.current = finding;
    finding.then((found) => made.current === finding && setPath(found), notify.error);
  }

  function close(): void {
    onClose();
    if (!made.current) return;
    if (path) {
      showChanged(path);
    } else {
      // "Done" is told before the page is found; whoever has gone elsewhere by then stays there
      const isStillHere = rememberPage();
      made.current.catch(() => undefined).then((found) => showChanged(isStillHere() ? found : undefined));
    }
    made.current = undefined;
    setPath(undefined);
  }

  /** What was changed is no more, or not as the page has it. */
  function showChanged(path: string | undefined): void {
    if (path) navigate(path, { replace: true });
    client.refetchQueries({ include: 'active' }).catch(notify.error);
  }

  return (
    <Modal
      opened={opened}
      onClose={close}
      title={title}
      closeButtonProps={{ 'aria-label': t('close') }}
      size="xl"
      centered
    >
      <Steps {...steps} onCancel={onClose}>
        {(job) => (
          <JobBegun job={job} of={steps.of} onClose={close} onEnd={end}>
            {path && (
              <Button onClick={close} autoFocus>
                {steps.texts.open}
              </Button>
            )}
          </JobBegun>
        )}
      </Steps>
    </Modal>
  );
}

interface StepsProps<Input extends Options>
  extends Pick<ChangeDialogProps<Input>, 'texts' | 'mutation' | 'form' | 'about'> {
  onCancel: () => void;
  /** The last step. */
  children: (job: JobProgressFragment) => ReactNode;
}

function Steps<Input extends Options>({ texts, mutation, form, about, onCancel, children }: StepsProps<Input>) {
  const [given, setGiven] = useState<Input>();
  const [clientMutationId, setClientMutationId] = useState('');
  const [preview, previewing] = useMutation(mutation);
  const [change, changing] = useMutation(
    mutation,
    useBeginning(({ correction }) => correction.job),
  );
  const predicted = previewing.data?.correction;
  const job = changing.data?.correction.job;

  function predict(input: Input): void {
    setGiven(input);
    setClientMutationId(newMutationId());
    // its error is shown
    preview({ variables: { input: { ...input, dryRun: true } } }).catch(() => undefined);
  }

  function confirm(input: Input, accepted: Pick<Options, 'acceptCollisions'>): void {
    // its error is shown
    change({ variables: { input: { ...input, ...accepted, clientMutationId } } }).catch(() => undefined);
  }

  function goBack(): void {
    previewing.reset();
    changing.reset();
  }

  if (job) return children(job);
  if (!given || !predicted) {
    return form({ given, error: previewing.error, isBusy: previewing.loading, onCancel, onSubmit: predict });
  }
  return (
    <ChangePreview
      correction={predicted}
      keepUids={given.keepUids ?? false}
      confirmText={texts.confirm}
      error={changing.error}
      isBusy={changing.loading}
      onBack={goBack}
      onConfirm={(accepted) => confirm(given, accepted)}
    >
      {about?.(given)}
    </ChangePreview>
  );
}

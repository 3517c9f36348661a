import { notify } from '../app/notify';
import { client } from '../graphql/client';
import i18n from '../i18n';
import { sentencesOf } from './end';
import { JOB_STUDY } from './operations';

/** Tells how a job ended, in a message that screen readers read out. */
export async function tellEnd(id: string): Promise<void> {
  const [{ data }] = await Promise.all([
    client.query({ query: JOB_STUDY, variables: { id }, fetchPolicy: 'network-only' }),
    i18n.loadNamespaces('jobs'),
  ]);
  const job = data?.job;
  // gone, or not ended: it was too far down the list
  if (!job?.endedAt) return;
  const t = i18n.getFixedT(null, 'jobs');
  const name = t(`kind.${job.kind}`, { destination: job.destination });
  const what = job.study?.description ? `${name} (${job.study.description})` : name;
  const sentences = [`${what}: ${t(`state.${job.state}`)}.`, ...sentencesOf(job, t)];
  if (job.state === 'FAILED') notify.failure(sentences.join(' '));
  else notify.success(sentences.join(' '));
}

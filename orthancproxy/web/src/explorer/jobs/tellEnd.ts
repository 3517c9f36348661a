import { notify } from '../app/notify';
import { client } from '../graphql/client';
import i18n from '../i18n';
import { sentencesOf } from './end';
import { findMade } from './made';

/** Tells how a job ended, in a message that screen readers read out. */
export async function tellEnd(id: string): Promise<void> {
  const [found] = await Promise.all([findMade(client, id), i18n.loadNamespaces('jobs')]);
  // gone, or not ended: it was too far down the list
  if (!found?.job.endedAt) return;
  const { job, path } = found;
  const t = i18n.getFixedT(null, 'jobs');
  const name = t(`kind.${job.kind}`, { destination: job.target.destination, source: job.target.source });
  const what = job.study?.description ? `${name} (${job.study.description})` : name;
  const text = [`${what}: ${t(`state.${job.state}`)}.`, ...sentencesOf(job, t)].join(' ');
  if (job.state === 'FAILED') {
    notify.failure(text);
  } else if (path) {
    notify.success(text, { path, text: t('open') });
    // pages may show what it has replaced
    await client.refetchQueries({ include: 'active' });
  } else {
    notify.success(text);
  }
}

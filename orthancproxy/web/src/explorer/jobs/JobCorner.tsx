import { useEffect } from 'react';
import { useLocation } from 'wouter';

import { jobsPath } from '../app/routes';
import { useOnDemand } from '../app/useOnDemand';
import i18n from '../i18n';
import { useUnfinishedJobs } from './unfinished';

async function loadList() {
  const [list] = await Promise.all([import('./CornerList'), i18n.loadNamespaces('jobs')]);
  return list;
}

/** The caller's jobs that go on, in a corner of every page but that of the jobs; nothing if there are none. */
export function JobCorner({ className }: { className: string | undefined }) {
  const jobs = useUnfinishedJobs();
  const [location] = useLocation();
  const [CornerList, load] = useOnDemand(loadList);
  const hasJobs = jobs.length > 0;
  useEffect(() => {
    if (hasJobs) load();
  }, [hasJobs, load]);
  if (!hasJobs || !CornerList || location === jobsPath()) return null;
  return (
    <div className={className}>
      <CornerList jobs={jobs} />
    </div>
  );
}

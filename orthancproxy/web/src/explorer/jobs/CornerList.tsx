import { useQuery } from '@apollo/client/react';
import { Anchor } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { jobsPath } from '../app/routes';
import type { JobProgressFragment } from '../graphql/generated/graphql';
import { formatNumber } from '../i18n/format';
import { CancelButton } from './CancelButton';
import classes from './CornerList.module.css';
import { JobName, useJobName } from './JobName';
import { JobBar } from './JobProgress';
import { JOB_STUDY } from './operations';

const MAX_SHOWN = 3;

export default function CornerList({ jobs }: { jobs: readonly JobProgressFragment[] }) {
  const { t } = useTranslation('jobs');
  const further = jobs.length - MAX_SHOWN;
  return (
    <section className={classes.corner} aria-label={t('corner.title')}>
      <ul className={classes.jobs}>
        {jobs.slice(0, MAX_SHOWN).map((job) => (
          <li key={job.id}>
            <CornerJob job={job} />
          </li>
        ))}
      </ul>
      <Anchor component={Link} href={jobsPath()} size="sm">
        {further > 0 ? t('corner.further', { count: further, number: formatNumber(further) }) : t('begun.toJobs')}
      </Anchor>
    </section>
  );
}

function CornerJob({ job }: { job: JobProgressFragment }) {
  const study = useQuery(JOB_STUDY, { variables: { id: job.id } }).data?.job?.study;
  const name = [useJobName(job), study?.description].filter(Boolean).join(': ');
  return (
    <>
      <div className={classes.head}>
        <span className={classes.name}>
          <JobName job={job} />
          {study?.description && (
            <bdi dir="auto" className={classes.study}>
              {study.description}
            </bdi>
          )}
        </span>
        <CancelButton job={job} name={name} />
      </div>
      <JobBar job={job} name={name} />
    </>
  );
}

import type { ApolloClient } from '@apollo/client';

import { patientPath, studyPath } from '../app/routes';
import type { JobStudyQuery } from '../graphql/generated/graphql';
import { JOB_STUDY } from './operations';

type Ended = NonNullable<JobStudyQuery['job']>;

/** The page of what a job has made; undefined if it made nothing, or nothing that the caller may see. */
export function madePath({ target, result }: Ended): string | undefined {
  const [study] = result?.studies ?? [];
  if (!study) return undefined;
  return target.level === 'PATIENT' ? patientPath(study.patient.orthancId) : studyPath(study.orthancId);
}

/** A job as it has ended, with the page of what it has made. */
export async function findMade(client: ApolloClient, id: string): Promise<{ job: Ended; path?: string } | undefined> {
  const { data } = await client.query({ query: JOB_STUDY, variables: { id }, fetchPolicy: 'network-only' });
  return data?.job ? { job: data.job, path: madePath(data.job) } : undefined;
}

import { graphql } from '../graphql/generated';
import type { JobsQuery } from '../graphql/generated/graphql';

export type Job = JobsQuery['jobs']['nodes'][number];

export const JOB = graphql(`
  fragment JobProgress on Job {
    id
    kind
    target {
      level
      destination
      source
    }
    state
    progress
    isBeingCancelled
    endedAt
    result {
      instancesCount
      leftOutCount
      rejected {
        sopInstanceUID
      }
    }
    error {
      code
      message
      dimseStatus
    }
  }
`);

export const JOBS = graphql(`
  query Jobs($filter: JobFilter!, $first: Int!, $after: String) {
    jobs(filter: $filter, first: $first, after: $after) {
      pageInfo {
        hasNextPage
        endCursor
      }
      nodes {
        ...JobProgress
        createdBy
        createdAt
        study {
          ...StudyCell
        }
      }
    }
  }
`);

/** The caller's own: what the corner of every page shows. Studies are read once for each, not each time. */
export const UNFINISHED_JOBS = graphql(`
  query UnfinishedJobs($createdBy: String!) {
    jobs(filter: { isUnfinished: true, createdBy: $createdBy }) {
      nodes {
        ...JobProgress
      }
    }
  }
`);

export const JOB_STUDY = graphql(`
  query JobStudy($id: ID!) {
    job(id: $id) {
      ...JobProgress
      study {
        id
        description
      }
      result {
        studies {
          id
          orthancId
          patient {
            id
            orthancId
          }
        }
      }
    }
  }
`);

export const JOB_UPDATES = graphql(`
  subscription JobUpdates($id: ID!) {
    jobUpdates(id: $id) {
      ...JobProgress
    }
  }
`);

export const CANCEL_JOB = graphql(`
  mutation CancelJob($id: ID!) {
    cancelJob(id: $id) {
      job {
        ...JobProgress
      }
    }
  }
`);

export const MODALITIES = graphql(`
  query Modalities {
    modalities {
      name
      kind
      aet
    }
  }
`);

export const SEND = graphql(`
  mutation Send($input: SendInput!) {
    sendToModality(input: $input) {
      job {
        ...JobProgress
      }
    }
  }
`);

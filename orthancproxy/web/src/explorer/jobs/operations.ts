import { graphql } from '../graphql/generated';
import type { JobsQuery } from '../graphql/generated/graphql';

export type Job = JobsQuery['jobs']['nodes'][number];

export const JOB = graphql(`
  fragment JobProgress on Job {
    id
    state
    progress
    isBeingCancelled
    endedAt
    result {
      instancesCount
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
        level
        destination
        study {
          id
          orthancId
          description
          studyDate
          patient {
            id
            name {
              ...Name
            }
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

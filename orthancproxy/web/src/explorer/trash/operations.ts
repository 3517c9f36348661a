import { graphql } from '../graphql/generated';
import type { TrashQuery } from '../graphql/generated/graphql';

export type TrashedStudy = TrashQuery['trash']['nodes'][number];

export const TRASH = graphql(`
  query Trash($first: Int!, $after: String) {
    trash(first: $first, after: $after) {
      totalCount
      pageInfo {
        hasNextPage
        endCursor
      }
      nodes {
        ...StudyCell
        id
        orthancId
        description
        instancesCount
        trashedAt
        trashedBy
        patient {
          id
          patientId
        }
      }
    }
  }
`);

export const RESTORE = graphql(`
  mutation Restore($orthancId: ID!) {
    restoreStudy(orthancId: $orthancId) {
      orthancId
    }
  }
`);

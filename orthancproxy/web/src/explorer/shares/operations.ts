import { graphql } from '../graphql/generated';
import type { SharesQuery } from '../graphql/generated/graphql';

export type Share = SharesQuery['shares']['nodes'][number];

export const SHARES = graphql(`
  query Shares($filter: ShareFilter!, $first: Int!, $after: String) {
    shares(filter: $filter, first: $first, after: $after) {
      pageInfo {
        hasNextPage
        endCursor
      }
      nodes {
        id
        studyOrthancId
        studyInstanceUID
        createdBy
        createdAt
        expiresAt
        revokedAt
        openedAt
        actions
        hasPassword
      }
    }
  }
`);

export const SHARED_STUDIES = graphql(`
  query SharedStudies($uids: [ID!]!, $first: Int!) {
    studies(filter: { studyInstanceUIDs: $uids }, first: $first) {
      nodes {
        ...StudyCell
      }
    }
  }
`);

export const REVOKE_SHARE = graphql(`
  mutation RevokeShare($id: ID!) {
    revokeShare(id: $id) {
      share {
        id
        revokedAt
      }
    }
  }
`);

import { graphql } from '../graphql/generated';
import type { AnonymizeMutation } from '../graphql/generated/graphql';

export type Anonymized = AnonymizeMutation['anonymizeStudy'];

export const ANONYMIZE = graphql(`
  mutation Anonymize($input: AnonymizeStudyInput!) {
    anonymizeStudy(input: $input) {
      downloadUrl
      preview {
        keyword
        before
        after
      }
      warnings {
        code
      }
      job {
        ...JobProgress
      }
    }
  }
`);

export const RESULT = graphql(`
  query AnonymizedStudy($id: ID!) {
    job(id: $id) {
      id
      study {
        id
        orthancId
      }
      result {
        instancesCount
        leftOutCount
      }
      error {
        code
        message
        dimseStatus
      }
    }
  }
`);

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

import { graphql } from '../graphql/generated';
import type { AnonymizeMutation } from '../graphql/generated/graphql';

export type Anonymized = AnonymizeMutation['anonymizeStudy'];
export type ListedInstance = NonNullable<Anonymized['warnings'][number]['instances']>[number];

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
        instances {
          id
          instanceNumber
          series {
            id
            orthancId
            modality
            seriesNumber
          }
        }
      }
      job {
        ...JobProgress
      }
    }
  }
`);

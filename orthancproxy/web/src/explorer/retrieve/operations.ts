import { graphql } from '../graphql/generated';
import type { FindQuery } from '../graphql/generated/graphql';

export type FoundStudy = FindQuery['findOnModality'][number];

export const SOURCES = graphql(`
  query Sources {
    sources {
      name
      aet
    }
  }
`);

export const FIND = graphql(`
  query Find($source: String!, $filter: SourceFilter!) {
    findOnModality(modality: $source, filter: $filter) {
      studyInstanceUID
      patientId
      name {
        ...Name
      }
      birthDate
      description
      studyDate
      accessionNumber
      modalities
      instancesCount
      study {
        id
        orthancId
        instancesCount
      }
    }
  }
`);

export const RETRIEVE = graphql(`
  mutation Retrieve($input: RetrieveInput!) {
    retrieveFromModality(input: $input) {
      job {
        ...JobProgress
      }
    }
  }
`);

export const ARRIVED = graphql(`
  query Arrived($id: ID!) {
    job(id: $id) {
      id
      study {
        id
        orthancId
      }
    }
  }
`);

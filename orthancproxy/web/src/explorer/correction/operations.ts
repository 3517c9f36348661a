import { graphql } from '../graphql/generated';

export const CORRECTION = graphql(`
  fragment Correction on ModifyPayload {
    instancesCount
    changes {
      keyword
      before
      after
    }
    collisions {
      kind
      keyword
    }
    job {
      ...JobProgress
    }
  }
`);

export const MODIFY_PATIENT = graphql(`
  mutation ModifyPatient($input: ModifyPatientInput!) {
    correction: modifyPatient(input: $input) {
      ...Correction
    }
  }
`);

export const MODIFY_STUDY = graphql(`
  mutation ModifyStudy($input: ModifyStudyInput!) {
    correction: modifyStudy(input: $input) {
      ...Correction
    }
  }
`);

export const MODIFY_SERIES = graphql(`
  mutation ModifySeries($input: ModifySeriesInput!) {
    correction: modifySeries(input: $input) {
      ...Correction
    }
  }
`);

export const MERGE_STUDIES = graphql(`
  mutation MergeStudies($input: MergeStudiesInput!) {
    correction: mergeStudies(input: $input) {
      ...Correction
    }
  }
`);

export const MOVE_SERIES = graphql(`
  mutation MoveSeries($input: MoveSeriesInput!) {
    correction: moveSeries(input: $input) {
      ...Correction
    }
  }
`);

export const STUDY_CHOICE = graphql(`
  fragment StudyChoice on Study {
    ...StudyLine
    accessionNumber
    seriesCount
  }
`);

export const STUDIES_OF_PATIENT = graphql(`
  query StudiesOfPatient($orthancId: ID!) {
    patient(orthancId: $orthancId) {
      id
      studies {
        ...StudyChoice
      }
    }
  }
`);

export const SERIES_OF_STUDY = graphql(`
  query SeriesOfStudy($orthancId: ID!) {
    study(orthancId: $orthancId) {
      ...StudyChoice
      series {
        ...SeriesCard
      }
    }
  }
`);

import { graphql } from '../graphql/generated';

export const PATIENT_HEADER = graphql(`
  fragment PatientHeader on Patient {
    id
    orthancId
    patientId
    name {
      ...Name
    }
    birthDate
    sex
    labels
  }
`);

export const STUDY_PAGE = graphql(`
  query StudyPage($orthancId: ID!) {
    ...Session
    study(orthancId: $orthancId) {
      id
      orthancId
      studyInstanceUID
      description
      studyDate
      studyTime
      studyId
      accessionNumber
      referringPhysicianName
      institutionName
      modalities
      lastUpdate
      isStable
      labels
      instancesCount
      archiveUrl
      viewerUrl
      patient {
        ...PatientHeader
        studiesCount
        studies(first: 30) {
          ...StudyLine
        }
      }
      series {
        ...SeriesCard
      }
    }
  }
`);

export const STUDY_LINE = graphql(`
  fragment StudyLine on Study {
    id
    orthancId
    description
    studyDate
    modalities
  }
`);

export const SERIES_CARD = graphql(`
  fragment SeriesCard on Series {
    id
    orthancId
    seriesInstanceUID
    description
    modality
    seriesNumber
    labels
    instancesCount
    thumbnailUrl
  }
`);

export const SERIES_FACTS = graphql(`
  query SeriesFacts($orthancId: ID!) {
    series(orthancId: $orthancId) {
      id
      bodyPartExamined
      protocolName
      manufacturer
      stationName
      seriesDate
      seriesTime
      lastUpdate
      archiveUrl
    }
  }
`);

export const SERIES_INSTANCES = graphql(`
  query SeriesInstances($orthancId: ID!, $first: Int!, $offset: Int!) {
    series(orthancId: $orthancId) {
      id
      instances(first: $first, offset: $offset) {
        ...InstanceLine
      }
    }
  }
`);

export const INSTANCE_LINE = graphql(`
  fragment InstanceLine on Instance {
    id
    orthancId
    sopInstanceUID
    instanceNumber
    rows
    columns
    numberOfFrames
    fileSize
    isRenderable
    thumbnailUrl
    fileUrl
  }
`);

export const RESOURCE_TAGS = graphql(`
  query ResourceTags($id: ID!, $further: [String!]!) {
    node(id: $id) {
      id
      ... on Patient {
        tags
        further: tags(keywords: $further)
      }
      ... on Study {
        tags
        further: tags(keywords: $further)
      }
      ... on Series {
        tags
        further: tags(keywords: $further)
      }
    }
  }
`);

export const DELETE_PATIENT = graphql(`
  mutation DeletePatient($orthancId: ID!, $dryRun: Boolean!) {
    deletion: deletePatient(orthancId: $orthancId, dryRun: $dryRun) {
      ...Deletion
    }
  }
`);

export const DELETE_STUDY = graphql(`
  mutation DeleteStudy($orthancId: ID!, $dryRun: Boolean!) {
    deletion: deleteStudy(orthancId: $orthancId, dryRun: $dryRun) {
      ...Deletion
    }
  }
`);

export const DELETE_SERIES = graphql(`
  mutation DeleteSeries($orthancId: ID!, $dryRun: Boolean!) {
    deletion: deleteSeries(orthancId: $orthancId, dryRun: $dryRun) {
      ...Deletion
    }
  }
`);

export const DELETION = graphql(`
  fragment Deletion on DeletePayload {
    deleted {
      level
    }
    deletedIds
    inTrash
    instancesCount
  }
`);

export const ADD_LABELS = graphql(`
  mutation AddLabels($level: Level!, $orthancId: ID!, $labels: [String!]!) {
    addLabels(level: $level, orthancId: $orthancId, labels: $labels) {
      labels
      resource {
        ...LabelsNow
      }
    }
  }
`);

export const REMOVE_LABELS = graphql(`
  mutation RemoveLabels($level: Level!, $orthancId: ID!, $labels: [String!]!) {
    removeLabels(level: $level, orthancId: $orthancId, labels: $labels) {
      labels
      resource {
        ...LabelsNow
      }
    }
  }
`);

export const LABELS_NOW = graphql(`
  fragment LabelsNow on Node {
    id
    ... on Patient {
      labels
    }
    ... on Study {
      labels
    }
    ... on Series {
      labels
    }
  }
`);

export const SHARE_STUDY = graphql(`
  mutation ShareStudy($input: ShareStudyInput!) {
    shareStudy(input: $input) {
      share {
        id
        url
        expiresAt
        hasPassword
      }
    }
  }
`);
